"""How far the weights of each parameter group moved, as bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tlcourse.errors import DataError
from tlcourse.measure import Interval
from tlcourse.plots.labels import folded
from tlcourse.plots.lines import Measurement, as_interval
from tlcourse.plots.style import (
    GRID,
    INK,
    PALETTE,
    PAPER,
    Picture,
    enumerated,
    sheet,
    styled,
)


def movement(
    moved: Any,
    *,
    twin: Any = None,
    title: str | None = None,
) -> Picture:
    """How far the weights of each group moved, ‖w − w₀‖ / ‖w₀‖, as bars from the input down to the head.

    moved: a session (its last measurement, see the event `Norms`); or group -> share, a number or an
    Interval; or several of these by name, to compare. twin: the same for the run without the
    intervention. A group that moved more than four times as far as all others leaves the frame (»), so
    that the rest can be read; its number is still written.
    """
    named = _several(moved)
    if twin is not None:
        named |= {"without (twin)": _groups(twin, twin=True)}
    depth = list(dict.fromkeys(group for groups in named.values() for group in groups))
    measured = {
        name: {group: as_interval(value) for group, value in groups.items()}
        for name, groups in named.items()
    }
    means = sorted({group: max(m[group].mean for m in measured.values() if group in m)
                    for group in depth}.values())  # fmt: skip
    end = means[-1] or 1.0
    if len(means) > 1 and 0 < means[-2] < means[-1] / 4:
        end = 1.6 * means[-2]
    many = len(measured)
    thick = 0.3 if many == 1 else 0.22
    step = thick * many + 0.14
    with styled():
        head = (0.36 if title else 0) + (0.3 if many > 1 else 0)
        figure = sheet(step * len(depth) + 0.45 + head, width=7.4, title=title)
        axes = figure.subplots()
        for order, (name, groups) in enumerate(measured.items()):
            colour = PALETTE[order % len(PALETTE)]
            hollow = {"facecolor": PAPER, "hatch": "////"} if order % 2 else {"facecolor": colour}
            places = [depth.index(group) * step + order * thick for group in groups]
            shown = [min(value.mean, end) for value in groups.values()]
            axes.barh(places, shown, height=thick * 0.82, edgecolor=colour,
                      label=folded(name, 300), **hollow)  # fmt: skip
            for place, value in zip(places, groups.values(), strict=True):
                _whisker_and_number(axes, place, value, end)
        axes.set_yticks(np.arange(len(depth)) * step + thick * (many - 1) / 2,
                        [folded(group, 200) for group in depth], color=INK, fontsize=10)  # fmt: skip
        axes.set_xlim(0, end * 1.42)
        axes.set_ylim(len(depth) * step - 0.14 - thick / 2 + 0.05, -thick / 2 - 0.06)
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        axes.spines["left"].set_color(GRID)
        axes.set_xticks([])
        if many > 1:
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncols=min(many, 3), borderaxespad=0.2
            )
    sentences = [
        (f"{name}: " if many > 1 else "")
        + enumerated(
            [f"{group} ⟨{value.text.split(' (')[0]}⟩" for group, value in groups.items()], 30
        )
        for name, groups in measured.items()
    ]
    return Picture(figure, f"{title or 'How far each group moved'}: {'; '.join(sentences)}.")


def _whisker_and_number(axes: Any, place: float, value: Interval, end: float) -> None:
    """A bar's whisker and number; a bar that leaves the frame at `end` gets »."""
    half, cut = float(np.nan_to_num(value.half_width)), value.mean > end
    if half and not cut:
        axes.errorbar(value.mean, place, xerr=half, color=INK, capsize=3, linewidth=1.3)
    text = "did not move" if value.mean == 0 else value.text.split(" (")[0]
    reach = end if cut else value.mean + half
    axes.annotate(f"» {text}" if cut else text, (reach, place), (7, 0), va="center",
                  textcoords="offset points", fontsize=9.5)  # fmt: skip


def _several(moved: Any) -> dict[str, dict[str, Measurement]]:
    if isinstance(moved, Mapping) and moved and not any(_is_value(v) for v in moved.values()):
        return {name: _groups(groups) for name, groups in moved.items()}
    return {"with": _groups(moved)}


def _is_value(value: Any) -> bool:
    return not isinstance(value, Mapping) and not hasattr(value, "events")


def _groups(moved: Any, *, twin: bool = False) -> dict[str, Measurement]:
    """Group -> how far it moved, from a mapping or a run's last measurement."""
    if isinstance(moved, Mapping) and moved:
        return dict(moved)
    norms = [event for event in getattr(moved, "events", ()) if event.kind == "norms"]
    if not norms:
        raise DataError(
            "movement needs {group: share}, or a session that has measured its norms: run it longer."
        )
    return dict(norms[-1].moved)
