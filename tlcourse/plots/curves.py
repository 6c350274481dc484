"""A run as it went: loss, accuracy, and every hand that was laid on it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from tlcourse.errors import DataError
from tlcourse.plots.style import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    Picture,
    enumerated,
    percent_axis,
    sheet,
    styled,
)
from tlcourse.session import Augment, Freeze, SetLR, Stop, Unfreeze
from tlcourse.session.events import Applied, Evaluated, StepDone

if TYPE_CHECKING:
    from tlcourse.session import Session
    from tlcourse.session.events import Event

_LINES = ("-", "--", "-.", ":")


def curves(
    runs: "Session | Sequence[Event] | Mapping[str, Session | Sequence[Event]]",
    *,
    split: str = "valid",
    title: str | None = None,
) -> Picture:
    """Training loss and accuracy over the steps, interventions marked and listed below.

    runs: a session, its events, or several by name, to be laid over each other. split: whose
    accuracy. The thin line is each step's loss, the thick one its moving average.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    events = {name: list(getattr(run, "events", run)) for name, run in named.items()}
    if not any(isinstance(event, StepDone) for some in events.values() for event in some):
        raise DataError("There is nothing to draw yet: no step was taken. Run the session first.")
    hands = {name: _interventions(some) for name, some in events.items()}
    listed = [(name, *hand) for name, some in hands.items() for hand in some]
    with styled():
        figure = sheet(3.3 + (0.36 if title else 0) + 0.2 * len(listed), title=title)
        loss, accuracy = figure.subplots(1, 2)
        for at, (name, some) in enumerate(events.items()):
            look = {"color": PALETTE[at % len(PALETTE)], "linestyle": _LINES[at % len(_LINES)]}
            _draw_loss(loss, some, name, look)
            _draw_accuracy(accuracy, some, split, name, MARKERS[at % len(MARKERS)], look)
        loss.set_title("training loss", pad=14)
        loss.set(xlabel="step", ylim=(0, None))
        accuracy.set_title(f"{_SPLITS.get(split, split)} accuracy", pad=14)
        accuracy.set(xlabel="step", xlim=loss.get_xlim())
        percent_axis(accuracy.yaxis)
        for step in dict.fromkeys(step for _, step, _ in listed):
            numbers = [str(n) for n, (_, other, _) in enumerate(listed, 1) if other == step]
            _mark(loss, step, ", ".join(numbers))
            _mark(accuracy, step, ", ".join(numbers))
        if len(events) > 1:
            accuracy.legend(loc="lower right")
        if listed:
            figure.supxlabel(_listing(listed), x=0.02, ha="left", fontsize=9.5, color=INK)
    return Picture(figure, _alt(events, hands, split, title))


def _draw_loss(axes: Axes, events: list, name: str, look: dict[str, Any]) -> None:
    done = [event for event in events if isinstance(event, StepDone)]
    steps, losses = [event.step for event in done], np.array([event.loss for event in done])
    axes.plot(steps, losses, linewidth=0.8, alpha=0.35, color=look["color"])
    axes.plot(steps, _smoothed(losses), label=name, **look)


def _draw_accuracy(
    axes: Axes, events: list, split: str, name: str, marker: str, look: dict[str, Any]
) -> None:
    seen = [event for event in events if isinstance(event, Evaluated) and event.split == split]
    points = [event.step for event in seen], [event.accuracy for event in seen]
    axes.plot(*points, label=name, marker=marker, markersize=4.5, **look)


def _smoothed(losses: np.ndarray) -> np.ndarray:
    """Mean of the last twentieth of the run's steps. Looking back only: a centred mean would show
    an intervention's effect before the intervention."""
    window = max(1, len(losses) // 20)
    total = np.concatenate(([0.0], np.cumsum(losses)))
    at = np.arange(len(losses)) + 1
    low = np.maximum(at - window, 0)
    return (total[at] - total[low]) / (at - low)


def _interventions(events: list) -> list[tuple[int, str]]:
    """(step, words) of every applied command that changed the training."""
    return [
        (event.step, _WORDS[type(event.command)](event.command))
        for event in events
        if isinstance(event, Applied) and type(event.command) in _WORDS
    ]


def _mark(axes: Axes, step: int, numbers: str) -> None:
    axes.axvline(step, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=0.5)
    axes.annotate(
        numbers,
        (step, 1),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="center",
        fontsize=8.5,
        color="white",
        weight="bold",
        bbox={"boxstyle": "round,pad=0.25,rounding_size=0.6", "facecolor": MUTED, "linewidth": 0},
    )


def _listing(listed: list[tuple[str, int, str]]) -> str:
    return "\n".join(
        f"{number}  step {step}: {words}" + (f"  ({name})" if name else "")
        for number, (name, step, words) in enumerate(listed, 1)
    )


def _alt(events: dict, hands: dict, split: str, title: str | None) -> str:
    ends = []
    for name, some in events.items():
        last = [e.accuracy for e in some if isinstance(e, Evaluated) and e.split == split]
        words = [f"step {step}: {what}" for step, what in hands[name]]
        ends.append(
            (f"{name}: " if name else "")
            + (f"{split} accuracy ⟨{last[-1] * 100:.1f} %⟩ at the end" if last else "not evaluated")
            + (f", after {enumerated(words)}" if words else "")
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
    Augment: lambda c: f"augmentation {c.strength:g}",
    Stop: lambda c: "stopped",
}
