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
    PAPER,
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
    accuracy. The thin line is each step's loss, the thick one its moving average. An explosion may
    leave the loss's scale; the figure then says how far it went.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    events = {name: list(getattr(run, "events", run)) for name, run in named.items()}
    if not any(isinstance(event, StepDone) for some in events.values() for event in some):
        raise DataError("There is nothing to draw yet: no step was taken. Run the session first.")
    hands = {name: _interventions(some) for name, some in events.items()}
    listed = [(name, *hand) for name, some in hands.items() for hand in some]
    losses = {name: _losses(some) for name, some in events.items()}
    top = _ceiling(list(losses.values()))
    with styled():
        figure = sheet(3.3 + (0.36 if title else 0) + 0.2 * len(listed), title=title)
        loss, accuracy = figure.subplots(1, 2)
        for at, (name, some) in enumerate(events.items()):
            look = {"color": PALETTE[at % len(PALETTE)], "linestyle": _LINES[at % len(_LINES)]}
            _draw_loss(loss, some, top, name, look)
            _draw_accuracy(accuracy, some, split, name, MARKERS[at % len(MARKERS)], look)
        loss.set_title("training loss", pad=14)
        loss.set(xlabel="step", ylim=(0, 1.05 * top))
        if beyond := _beyond(losses, top):
            on_paper = {"facecolor": PAPER, "linewidth": 0}
            loss.annotate(beyond, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top",
                          fontsize=8.5, color=INK, bbox=on_paper)  # fmt: skip
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
    gone = {name for name, some in losses.items() if _beyond({name: some}, top)}
    return Picture(figure, _alt(events, hands, gone, split, title))


def _losses(events: list) -> np.ndarray:
    return np.array([event.loss for event in events if isinstance(event, StepDone)], dtype=float)


def _draw_loss(axes: Axes, events: list, top: float, name: str, look: dict[str, Any]) -> None:
    steps = [event.step for event in events if isinstance(event, StepDone)]
    losses = _losses(events)
    axes.plot(steps, losses, linewidth=0.8, alpha=0.35, color=look["color"])
    # Beyond the scale only "beyond" counts: one 1e30 would otherwise lift a whole run out of sight.
    axes.plot(steps, _smoothed(np.minimum(losses, 2 * top)), label=name, **look)


def _draw_accuracy(
    axes: Axes, events: list, split: str, name: str, marker: str, look: dict[str, Any]
) -> None:
    seen = [event for event in events if isinstance(event, Evaluated) and event.split == split]
    points = [event.step for event in seen], [event.accuracy for event in seen]
    axes.plot(*points, label=name, marker=marker, markersize=4.5, **look)


def _smoothed(losses: np.ndarray) -> np.ndarray:
    """Exponential mean of the finite losses so far; NaN where a loss is not finite.

    Looking back only: a centred mean would show an intervention's effect before the intervention.
    Divided by the weights given so far, so it starts on the first loss. As calm as the cockpit's.
    """
    keep = 1 - 1 / min(max(len(losses) / 80, 4), 100)
    smoothed = np.full(len(losses), np.nan)
    total = weight = 0.0
    for at, loss in enumerate(losses):
        if np.isfinite(loss):
            total, weight = keep * total + (1 - keep) * loss, keep * weight + (1 - keep)
            smoothed[at] = total / weight
    return smoothed


_GUESSING = 10.0  # above the cross-entropy of a guess among 1000 classes (6.9)


def _ceiling(runs: list[np.ndarray]) -> float:
    """The highest loss worth showing: explosions may leave the frame, the start may not."""
    finite = [some for losses in runs if len(some := losses[np.isfinite(losses)])]
    if not finite:
        return 1.0
    tops = []
    for losses in finite:
        start = np.median(losses[:5])
        sane = losses[losses <= max(_GUESSING, 3 * start)]
        tops.append(1.3 * max(start, np.quantile(sane, 0.98)))
    return min(max(losses.max() for losses in finite), max(tops)) or 1.0


def _beyond(runs: Mapping[str, np.ndarray], top: float) -> str:
    """What the loss's scale does not show, in words; empty if it shows everything."""
    lines = []
    for name, losses in runs.items():
        finite, of = losses[np.isfinite(losses)], f" ({name})" if name else ""
        if len(finite) and finite.max() > 1.05 * top:
            lines.append(f"↑ off this scale: up to {finite.max():.3g}{of}")
        if gone := len(losses) - len(finite):
            lines.append(f"not a number at {gone} {'step' if gone == 1 else 'steps'}{of}")
    return "\n".join(lines)


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


def _alt(events: dict, hands: dict, gone: set[str], split: str, title: str | None) -> str:
    ends = []
    for name, some in events.items():
        last = [e.accuracy for e in some if isinstance(e, Evaluated) and e.split == split]
        words = [f"step {step}: {what}" for step, what in hands[name]]
        ends.append(
            (f"{name}: " if name else "")
            + (f"{split} accuracy ⟨{last[-1] * 100:.1f} %⟩ at the end" if last else "not evaluated")
            + (", ⟨its loss off the scale for a while⟩" if name in gone else "")
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
