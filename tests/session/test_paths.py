"""One rule of time: what a result and a figure say of a run is what its engine did."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.plots.timelines import course_of
from tlcourse.session.engine.inbox import Envelope

from .conftest import mlp

STEPS = 30
NAMES, MARKS = ["main", "x", "y"], ["a", "b", "start"]


def trained(numbers, hand):
    """A run to which each (tick, command) was done, by nobody's hand."""
    run = tl.Session(mlp(), numbers, steps=STEPS, lr=1e-2, eval_every=7, seed=3)
    for tick, command in sorted(hand, key=lambda done: done[0]):
        run._inbox.plan(tick, Envelope(command))
    run._inbox.alone = True
    run.run()
    return run


def present(run):
    """The line that a figure draws of the timeline that trained last."""
    return course_of(run.events).of("now")[0]


DETOURS = {
    "a bookmark that outlives its stretch": [
        (20, tl.Save("m")),
        (22, tl.Rewind(5)),
        (24, tl.Rewind("m")),
    ],
    "a branch that goes on from it": [
        (20, tl.Save("m")),
        (22, tl.Rewind(5)),
        (24, tl.Branch("x", "m")),
        (29, tl.Rewind(12, "main")),
    ],
}


@pytest.mark.parametrize("hand", DETOURS.values(), ids=DETOURS)
def test_a_way_back_to_what_was_given_up_is_whole(numbers, hand):
    run, clean = trained(numbers, hand), trained(numbers, [])
    assert run.result.steps == STEPS
    assert run.result.losses.tolist() == clean.result.losses.tolist()
    line = present(run)
    assert line.steps.tolist() == list(range(1, STEPS + 1))
    assert line.losses.tolist() == clean.result.losses.tolist()


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
    st.builds(tl.SwapHead),
    st.builds(tl.Twin, st.booleans()),
    st.builds(tl.Evaluate),
)
HANDS = st.lists(st.tuples(st.integers(0, STEPS + 15), COMMANDS), max_size=12)


def check_one_truth(numbers, hand):
    """Engine, result and figure agree, and the present timeline is the same as without any detour."""
    run = trained(numbers, hand)
    time, here = run._training.time, run._training
    states = {line.name: line for line in run.timelines}
    assert {n: len(c.losses) for n, c in run.result.timelines.items()} == {
        n: line.step for n, line in states.items()
    }
    line = present(run)
    assert line.steps.tolist() == list(range(1, here.step + 1))
    assert line.losses.tolist() == run.result.losses.tolist()
    straight = trained(numbers, time.branches[here.branch].history)
    assert run.result.losses.tolist() == straight.result.losses.tolist()[: here.step]
    assert here.step == STEPS


@settings(max_examples=40)
@given(HANDS)
def test_whatever_a_hand_does_there_is_one_truth(numbers, hand):
    check_one_truth(numbers, hand)


@pytest.mark.release
@settings(max_examples=1000)
@given(HANDS)
def test_whatever_a_thousand_hands_do_there_is_one_truth(numbers, hand):
    check_one_truth(numbers, hand)
