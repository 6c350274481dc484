"""Between two steps: a command is applied, or refused with the reason; and what is measured then.

One boundary for a Session's loop and for a loop of somebody else: both are a `State`.
"""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from tlcourse.errors import CommandError

from ..commands import (
    STEERING,
    AddLoRA,
    Branch,
    Command,
    Evaluate,
    Rewind,
    Save,
    SetLR,
    SwapHead,
    Unfreeze,
    members,
)
from ..eventlog import EventLog
from ..events import Applied, Branched, Event, Moved, Norms, Refused, Saved, Warned
from ..model.groups import Levers, Weights
from ..state import RunState
from .inbox import Envelope

TWIN_OFF = (
    "The twin is off: it can only follow a run that goes straight on. Turn it on again before the "
    "next change that you want to compare."
)


class Moments(Protocol):
    """The moments of a run that can be gone back to."""

    armed: bool
    twin: Any  # the copy that trains beside, or None
    sizes: dict[str, float]  # bookmark → MB

    def arrive(self, t: Any) -> None:
        """Before an intervention: keep the state on arrival."""

    def did(self, t: Any, command: Command) -> None:
        """Remember a command that changes how the run goes on."""

    def parent(self, branch: str) -> str | None: ...

    def make_twin(self, t: Any) -> Any: ...

    def add_twin(self, t: Any, twin: Any) -> None: ...


@runtime_checkable
class State(Protocol):
    """What commands act on: the `Training` of a Session, or the `Loop` of somebody else.

    tick, step: optimizer steps taken in all, and the position; ending: why the run is to end; weights:
    of the loss's further terms; augment: strength 0 … 1, None where nothing can be augmented.
    """

    tick: int
    step: int
    branch: str
    paused: bool
    ending: str | None
    levers: Levers
    weights: dict[str, float]
    augment: float | None
    time: Moments

    def apply(self, command: Command) -> None:
        """Do it, or raise CommandError with the reason before anything has changed."""

    def measured(self, split: str) -> Iterator[Event]:
        """What there is to measure on a split, the twin's too."""

    def state(self) -> RunState:
        """Groups, weights and augmentation as they are now."""


def check_command(
    command: object, levers: Levers, waiting: Iterable[Envelope], sender: str = "run"
) -> None:
    """Is it a command, are its arguments good, is there such a group? CommandError if not.
    waiting: what was sent before it, and may make the group."""
    if not isinstance(command, Command):
        raise CommandError(
            f"{command!r} is not a command. Write for instance {sender}.send(tl.Freeze('backbone'))."
        )
    command.check()
    group = getattr(command, "group", None)
    coming = {e.command.name for e in waiting if isinstance(e.command, AddLoRA)}
    if group and group not in coming:
        members(group, levers.names, levers.added)


def check_rate(command: Command, levers: Levers) -> None:
    """CommandError for a rate that is sent while the schedule multiplies it by 0."""
    if not isinstance(command, SetLR | Unfreeze | AddLoRA | SwapHead) or command.lr is None:
        return
    group = levers.names[-1] if isinstance(command, SwapHead) else command.group
    named = members(group, levers.names, levers.added)
    if still := [name for name in named if not levers.optimizer.base(name)]:
        later = "" if isinstance(command, SetLR) else ", or without lr"
        raise CommandError(
            f"Your schedule holds the rate of {', '.join(still)} at 0 at this step (in a warm-up, or at "
            f"its end), and no factor makes {command.lr:g} of 0. Send it again some steps later{later}."
        )


def obey(t: State, envelope: Envelope) -> Iterator[Event]:
    """Apply one command and say what it did, or why not."""
    command, before, twin = envelope.command, t.levers.trainable(), None
    steering, beside = isinstance(command, STEERING), t.time.twin
    try:
        command.check()
        check_rate(command, t.levers)
        if steering:
            t.time.arrive(t)
            twin = t.time.make_twin(t) if t.time.armed else None
        t.apply(command)
    except CommandError as refusal:
        yield refused(t, envelope, str(refusal))
        return
    if steering:
        t.time.did(t, command)
    yield Applied(*now(t), command, envelope.id, before, t.levers.trainable(), t.state())
    if twin:
        t.time.add_twin(t, twin)
        yield Branched(t.tick, t.step, twin.branch, t.branch, control=True)
    if isinstance(command, Branch):
        yield Branched(*now(t), t.time.parent(t.branch), control=False)
    elif isinstance(command, Save):
        yield Saved(*now(t), command.name, t.time.sizes[command.name])
    elif isinstance(command, Evaluate):
        yield from t.measured(command.split)
    if isinstance(command, Rewind | Branch):
        yield norms(t, stepped=False)  # else the last measurement is of a future that was given up
        if beside:
            yield Warned(*now(t), TWIN_OFF)


def refused(t: State, envelope: Envelope, reason: str) -> Refused:
    return Refused(*now(t), envelope.command, envelope.id, reason)


def warn_of_trouble(events: EventLog, seen: int) -> int:
    """Warn in a script of what nobody has seen in a cockpit: a loss that is not a number, and what was
    planned or sent from a line and refused. seen: how many of the events were looked at before; returns
    how many are now."""
    until = len(events)
    for _, event in events.parts(seen, until):
        if isinstance(event, Refused) and event.id is None:
            text = f"Not done at step {event.step}: {event.command!r}. {event.reason}"
            warnings.warn(text, stacklevel=4)
        elif isinstance(event, Warned) and event.text != TWIN_OFF:
            warnings.warn(event.text, stacklevel=4)
    return until


def moved(t: State, since: int, weights: Weights) -> Moved:
    return Moved(*now(t), since, t.levers.moved(weights))


def norms(t: State, *, stepped: bool = True) -> Norms:
    """stepped: whether the gradients are those of the step before."""
    rates = t.levers.lrs() if t.levers.optimizer.scheduled else None
    gradients = t.levers.gradients() if stepped else {}
    return Norms(*now(t), gradients, t.levers.moved_in_all(), rates)


def now(t: State) -> tuple[int, int, str]:
    return t.tick, t.step, t.branch
