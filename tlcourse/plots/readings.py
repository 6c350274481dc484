"""Readings of a run's meters, as lines with its accuracy."""

from collections.abc import Iterable
from math import ceil
from typing import Any

from matplotlib.axes import Axes

from tlcourse.plots.style import MARKERS, PALETTE, PAPER
from tlcourse.plots.timelines import Course, Line
from tlcourse.session.events import Metered

COLOURS = (PALETTE[2], "#7A4FB3", "#8A6A00", PALETTE[6])  # as in the cockpit; not the twin's
STYLES: dict[str, dict[str, Any]] = {
    "now": {"linestyle": "-", "linewidth": 1.8},
    "twin": {"linestyle": (0, (5, 2.5)), "linewidth": 1.6},
    "other": {"linestyle": "-", "linewidth": 1.2, "alpha": 0.5},
}


def shares(course: Course) -> dict[str, str]:
    """The colour of each meter that can be drawn with an accuracy: all its readings lie in 0 … 1."""
    read: dict[str, list[float]] = {}
    for line in course.lines:
        for event in line.readings:
            read.setdefault(event.name, []).append(event.value)
    return {
        name: COLOURS[at % len(COLOURS)]
        for at, (name, values) in enumerate(read.items())
        if all(0 <= value <= 1 for value in values)
    }


def series(now: Line, line: Line, name: str) -> tuple[list[int], list[float]]:
    """(steps, values) of a meter on a line, from the last reading shared with the present one."""
    mine = _of(line.readings, name)
    if line is not now and mine:
        begins = line.start[0] if line.start else 0
        mine = [e for e in _of(now.readings, name) if e.step <= begins][-1:] + mine
    return [e.step for e in mine], [e.value for e in mine]


def draw_meters(axes: Axes, course: Course, run: str, run_colour: str) -> None:
    """run: its name, if several are drawn; then colours tell runs apart and markers meters. Else ""."""
    now = course.lines[0]
    for number, (name, colour) in enumerate(shares(course).items()):
        marker = MARKERS[(number + 1) % len(MARKERS)]
        style = {"color": colour, "marker": marker, "markersize": 4}
        if run:
            style |= {"color": run_colour, "markerfacecolor": PAPER}
        for line in course.lines:
            steps, values = series(now, line, name)
            if line.role not in STYLES or not steps:
                continue
            shown = (f"{run}: {name}" if run else name) if line is now else None
            look = STYLES[line.role] | ({"linewidth": 1.0} if run else {})
            axes.plot(steps, values, label=shown, zorder=1.9, **style, **look)


def legend_below(axes: Axes) -> None:
    """Put the legend below the axis, and make the figure taller: many lines leave no room among them."""
    held = axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.17),
        ncols=3,
        columnspacing=1.2,
        handlelength=1.8,
    )
    figure = axes.figure
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.2 * ceil(len(held.get_texts()) / 3) + 0.05)


def meters_in_words(course: Course) -> list[str]:
    """Each meter's reading at the beginning, at the end, and in the twin."""
    now, sentences = course.lines[0], []
    twins = course.of("twin")
    for name in dict.fromkeys(event.name for event in now.readings):
        share = name in shares(course)
        _, values = series(now, now, name)
        in_twins = [series(now, twin, name)[1] for twin in twins]
        sentences.append(
            f"{name} ⟨{_words(values[-1], share)}⟩ at the end"
            + (f" and ⟨{_words(values[0], share)}⟩ at the beginning" if len(values) > 1 else "")
            + (
                f", ⟨{_words(in_twins[0][-1], share)}⟩ in the twin"
                if in_twins and in_twins[0]
                else ""
            )
        )
    return sentences


def _of(readings: Iterable[Metered], name: str) -> list[Metered]:
    return [event for event in readings if event.name == name]


def _words(value: float, share: bool) -> str:
    return f"{value * 100:.1f} %" if share else f"{value:.3g}"
