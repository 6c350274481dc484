"""Runs steered at random or on purpose, for whoever tests the rule of time."""

from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.session import StepDone
from tlcourse.session.engine.inbox import Envelope
from tlcourse.session.eventlog import EventLog

from .conftest import mlp

STEPS = 30
NAMES, MARKS = ["main", "x", "y"], ["a", "b", "start"]


class Watched(EventLog):
    """Events, and what the run shows after each of its steps."""

    def __init__(self, run, show):
        super().__init__()
        self.run, self.show, self.shown = run, show, []

    def append(self, event):
        super().append(event)
        if isinstance(event, StepDone) and event.branch == self.run.branch:
            self.shown.append((len(self), self.show(self.run)))


def shown_by(run):
    return run.step, run.branch, run.twin, [(g.name, g.trainable, g.lr) for g in run.groups]


def trained(numbers, hand, folder=None):
    """A run to which each (tick, command) was done, by nobody's hand."""
    more = {} if folder is None else {"autosave": folder, "autosave_s": 60}
    run = tl.Session(mlp(), numbers, steps=STEPS, lr=1e-2, eval_every=7, seed=3, **more)
    if folder is None:
        run.events = Watched(run, shown_by)
    for tick, command in sorted(hand, key=lambda done: done[0]):
        run._inbox.plan(tick, Envelope(command))
    run._inbox.alone = True
    run.run()
    return run


DETOURS = {
    "a branch before the first step": [(0, tl.Branch("x")), (20, tl.Save("m"))],
    "a branch before the first step, after a command": [(0, tl.Save("m")), (0, tl.Branch("x"))],
    "a bookmark that outlives its stretch": [
        (20, tl.Save("m")),
        (22, tl.Rewind(5)),
        (24, tl.Rewind("m")),
    ],
    "a branch that goes on from it": [
        (20, tl.Save("m")),
        (22, tl.Rewind(5)),
        (24, tl.Branch("x", "m")),
        (29, tl.Rewind(6, "main")),
    ],
}

COMMANDS = st.one_of(
    st.builds(tl.Rewind, st.integers(0, STEPS)),
    st.builds(tl.Rewind, st.integers(0, STEPS), st.sampled_from(NAMES)),
    st.builds(tl.Rewind, st.sampled_from(MARKS)),
    st.builds(tl.Rewind, st.sampled_from(MARKS), st.sampled_from(NAMES)),
    st.builds(tl.Branch, st.sampled_from(NAMES)),
    st.builds(tl.Branch, st.sampled_from(NAMES), st.integers(0, STEPS)),
    st.builds(tl.Branch, st.sampled_from(NAMES), st.sampled_from(MARKS)),
    st.builds(tl.Save, st.sampled_from(MARKS)),
    st.builds(tl.SetLR, st.sampled_from(["head", "body"]), st.sampled_from([0.01, 0.03])),
    st.builds(tl.Freeze, st.just("body")),
    st.builds(tl.Unfreeze, st.just("body")),
    st.builds(tl.SwapHead, st.sampled_from(["linear", "mlp"])),
    st.builds(tl.Freeze, st.just("head")),
    st.builds(tl.Unfreeze, st.just("all"), st.just(0.02)),
    st.builds(tl.AddLoRA, st.sampled_from(["body", "all"]), st.just(2)),
    st.builds(tl.SetScale, st.just("lora"), st.just(0.5)),
    st.builds(tl.Twin, st.booleans()),
    st.builds(tl.Evaluate),
)
HANDS = st.lists(st.tuples(st.integers(0, STEPS + 15), COMMANDS), max_size=12)
