"""Trade-offs: gain against forgetting, and matrices of numbers, such as tasks against tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlcourse.errors import DataError
from tlcourse.measure.units import Scale, scale
from tlcourse.plots.labels import beside_points, folded, length, settle
from tlcourse.plots.lines import Measurement, as_interval, common_unit
from tlcourse.plots.style import (
    BLUE,
    GREEN,
    INK,
    MARKERS,
    MUTED,
    ORANGE,
    PALETTE,
    Picture,
    enumerated,
    sheet,
    styled,
    unit_axis,
)

from .bars_and_confusion import separate_cells, shades


def plane(
    points: Mapping[str, tuple[Measurement, Measurement]],
    *,
    gain: str = "gained on the new task",
    forgetting: str = "lost on the old task",
    unit: str | None = None,
    title: str | None = None,
) -> Picture:
    """Gain against forgetting: each method is a point with whiskers both ways; up and right is better.

    points: name -> (gain, forgetting), each an Interval, a number, or the values over seeds. The axis of
    forgetting points down; below zero means that the old task improved. gain, forgetting: the axes'
    names. unit: of plain numbers ("points", differences of shares, unless Intervals say otherwise).
    """
    if not points or any(
        not isinstance(pair, tuple | list) or len(pair) != 2 for pair in points.values()
    ):
        raise DataError(
            "plane needs at least one point, each a pair: {'name': (gain, forgetting)}."
        )
    given = {name: dict(enumerate(pair)) for name, pair in points.items()}
    if unit is None and not any(hasattr(v, "unit") for pair in points.values() for v in pair):
        unit = "points"
    unit = common_unit(given, unit)
    pairs = {
        name: tuple(as_interval(value, unit) for value in pair) for name, pair in points.items()
    }
    with styled():
        figure = sheet(4.6 + (0.36 if title else 0), width=7.4, title=title)
        axes = figure.subplots()
        for at, (across, down) in enumerate(pairs.values()):
            axes.errorbar(
                across.mean,
                down.mean,
                xerr=np.nan_to_num(across.half_width),
                yerr=np.nan_to_num(down.half_width),
                color=PALETTE[at % len(PALETTE)],
                marker=MARKERS[at % len(MARKERS)],
                markersize=8,
                capsize=3,
                elinewidth=1.3,
            )
        axes.axhline(0, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)))
        axes.margins(0.16, 0.16)
        axes.invert_yaxis()
        behind = " (points)" if unit == "points" else ""
        axes.set(xlabel=gain + behind, ylabel=forgetting + behind)
        for axis, which in ((axes.xaxis, 0), (axes.yaxis, 1)):
            unit_axis(axis, unit, max(abs(pair[which].mean) for pair in pairs.values()), sign="")
        axes.set_title("better: learns more, forgets less ↗", loc="right", color=GREEN, pad=8)
        settle(figure)
        beside_points(
            axes,
            [folded(name, 150) for name in pairs],
            [(across.mean, down.mean) for across, down in pairs.values()],
            [box for pair in pairs.values() for box in _whiskers(axes, *pair)],
            fontsize=9.5,
            color=INK,
        )
    sentences = [
        f"{name}: {gain} ⟨{a.text}⟩, {forgetting} ⟨{d.text}⟩" for name, (a, d) in pairs.items()
    ]
    return Picture(figure, f"{title or 'Gain against forgetting'}: {'; '.join(sentences)}.")


def heat(
    matrix: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    unit: str = "percent",
    row: str = "",
    column: str = "",
    title: str | None = None,
) -> Picture:
    """A number in every cell, the darker the larger: accuracies of tasks after tasks, similarities.

    matrix: (R, C) numbers or Intervals (their means are written); NaN leaves a cell empty. Below zero is
    orange, above is blue. unit: see `tlcourse.measure.units`. row, column: what the names are of.
    """
    values = np.array([[getattr(v, "mean", v) if hasattr(v, "low") else v for v in line]
                       for line in matrix], dtype=float)  # fmt: skip
    if values.shape != (len(rows), len(columns)):
        raise DataError(
            f"{len(rows)} rows and {len(columns)} columns do not fit a matrix of {values.shape}."
        )
    finite = values[np.isfinite(values)]
    top = float(np.abs(finite).max()) if len(finite) else 1.0
    # The colour scale of accuracies is 0 to 100 %; of anything else, 0 to the largest value.
    top = 1.0 if unit == "percent" and top <= 1 else top or 1.0
    how = scale(unit, top)
    digits = how.spec if unit != "number" else ".2f" if top < 10 else ".0f"
    with styled():
        names = [folded(name, 190) for name in rows]
        heads = [folded(name, 86, size=9.5) for name in columns]
        wide = 0.3 + 0.075 * max(len(line) for name in names for line in name.split("\n"))
        side = min(0.95, (7.6 - wide) / len(columns))
        turned = max(_longest(head) for head in heads) > 100 * side - 8
        high = 0.42 if len(rows) > 6 else 0.5
        below = 1.3 if turned else 0.3 + 0.16 * max(head.count("\n") + 1 for head in heads)
        figure = sheet(
            high * len(rows) + below + (0.3 if column else 0) + (0.36 if title else 0) + 0.2,
            width=max(wide + side * len(columns) + (0.3 if row else 0) + 0.4, 3.6),
            title=title,
        )
        axes = figure.subplots()
        for mask, colours in ((values >= 0, shades(BLUE)), (values < 0, shades(ORANGE))):
            shown = np.where(mask, np.abs(values), np.nan)
            axes.imshow(shown, cmap=colours, vmin=0, vmax=top, aspect="auto")
        size = 9.5 if side >= 0.6 else 8 if side >= 0.45 else 6.5
        for at, to in np.argwhere(np.isfinite(values)):
            dark = abs(values[at, to]) > 0.55 * top
            axes.text(to, at, _number(values[at, to], how, digits), ha="center", va="center",
                      fontsize=size, color="white" if dark else INK)  # fmt: skip
        words = {"rotation": 90} if turned else {}
        axes.set_xticks(range(len(columns)), heads, color=INK, parse_math=False, **words)
        axes.set_yticks(range(len(rows)), names, color=INK, parse_math=False)
        suffix = {"points": "points", "percent": "%"}.get(unit, how.suffix.strip())
        axes.set(xlabel=f"{column}{'   ' if column else ''}{f'(in {suffix})' if suffix else ''}",
                 ylabel=row)  # fmt: skip
        separate_cells(axes, len(rows), len(columns))
    return Picture(figure, f"{title or 'Matrix'}: {_cells(values, rows, columns, how)}.")


def _number(value: float, how: Scale, digits: str) -> str:
    written = how.bare(value, digits)
    return written.lstrip("−+") if not written.strip("−+0.") else written  # no −0.00


def _cells(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], how: Scale) -> str:
    """A small matrix in words; for a large one its shape, and its largest and smallest cells."""
    filled = np.argwhere(np.isfinite(values))
    cells = {(at, to): f"{columns[to]} {how.text(values[at, to])}" for at, to in filled}
    if not cells:
        return "every cell is empty"
    if values.size <= 25:
        lines = [
            f"{name}: {enumerated([cells[at, to] for to in range(len(columns)) if (at, to) in cells])}"
            for at, name in enumerate(rows)
        ]
        return f"⟨{'; '.join(lines)}⟩"
    ends = [filled[np.argmax([values[tuple(cell)] for cell in filled])],
            filled[np.argmin([values[tuple(cell)] for cell in filled])]]  # fmt: skip
    most, least = (f"{rows[at]}, {cells[at, to]}" for at, to in ends)
    return f"{len(rows)} × {len(columns)} cells; ⟨the largest is {most}, the smallest {least}⟩"


def _longest(text: str) -> float:
    """The width in pixels of the longest line of a tick label."""
    return max(length(line, 9.5) for line in text.split("\n"))


def _whiskers(axes: Any, across: Any, down: Any) -> list[tuple[float, float, float, float]]:
    """Boxes in pixels around a point's two whiskers."""
    to = axes.transData.transform
    half_x, half_y = np.nan_to_num([across.half_width, down.half_width])
    (left, y), (right, _) = to(
        [(across.mean - half_x, down.mean), (across.mean + half_x, down.mean)]
    )
    (x, low), (_, high) = to([(across.mean, down.mean - half_y), (across.mean, down.mean + half_y)])
    low, high = sorted((low, high))
    return [(left - 1, y - 4, right + 1, y + 4), (x - 4, low - 1, x + 4, high + 1)]
