"""The loop: commands in, events out. Nothing else writes to a run while it trains.

Between two steps: apply what is due. Then one step, and whatever that makes due. The caller pulls
events; a generator makes the order of things the order of the lines.
"""

from collections.abc import Iterator
from time import perf_counter

from torch import Tensor

from tlcourse.errors import CommandError

from .apply import apply
from .commands import Augment, Evaluate, Freeze, SetLR, Unfreeze
from .events import Applied, Evaluated, Event, Finished, Moved, Refused, StepDone
from .inbox import Envelope, Inbox
from .training import Training

BITE_STEPS = 5  # after so many steps, say how far the weights moved since an intervention
_STEERING = (SetLR, Freeze, Unfreeze, Augment)


def engine(t: Training, inbox: Inbox) -> Iterator[Event]:
    began = perf_counter()
    steps, eval_every = t.recipe.steps, t.recipe.eval_every
    watch: tuple[int, dict[str, list[Tensor]]] | None = None  # (tick, weights) of an intervention

    while t.ending is None:
        for envelope in inbox.due(t.step):
            event = answer(t, envelope)
            yield event
            if isinstance(event, Applied):
                if isinstance(event.command, _STEERING):
                    if watch and t.tick > watch[0]:  # answer the last one before the next begins
                        yield moved(t, *watch)
                    watch = (t.tick, t.weights())
                elif isinstance(event.command, Evaluate):
                    yield measured(t, event.command.split)
        if t.paused:
            if not inbox.wait(t.step):
                t.ending = "stopped"
        elif t.ending is None and t.step < steps:
            due = perf_counter() + 1 / t.pace if t.pace else 0.0
            loss = t.train_step()
            yield StepDone(t.tick, t.step, t.branch, loss)
            if watch and t.tick - watch[0] == BITE_STEPS:
                yield moved(t, *watch)
                watch = None
            if t.step % eval_every == 0 and t.step < steps and has(t, "valid"):
                yield measured(t, "valid")
            while due and not inbox.sent and (left := due - perf_counter()) > 0:
                inbox.linger(left)
        elif t.ending is None:
            t.ending = "done"

    if watch and t.tick > watch[0]:
        yield moved(t, *watch)
    for split in ("valid", "test"):
        if has(t, split):
            yield measured(t, split)
    for envelope in inbox.shut_down():
        yield refused(t, envelope, "The run is over; start a new Session.")
    yield Finished(t.tick, t.step, t.branch, t.ending, perf_counter() - began)


def answer(t: Training, envelope: Envelope) -> Applied | Refused:
    """Apply one command, or say why not."""
    before = t.trainable()
    try:
        envelope.command.check()
        apply(envelope.command, t)
    except CommandError as refusal:
        return refused(t, envelope, str(refusal))
    return Applied(
        t.tick,
        t.step,
        t.branch,
        envelope.command,
        envelope.id,
        before,
        t.trainable(),
        t.lrs(),
        tuple(name for name in t.names if name in t.frozen),
    )


def refused(t: Training, envelope: Envelope, reason: str) -> Refused:
    return Refused(t.tick, t.step, t.branch, envelope.command, envelope.id, reason)


def has(t: Training, split: str) -> bool:
    part = getattr(t.data, split, None)
    return part is not None and len(part.y) > 0


def measured(t: Training, split: str) -> Evaluated:
    accuracy, loss = t.evaluate(getattr(t.data, split))
    return Evaluated(t.tick, t.step, t.branch, split, accuracy, loss)


def moved(t: Training, since: int, weights: dict[str, list[Tensor]]) -> Moved:
    """‖w − w₀‖ / ‖w₀‖ of every group since that tick."""
    ratios = {}
    for name, module in t.groups.items():
        gone = sum(
            float((now.detach() - was).square().sum())
            for now, was in zip(module.parameters(), weights[name], strict=True)
        )
        size = sum(float(was.square().sum()) for was in weights[name])
        ratios[name] = (gone / size) ** 0.5 if size else float(gone > 0)
    return Moved(t.tick, t.step, t.branch, since, ratios)
