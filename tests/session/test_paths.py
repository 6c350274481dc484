"""One rule of time: what a result and a figure say of a run is what its engine did."""

import tempfile

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


def loaded(run):
    with tempfile.TemporaryDirectory() as folder:
        return tl.Recording.load(run.record.save(f"{folder}/run.jsonl"))


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


def test_a_recording_shows_the_state_that_the_run_had(numbers):
    run = tl.Session(mlp(), numbers, steps=12, lr=1e-2, freeze="body", seed=3)
    hand = [
        (2, tl.AddLoRA("body", rank=2)),
        (3, tl.Freeze("head")),
        (4, tl.SwapHead("mlp")),  # of a frozen head, which stays frozen
        (5, tl.SetLR("lora", 0.02)),
        (6, tl.Unfreeze("all", 0.005)),  # the adapter trains already, and keeps its rate
        (8, tl.Rewind(3)),
    ]
    for step, command in hand:
        run.at(step, command)
    run.run()
    recording = tl.Recording.of(run)
    recording.start()
    recording.pause()
    applied = [event for event in run.events if isinstance(event, tl.session.Applied)]
    assert [type(event.command) for event in applied] == [type(command) for _, command in hand]
    shown = [
        {g.name: (g.trainable, g.lr, g.parameters) for g in event.state.groups} for event in applied
    ]
    swapped, thawed, back = shown[2], shown[4], shown[5]
    assert swapped["head"] == (False, 0.01, 16 * 16 + 16 + 16 * 2 + 2)
    assert thawed["lora"][:2] == (True, 0.02) and thawed["head"][:2] == (True, 0.005)
    assert back["head"] == (True, 0.01, 16 * 2 + 2), "as on arrival"
    recording.seek(recording.length)
    assert recording.groups == run.groups == applied[-1].state.groups


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
    for recording in (tl.Recording.of(run), loaded(run)):
        recording.start()
        recording.seek(recording.length)
        assert recording.timelines == run.timelines
        assert [b.name for b in recording.bookmarks] == [b.name for b in run.bookmarks]
        assert (recording.step, recording.branch, recording.twin) == (
            run.step,
            run.branch,
            run.twin,
        )
        shown, real = (
            [(g.name, g.trainable, g.lr) for g in one.groups] for one in (recording, run)
        )
        assert shown == real
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
