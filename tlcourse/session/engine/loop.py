"""The loop: commands in, events out. Nothing else writes to a run while it trains.

Between two steps it applies what is due; then it takes a step, and does what that makes due. The caller
pulls the events out of this generator, so things happen in the order of its lines.
"""

from collections.abc import Callable, Iterator
from math import isfinite
from time import perf_counter

from ..commands import STEERING, Branch, Rewind
from ..events import Applied, Event, Finished, StepDone, Warned
from ..threads.time_budget import TimeBudget
from .boundary import moved, norms, obey, refused
from .inbox import Inbox
from .processes import SharedBudget, SharedInbox
from .questions import answer
from .training import Training

BITE_STEPS = 5  # after so many steps, say how far the weights moved since an intervention

LOST = "The loss is {} at step {}: rewind to before it, and go on with a lower rate."


def events_of(t: Training, inbox: Inbox) -> Iterator[Event]:
    """The engine's events, in one process or several, with those of the autosave."""
    if t.ranks is None:
        events = engine(t, inbox)
    else:
        shared = SharedInbox(t.ranks, inbox)
        events = engine(t, shared, shared.budget)
    return t.autosave.around(t, events) if t.autosave else events


def engine(
    t: Training,
    inbox: Inbox | SharedInbox,
    budget: Callable[[], TimeBudget | SharedBudget] = TimeBudget,
) -> Iterator[Event]:
    t.began = perf_counter()
    steps, eval_every = t.recipe.steps, t.recipe.eval_every
    keeping, looking = budget(), budget()
    watch = None  # (tick, weights) of an intervention
    lost = False  # the loss is not a number
    yield from t.meters.begin(t)

    while t.ending is None:
        for envelope in inbox.due(t.step, t.tick):
            steering = isinstance(envelope.command, STEERING)
            if steering and watch and t.tick > watch[0]:  # answer the last before the next begins
                yield moved(t, *watch)
                watch = None
            for event in obey(t, envelope):
                yield event
                if isinstance(event, Applied):
                    if steering:
                        watch = (t.tick, t.levers.weights())
                    elif isinstance(event.command, Rewind | Branch):
                        watch = None
        answer(inbox, t.model)
        if t.autosave and (t.paused or watch is None):
            yield from t.autosave.between(t)
        if t.paused:
            if not inbox.wait(t.step, t.tick):
                t.ending = "stopped"
        elif t.ending is None and t.step < steps:
            due = perf_counter() + 1 / t.pace if t.pace else 0.0
            loss, terms = t.train_step()
            yield StepDone(t.tick, t.step, t.branch, loss, terms)
            if lost != (lost := not isfinite(loss)) and lost:
                yield Warned(t.tick, t.step, t.branch, LOST.format(loss, t.step))
            if twin := t.time.twin:
                loss, terms = twin.train_step()
                yield StepDone(t.tick, twin.step, twin.branch, loss, terms)
            if watch and t.tick - watch[0] == BITE_STEPS:
                yield moved(t, *watch)
                watch = None
            if t.step % eval_every == 0 and t.step < steps:
                yield from t.measured("valid")
            if keeping.due():
                with keeping.spending():
                    t.time.keep(t)
            if looking.due():
                with looking.spending():
                    measured = norms(t)
                yield measured
            while due and not inbox.sent and (left := due - perf_counter()) > 0:
                inbox.linger(left)
                answer(inbox, t.model)
        elif t.ending is None:
            t.ending = "done"

    if watch and t.tick > watch[0]:
        yield moved(t, *watch)
    yield from t.evaluated("valid")
    yield from t.measured("test")
    t.time.end_twin()
    t.time.rest(t)
    t.seconds += perf_counter() - t.began
    for envelope in inbox.shut_down():
        yield refused(
            t, envelope, "The run is over; Rewind or Branch goes on from an earlier step."
        )
    yield Finished(t.tick, t.step, t.branch, t.ending, t.seconds)
