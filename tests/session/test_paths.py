"""One rule of time: what a result and a figure say of a run is what its engine did."""

import tempfile

import pytest
from hypothesis import given, settings

import tlcourse as tl
from tlcourse.plots.timelines import course_of
from tlcourse.session.recording import _Shown
from tlcourse.session.timelines.paths import Paths

from .conftest import mlp
from .hands import DETOURS, HANDS, STEPS, trained


def present(run):
    """The line that a figure draws of the timeline that trained last."""
    return course_of(run.events).of("now")[0]


def loaded(run):
    with tempfile.TemporaryDirectory() as folder:
        return tl.Recording.load(run.record.save(f"{folder}/run.jsonl"))


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


def check_one_truth(numbers, hand, folder=None):
    """Engine, result, figure, recording and file agree, and the present timeline is the same as without
    any detour. folder: save the run there, and resume it."""
    run = trained(numbers, hand, folder)
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
    shown, seen = _Shown(run.began), 0
    for count, real in getattr(run.events, "shown", ()):
        for event in run.events[seen:count]:
            shown.take(event)
        seen, now = count, [(g.name, g.trainable, g.lr) for g in shown.state.groups]
        assert (shown.step, shown.branch, shown.twin, now) == real
    if folder:
        resumed = tl.resume(folder, model=mlp(), data=numbers)
        assert resumed.events == run.events and resumed.timelines == run.timelines
        assert resumed.groups == run.groups and resumed.bookmarks == run.bookmarks
        assert resumed.result.losses.tolist() == run.result.losses.tolist()
    straight = trained(numbers, time.branches[here.branch].history.since())
    assert run.result.losses.tolist() == straight.result.losses.tolist()[: here.step]
    assert here.step == STEPS


TWIN = [(3, tl.Twin()), (4, tl.SetLR("head", 0.03))]


@pytest.mark.parametrize(
    "hand",
    [
        [*TWIN, (8, tl.Branch("x"))],
        [*TWIN, (8, tl.Rewind(2))],
        [*TWIN, (8, tl.Twin(False))],
        [*TWIN, (8, tl.Twin()), (9, tl.SetLR("body", 0.03))],
    ],
    ids=["by a branch", "by a rewind", "by hand", "by another"],
)
def test_a_twin_is_ended(numbers, hand):
    check_one_truth(numbers, hand)


@settings(max_examples=40)
@given(HANDS)
def test_whatever_a_hand_does_there_is_one_truth(numbers, hand):
    check_one_truth(numbers, hand)


@settings(max_examples=5)
@given(HANDS)
def test_whatever_a_hand_did_is_saved_and_resumed(numbers, hand):
    with tempfile.TemporaryDirectory() as folder:
        check_one_truth(numbers, hand, f"{folder}/run")


@pytest.mark.release
@settings(max_examples=1000)
@given(HANDS)
def test_whatever_a_thousand_hands_do_there_is_one_truth(numbers, hand):
    check_one_truth(numbers, hand)


def test_tracks_hold_every_event_once(numbers):
    run = trained(numbers, DETOURS["a branch that goes on from it"])
    paths = Paths(run.events)
    tracks = paths.tracks()
    held = [at for t in tracks for stretch, low, high in t.parts for at in stretch.at[low:high]]
    assert sorted(held) == list(range(len(run.events)))
    assert [(track.name, track.role) for track in tracks] == [
        ("main", "now"),
        ("x", "other"),
        ("main", "gone"),
        ("main", "gone"),
    ]
    assert [s.left and paths.step(*s.left) for s in paths.stretches] == [None, 22, 7, 25]
    assert [stretch.others for stretch in paths.stretches] == [
        [k for k, at in enumerate(s.at) if not isinstance(run.events[at], tl.session.StepDone)]
        for s in paths.stretches
    ]


def test_a_figure_of_a_run_that_goes_on_shows_what_was_taken(numbers):
    """The cockpit's paths read the run's own log, which is ahead of them while the run trains."""
    run = trained(numbers, [(10, tl.SetLR("head", 0.03)), (20, tl.SetLR("head", 0.01))])
    half = next(n for n, e in enumerate(run.events) if e.tick == 15)
    paths = Paths(run.events, until=half)
    behind, whole = course_of(paths), course_of(run.events[:half])
    assert behind.hands == whole.hands and behind.tip == whole.tip == 14
    assert behind.lines[0].losses.tolist() == whole.lines[0].losses.tolist()


def test_events_taken_a_few_at_a_time_make_the_same_tree(numbers):
    run = trained(
        numbers, [*DETOURS["a branch that goes on from it"], (3, tl.Twin()), (4, tl.Stop())]
    )
    whole, pieces = Paths(run.events), Paths(run.events, until=0)
    for at in range(0, len(run.events), 3):
        pieces.follow(min(at + 3, len(run.events)))
    assert [(s.branch, s.root, s.at, s.others) for s in pieces.stretches] == [
        (s.branch, s.root, s.at, s.others) for s in whole.stretches
    ]
    assert pieces.now == whole.now and list(pieces.tips) == list(whole.tips)
