"""What the engine says: that a command was applied or refused, what was measured, what moved."""

import warnings
from collections.abc import Iterator

from torch import Tensor
from torch.nn import Parameter

from tlcourse.errors import CommandError

from ..commands import STEERING, Branch, Evaluate, Save
from ..events import Applied, Branched, Evaluated, Event, Moved, Norms, Refused, Saved
from .apply import apply
from .inbox import Envelope
from .training import Training

Weights = dict[str, list[tuple[Parameter, Tensor]]]


def obey(t: Training, envelope: Envelope) -> Iterator[Event]:
    """Apply one command and say what it did, or say why not."""
    command, before, twin = envelope.command, t.levers.trainable(), None
    steering = isinstance(command, STEERING)
    try:
        command.check()
        if steering:
            t.time.arrive(t)
            twin = t.time.make_twin(t) if t.time.armed else None
        apply(command, t)
    except CommandError as refusal:
        yield refused(t, envelope, str(refusal))
        return
    if steering:
        t.time.did(t, command)
    yield Applied(*_now(t), command, envelope.id, before, t.levers.trainable(), t.state())
    if twin:
        t.time.add_twin(t, twin)
        yield Branched(t.tick, t.step, twin.branch, t.branch, control=True)
    if isinstance(command, Branch):
        yield Branched(*_now(t), t.time.branches[t.branch].parent, control=False)
    elif isinstance(command, Save):
        yield Saved(*_now(t), command.name, t.time.sizes[command.name])
    elif isinstance(command, Evaluate):
        yield from measured(t, command.split)
        yield from t.meters.read(t)


def refused(t: Training, envelope: Envelope, reason: str) -> Refused:
    return Refused(*_now(t), envelope.command, envelope.id, reason)


def warn_of_refusals(events: list[Event], told: int) -> int:
    """Say in a script what nobody has seen in a cockpit: what was planned or sent from a line and
    refused. told: how many of the events were looked at before; returns how many are now."""
    for event in events[told:]:
        if isinstance(event, Refused) and event.id is None:
            text = f"Not done at step {event.step}: {event.command!r}. {event.reason}"
            warnings.warn(text, stacklevel=4)
    return len(events)


def has(t: Training, split: str) -> bool:
    part = getattr(t.data, split, None)
    return part is not None and len(part.y) > 0


def measured(t: Training, split: str) -> Iterator[Evaluated]:
    """The run, and the twin beside it."""
    for one in (t, t.time.twin):
        if one is not None:
            accuracy, loss = one.evaluate(getattr(t.data, split))
            yield Evaluated(t.tick, one.step, one.branch, split, accuracy, loss)


def moved(t: Training, since: int, weights: Weights) -> Moved:
    return Moved(*_now(t), since, t.levers.moved(weights))


def norms(t: Training) -> Norms:
    return Norms(*_now(t), t.levers.gradients(), t.levers.moved_in_all())


def _now(t: Training) -> tuple[int, int, str]:
    return t.tick, t.step, t.branch
