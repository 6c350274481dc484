"""A run: loss and accuracy over the steps, interventions, and other timelines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from tlcourse.errors import DataError
from tlcourse.plots.readings import draw_meters, legend_below, meters_in_words, shares
from tlcourse.plots.style import (
    GRID,
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    PAPER,
    Picture,
    enumerated,
    percent_axis,
    sheet,
    styled,
    with_room,
)
from tlcourse.plots.timelines import Course, Line, course_of
from tlcourse.session.commands import (
    AddLoRA,
    Augment,
    Branch,
    Freeze,
    Rewind,
    SetLR,
    SetScale,
    SetWeight,
    Stop,
    SwapHead,
    Unfreeze,
)
from tlcourse.session.events import StepDone

if TYPE_CHECKING:
    from tlcourse.session import Session
    from tlcourse.session.events import Event

_LINES = ("-", "--", "-.", ":")
TWIN = "#A3417C"  # Okabe & Ito's purple, darker: as in the cockpit
PALE = "#6B7680"


def curves(
    runs: "Session | Sequence[Event] | Mapping[str, Session | Sequence[Event]]",
    *,
    split: str = "valid",
    title: str | None = None,
) -> Picture:
    """Training loss and accuracy over the steps, interventions marked and listed below.

    runs: a session, its events, or several of these by name, drawn over each other. split: whose
    accuracy. The thin line is each step's loss, the thick one its moving average. If a run has several
    timelines, the last is drawn like that; others are grey, a twin (without the intervention) is dashed,
    and what a rewind gave up is dotted. Meters with values in 0 … 1 are drawn with the accuracy. If the
    loss leaves the scale, the figure says how far it went.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    events = {name: list(getattr(run, "events", run)) for name, run in named.items()}
    if not any(isinstance(event, StepDone) for some in events.values() for event in some):
        raise DataError("There is nothing to draw yet: no steps. Run the session first.")
    courses = {name: course_of(some) for name, some in events.items()}
    commands = {name: _interventions(course) for name, course in courses.items()}
    listed = [(name, *command) for name, some in commands.items() for command in some]
    losses = {name: course.lines[0].losses for name, course in courses.items()}
    top = max(course.top for course in courses.values())
    with styled():
        figure = sheet(3.3 + (0.36 if title else 0) + 0.2 * len(listed), title=title)
        loss, accuracy = figure.subplots(1, 2)
        for at, (name, course) in enumerate(courses.items()):
            look = {"color": PALETTE[at % len(PALETTE)], "linestyle": _LINES[at % len(_LINES)]}
            _draw_loss(loss, course, name, look)
            _draw_accuracy(accuracy, course, split, name, MARKERS[at % len(MARKERS)], look)
            draw_meters(accuracy, course, name, look["color"])
        loss.set_title("training loss", pad=14)
        loss.set(xlabel="step", ylim=(0, top))
        if beyond := _beyond(losses, top):
            on_paper = {"facecolor": PAPER, "linewidth": 0}
            loss.annotate(beyond, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top",
                          fontsize=8.5, color=INK, bbox=on_paper)  # fmt: skip
        accuracy.set_title(f"{_SPLITS.get(split, split)} accuracy", pad=14)
        accuracy.set(xlabel="step", xlim=loss.get_xlim())
        with_room(accuracy, "percent")
        percent_axis(accuracy.yaxis)
        low, high = loss.get_xlim()
        for marks in _grouped(listed, gap=(high - low) / 25):
            for axes in (loss, accuracy):
                _mark(axes, marks)
        if any(shares(course) for course in courses.values()):
            legend_below(accuracy)
        elif len(events) > 1 or any(len(course.lines) > 1 for course in courses.values()):
            accuracy.legend(loc="lower right")
        if listed:
            figure.supxlabel(_listing(listed), x=0.02, ha="left", fontsize=9.5, color=INK)
    gone = {name for name, some in losses.items() if _beyond({name: some}, top)}
    return Picture(figure, _alt(courses, commands, gone, split, title))


# -- lines -----------------------------------------------------------------------------------------

_LOOKS: dict[str, dict[str, Any]] = {
    "other": {"color": PALE, "linestyle": "-", "linewidth": 1.4},
    "twin": {"color": TWIN, "linestyle": (0, (5, 2.5)), "linewidth": 1.8},
    "gone": {"color": PALE, "linestyle": (0, (1, 2)), "linewidth": 1.3},
}


def _draw_loss(axes: Axes, course: Course, name: str, look: dict[str, Any]) -> None:
    now, *others = course.lines
    axes.plot(now.steps, now.losses, linewidth=0.8, alpha=0.35, color=look["color"])
    axes.plot(now.steps, now.smooth, label=name, **look)
    for line in others:
        axes.plot(*line.drawn(), zorder=1.8, **_LOOKS[line.role])


def _draw_accuracy(
    axes: Axes, course: Course, split: str, name: str, marker: str, look: dict[str, Any]
) -> None:
    now, *others = course.lines
    trunk = "this run" if course.now == "main" else course.now
    own = trunk if others else _SPLITS.get(split, split) if shares(course) else ""
    points = _points(now.evaluations, split)
    axes.plot(
        *points,
        label=name or own,
        marker=marker,
        markersize=4.5,
        **look,
    )
    labelled: set[str] = set()
    for line in others:
        label = _label(line, name)
        axes.plot(
            *_from(now, line, split),
            label=None if label in labelled else label,
            zorder=1.8,
            marker=marker if line.role == "twin" else None,
            markersize=3.5,
            **_LOOKS[line.role],
        )
        labelled.add(label)


def _points(evaluations: Iterable[Any], split: str) -> tuple[list[int], list[float]]:
    seen = [event for event in evaluations if event.split == split]
    return [event.step for event in seen], [event.accuracy for event in seen]


def _from(now: Line, line: Line, split: str) -> tuple[list[int], list[float]]:
    """A line's accuracies, starting at the last one that it shares with the present timeline."""
    steps, values = _points(line.evaluations, split)
    begins = line.start[0] if line.start else 0
    shared = [e for e in now.evaluations if e.split == split and e.step <= begins]
    if not steps or not shared or shared[-1].step >= steps[0]:
        return steps, values
    return [shared[-1].step, *steps], [shared[-1].accuracy, *values]


def _label(line: Line, run: str) -> str:
    word = (
        "given up"
        if line.role == "gone"
        else "without (twin)"
        if line.role == "twin"
        else line.name
    )
    return f"{run}: {word}" if run else word


def _beyond(runs: Mapping[str, np.ndarray], top: float) -> str:
    """What the loss's scale does not show, in words; empty if nothing."""
    lines = []
    for name, losses in runs.items():
        finite, of = losses[np.isfinite(losses)], f" ({name})" if name else ""
        if len(finite) and finite.max() > top:
            lines.append(f"↑ off this scale: up to {finite.max():.3g}{of}")
        if gone := len(losses) - len(finite):
            lines.append(f"not a number at {gone} {'step' if gone == 1 else 'steps'}{of}")
    return "\n".join(lines)


# -- commands -----------------------------------------------------------------------------------------


def _interventions(course: Course) -> list[tuple[int, str, str]]:
    """(step, words, role) of every applied command that changed the training. A rewind is placed at the
    step where the run was before it."""
    rewinds = iter(course.rewinds)
    found = []
    for event, role in course.hands:
        words = _WORDS.get(type(event.command))
        step = next(rewinds)[0] if isinstance(event.command, Rewind) else event.step
        if words is not None:
            found.append((step, words(event.command), role))
    return found


def _grouped(listed: list, gap: float) -> list[list[tuple[int, int, bool]]]:
    """(step, number, pale) of the listed commands; those whose numbers would overlap are grouped."""
    marks = sorted(
        (step, number, role in ("gone", "other"))
        for number, (_, step, _, role) in enumerate(listed, 1)
    )
    groups: list[list[tuple[int, int, bool]]] = []
    for mark in marks:
        if groups and mark[0] - groups[-1][-1][0] < gap:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _mark(axes: Axes, marks: list[tuple[int, int, bool]]) -> None:
    for step in {step for step, _, pale in marks if not pale} or {step for step, *_ in marks}:
        axes.axvline(step, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0.5)
    pale = all(pale for *_, pale in marks)
    axes.annotate(
        ", ".join(str(number) for number in sorted(number for _, number, _ in marks)),
        (sum(step for step, *_ in marks) / len(marks), 1),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="center",
        fontsize=8.5,
        color=INK if pale else "white",
        weight="bold",
        bbox={"boxstyle": "round,pad=0.25,rounding_size=0.6", "facecolor": GRID if pale else MUTED,
              "linewidth": 0},
    )  # fmt: skip


def _listing(listed: list[tuple[str, int, str, str]]) -> str:
    lines = []
    for number, (name, step, words, role) in enumerate(listed, 1):
        notes = [
            name,
            "given up" if role == "gone" else "on another timeline" if role == "other" else "",
        ]
        note = ", ".join(filter(None, notes))
        lines.append(f"{number}  step {step}: {words}" + (f"  ({note})" if note else ""))
    return "\n".join(lines)


def _alt(courses: dict, commands: dict, gone: set[str], split: str, title: str | None) -> str:
    ends = []
    for name, course in courses.items():
        _, last = _points(course.lines[0].evaluations, split)
        words = [f"step {step}: {what}" for step, what, _ in commands[name]]
        twin = [_points(line.evaluations, split)[1] for line in course.of("twin")]
        others = list(dict.fromkeys(line.name for line in course.of("other")))
        ends.append(
            (f"{name}: " if name else "")
            + (f"{split} accuracy ⟨{last[-1] * 100:.1f} %⟩ at the end" if last else "not evaluated")
            + (f", ⟨{twin[0][-1] * 100:.1f} %⟩ in the twin without" if twin and twin[0] else "")
            + (", ⟨its loss off the scale for a while⟩" if name in gone else "")
            + "".join(f", {reading}" for reading in meters_in_words(course))
            + (f", after {enumerated(words)}" if words else "")
            + (f", beside {enumerated(others)}" if others else "")
        )
    return f"{title or 'Training'}: loss and accuracy over the steps. {'; '.join(ends)}."


_SPLITS = {"valid": "validation", "train": "training", "test": "test"}
_WORDS = {
    SetLR: lambda c: f"learning rate of {c.group} set to {c.lr:g}",
    Freeze: lambda c: (
        f"{c.group} frozen" + ("" if c.stats else ", its BatchNorm statistics left moving")
    ),
    Unfreeze: lambda c: (
        f"{c.group} unfrozen" + ("" if c.lr is None else f", learning rate {c.lr:g}")
    ),
    AddLoRA: lambda c: f"LoRA of rank {c.rank} added to {c.group}",
    SetScale: lambda c: f"scale of {c.adapter} set to {c.value:g}",
    SwapHead: lambda c: f"a fresh {c.head} head put in",
    SetWeight: lambda c: f"weight of {c.term} set to {c.value:g}",
    Augment: lambda c: f"augmentation {c.strength:g}",
    Rewind: lambda c: (
        f"rewound to {'step ' if isinstance(c.to, int) else ''}{c.to}"
        + (f" of {c.branch}" if c.branch else "")
    ),
    Branch: lambda c: f"branch {c.name} begun" + ("" if c.at is None else f" at {c.at}"),
    Stop: lambda c: "stopped",
}
