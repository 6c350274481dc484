"""One quantity against another: a line for each series, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tlcourse.errors import DataError
from tlcourse.measure import Interval, interval
from tlcourse.plots.labels import apart, folded, settle
from tlcourse.plots.style import (
    MARKERS,
    MUTED,
    PALETTE,
    Picture,
    enumerated,
    sheet,
    styled,
    unit_axis,
    with_room,
)

Measurement = Interval | float | Sequence[float]


def lines(
    series: Mapping[str, Mapping[Any, Measurement]],
    *,
    x: str,
    y: str = "",
    unit: str | None = None,
    log: bool = False,
    chance: float | None = None,
    title: str | None = None,
) -> Picture:
    """A line for each series over x, with the interval at each point and its name at its end.

    series: name -> position -> an Interval, a number, or the values over seeds. Positions are
    numbers, or words (such as the depths of a network), which are evenly spaced in their order. x, y:
    axis labels. unit: of plain numbers, see `tlcourse.measure.units` ("percent", shares from 0 to 1,
    unless Intervals say otherwise). log: a log scale, with a position 0 set a little apart. chance:
    the value of guessing, drawn as a dotted line.
    """
    if not series or not all(series.values()):
        raise DataError("lines needs one series or more, each with one point or more.")
    positions = list(dict.fromkeys(at for points in series.values() for at in points))
    words = [at for at in positions if isinstance(at, str)]
    if words and len(words) < len(positions):
        raise DataError(f"The positions along {x!r} mix words ({words[0]!r}) and numbers.")
    if log and (words or min(positions) < 0):
        raise DataError(f"log=True wants positions from 0 upwards, not {min(positions)!r}.")
    unit = common_unit(series, unit)
    place = {at: positions.index(at) if words else at for at in positions}
    drawn = {
        name: {at: as_interval(points[at], unit) for at in sorted(points, key=place.__getitem__)}
        for name, points in series.items()
    }
    means = [point.mean for points in drawn.values() for point in points.values()]
    ends = len(drawn) + (chance is not None)
    with styled():
        height = max(3.7, 0.27 * ends + 1)
        figure = sheet(height + (0.36 if title else 0), width=7.4, title=title)
        axes = figure.subplots()
        for at, (name, points) in enumerate(drawn.items()):
            axes.errorbar(
                [place[position] for position in points],
                [point.mean for point in points.values()],
                yerr=[point.half_width for point in points.values()],
                color=PALETTE[at % len(PALETTE)],
                marker=MARKERS[at % len(MARKERS)],
                linestyle=("-", "--")[at // len(PALETTE) % 2],
                capsize=4,
                elinewidth=1.5,
                label=name,
            )
        _scale(axes, place, log=log, words=bool(words))
        axes.set(xlabel=x, ylabel=f"{y} (points)".strip() if unit == "points" else y)
        with_room(axes, unit)
        unit_axis(axes.yaxis, unit, max(map(abs, means)))
        if chance is not None:
            axes.axhline(chance, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)))
            axes.set_ylim(min(0, *means), None)
        _name_ends(axes, drawn, max(place.values()), chance)
    last = [(name, *list(points.items())[-1]) for name, points in drawn.items()]
    ends = [
        f"{name} ⟨{point.text.split(' (')[0]}⟩ at {at if words else _plain(at)}"
        for name, at, point in last
    ]
    what = f"{y or 'values'} by {x}"
    return Picture(figure, f"{title or what[0].upper() + what[1:]}: {enumerated(ends)}.")


def label_efficiency(
    results: Mapping[str, Mapping[int, Measurement]],
    *,
    chance: float | None = None,
    title: str | None = None,
) -> Picture:
    """Accuracy against labels per class: a line for each method, with the interval at each point.

    results: method -> labels per class -> an Interval, a number, or the values over seeds.
    chance: the accuracy of guessing, drawn as a line.
    """
    if not results or not all(results.values()):
        raise DataError("label_efficiency needs at least one method, each with at least one point.")
    return lines(results, x="labels a class", y="test accuracy", log=True, chance=chance,
                 title=title)  # fmt: skip


def as_interval(value: Measurement, unit: str = "percent") -> Interval:
    """A measurement as an Interval; a plain number gets no bounds."""
    if isinstance(value, Interval):
        return value
    return interval(np.atleast_1d(np.asarray(value, dtype=float)), unit=unit)


def common_unit(series: Mapping[str, Mapping[Any, Measurement]], unit: str | None) -> str:
    """The one unit of all points; plain numbers take it."""
    found = {v.unit for points in series.values() for v in points.values() if hasattr(v, "unit")}
    found |= {unit} if unit else set()
    if len(found) > 1:
        raise DataError(f"One figure shows one unit, not {' and '.join(sorted(found))}.")
    return next(iter(found), "percent")


def _plain(number: float) -> str:
    """A position in words: 10,000,000 rather than 1e+07."""
    return f"{number:,.0f}" if abs(number) >= 1e4 else f"{number:g}"


def _scale(axes: Axes, place: Mapping[Any, float], *, log: bool, words: bool) -> None:
    """Ticks on the x axis where something was measured, as many as fit."""
    spots = sorted(place.items(), key=lambda pair: pair[1])
    positive = [spot for _, spot in spots if spot > 0]
    if log and spots[0][1] > 0:
        axes.set_xscale("log", base=2)
    elif log:
        axes.set_xscale("symlog", linthresh=positive[0] if positive else 1, linscale=0.6)
    if not words and not log and len(spots) > 12:
        return
    at = axes.transScale.transform([(spot, 1) for _, spot in spots])[:, 0]
    room = (at[-1] - at[0]) or 1
    kept, reach = [], -np.inf
    for (name, spot), here in zip(spots, at, strict=True):
        text = folded(str(name), 90) if words else _plain(name)
        wide = room * (max(map(len, text.split("\n"))) * 7 + 8) / 520 / 2
        if words or here - wide >= reach:
            kept.append((spot, text))
            reach = here + wide
    crowded = words and max(len(line) for _, text in kept for line in text.split("\n")) * 7.2 > (
        520 / len(kept)
    )
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks([spot for spot, _ in kept], [text for _, text in kept], **turned)
    axes.minorticks_off()


def _name_ends(
    axes: Axes, drawn: Mapping[str, Mapping[Any, Interval]], last: float, chance: float | None
) -> None:
    """Each line's name at the right edge, moved apart if two would overlap."""
    ends = [
        (list(points.values())[-1].mean, name, PALETTE[at % len(PALETTE)], "bold")
        for at, (name, points) in enumerate(drawn.items())
    ]
    if chance is not None:
        ends.append((chance, "guessing", MUTED, "normal"))
    notes = [
        axes.annotate(folded(name, 170, bold=weight == "bold"), (1, mean), (8, 0), va="center",
                      xycoords=axes.get_yaxis_transform(), textcoords="offset points", color=colour,
                      weight=weight, parse_math=False, annotation_clip=False)
        for mean, name, colour, weight in ends
    ]  # fmt: skip
    settle(axes.figure)
    boxes = [note.get_window_extent() for note in notes]
    middles = [(box.y0 + box.y1) / 2 for box in boxes]
    frame = axes.get_window_extent()
    placed = apart(middles, [box.height + 3 for box in boxes], frame.y0 - 12, frame.y1 + 12)
    for note, was, now in zip(notes, middles, placed, strict=True):
        note.set_position((8, (now - was) * 72 / 100))
        if abs(now - was) > 9:  # far from its line: draw a leader
            y = axes.transData.transform((last, note.xy[1]))[1]
            start, end = np.array([(frame.x1, y), (frame.x1 + 9, now)]) * 72 / 100
            lead = axes.annotate("", start, end, xycoords="figure points",
                                 textcoords="figure points", annotation_clip=False,
                                 arrowprops={"arrowstyle": "-", "color": note.get_color(),
                                             "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
            lead.set_in_layout(False)
