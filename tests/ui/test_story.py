"""What views are told is what happened."""

import json
import math

import numpy as np
import pytest

import tlcourse as tl
from tlcourse.session import Applied, Evaluated, Moved, Refused, StepDone
from tlcourse.ui.still import still
from tlcourse.ui.story import Story, thin
from tlcourse.ui.words import say, show

from .conftest import make_run


@pytest.fixture(scope="module")
def steered():
    run = make_run(steps=60)
    run.at(10, tl.Unfreeze("body", lr=1e-3))
    run.at(20, tl.SetLR("head", 3e-4))
    run.at(30, tl.Unfreeze("body"))  # refused: it trains already
    run.run()
    return run


def events(run, kind):
    return [event for event in run.events if isinstance(event, kind)]


def test_a_story_read_at_once_holds_every_event(steered):
    story = Story(steered)
    delta = story.read()
    assert np.allclose(story.losses, [e.loss for e in events(steered, StepDone)])
    assert len(story.losses) == 60
    assert [e["tick"] for e in delta["evals"]] == [e.tick for e in events(steered, Evaluated)]
    assert [n["tick"] for n in delta["notes"]] == [10, 20, 30]
    assert [n["ok"] for n in delta["notes"]] == [True, True, False]
    refused = events(steered, Refused)[0]
    assert delta["notes"][2]["reason"] == refused.reason
    assert delta["notes"][2]["text"] == "not done: unfreeze body"
    assert len(delta["moved"]) == len(events(steered, Moved)) >= 2
    assert story.read() is None


def test_deltas_read_in_pieces_make_the_same_story(steered):
    whole, pieces = Story(steered), Story(steered)
    whole.read()
    everything, steered_events = steered.events, []
    pieces.run = type("Part", (), {"__getattr__": lambda _, name: getattr(steered, name)})()
    losses = []
    for end in range(7, len(everything) + 7, 7):
        steered_events = everything[:end]
        pieces.run.events = steered_events
        delta = pieces.read()
        assert delta["from"] == len(losses)
        losses = list(pieces.losses)
    assert losses == list(whole.losses)
    assert pieces.notes == whole.notes
    assert pieces.evals == whole.evals


def test_the_end_is_told_also_when_its_event_came_a_moment_earlier(steered):
    class JustBefore:
        status = "running"

        def __getattr__(self, name):
            return getattr(steered, name)

    run = JustBefore()
    story = Story(run)
    assert story.read()["state"]["status"] == "running"
    assert story.read() is None
    run.status = "finished"
    assert story.read()["state"]["status"] == "finished"
    assert story.read() is None


def test_a_note_says_what_the_intervention_did(steered):
    story = Story(steered)
    story.read()
    note, applied = story.notes[0], events(steered, Applied)[0]
    assert note["text"] == "unfroze body at lr 0.001"
    assert (note["before"], note["after"]) == (applied.trainable_before, applied.trainable_after)
    assert note["before"] < note["after"]
    assert note["moved"]["body"] > 0
    assert note["moved"] == events(steered, Moved)[0].moved


def test_groups_are_told_when_they_changed(steered):
    story = Story(steered)
    assert story.groups == [
        {"name": g.name, "parameters": g.parameters, "trainable": g.trainable, "lr": g.lr}
        for g in steered.groups
    ]
    assert [g["trainable"] for g in story.read()["groups"]] == [True, True]


def test_the_saved_state_is_json_small_and_complete():
    def diverging(logits, target):
        return logits.sum() * float("nan")

    run = make_run(steps=3000, loss=diverging, eval_every=3000)
    run.run()
    story = Story(run)
    story.read()
    text = json.dumps(story.compact(), allow_nan=False)
    assert len(text) < 40_000
    assert json.loads(text)["now"]["status"] == "finished"
    assert len(story.losses) == 3000 and math.isnan(story.losses[-1])


def test_thinning_keeps_both_ends_and_the_spike():
    y = np.ones(100_000, dtype=np.float32)
    y[54_321] = 9
    x, thinned = thin(y, 800)
    assert len(x) <= 802
    assert (x[0], x[-1]) == (1, 100_000)
    assert thinned[list(x).index(54_322)] == 9
    short = np.arange(5, dtype=np.float32)
    assert [part.tolist() for part in thin(short, 800)] == [[1, 2, 3, 4, 5], [0, 1, 2, 3, 4]]


def test_the_picture_shows_curve_marks_and_outcome(steered):
    story = Story(steered)
    story.read()
    svg = still(story)
    assert svg.startswith("<svg") and svg.endswith("</svg>")
    assert "finished after 60 of 60 steps" in svg
    assert svg.count("stroke-dasharray") == 2  # two applied interventions, not the refused one
    assert "unfroze body at lr 0.001" in svg
    assert len(svg) < 30_000


def test_the_picture_of_a_run_that_explodes_still_shows_how_it_began():
    calls = []

    def exploding(logits, target):
        calls.extend([1] if logits.requires_grad else [])
        return logits.square().mean() * 0 + (2.0 if len(calls) <= 20 else 1e30)

    run = make_run(steps=40, loss=exploding, eval_every=40)
    run.run()
    story = Story(run)
    story.read()
    curve = still(story).split('<polyline points="')[1].split('"')[0]
    heights = [float(point.split(",")[1]) for point in curve.split()]
    assert heights[0] == pytest.approx(
        34 + 150 * (1 - 2 / 5), abs=0.1
    )  # 2 on a scale that ends at 5
    assert heights[-1] == pytest.approx(34 - 15, abs=0.1)  # just above the frame


def test_movement_is_credited_once_to_a_command_that_can_have_caused_it():
    run = make_run(steps=30)
    for command in (tl.Pause(), tl.Unfreeze("body"), tl.SetLR("body", 0.1), tl.Evaluate()):
        run.at(10, command)
    run.at(10, tl.Resume())
    run.run()
    story = Story(run)
    story.read()
    assert [note["kind"] for note in story.notes if note["tick"] == 10] == [
        "pause", "unfreeze", "set_lr", "evaluate", "resume",
    ]  # fmt: skip
    assert [note["kind"] for note in story.notes if "moved" in note] == ["set_lr"]


def test_a_loss_that_stays_no_number_is_told_with_its_step():
    calls = []

    def lost(logits, target):
        calls.extend([1] if logits.requires_grad else [])
        bad = len(calls) == 3 or len(calls) >= 12
        return logits.square().mean() * 0 + (math.inf if bad else 1.0)

    run = make_run(steps=20, loss=lost, eval_every=20)
    run.run()
    story = Story(run)
    assert story.now()["lost"] is None
    story.read()
    assert story.now()["lost"] == 12
    assert story.compact()["now"]["lost"] == 12


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (tl.SetLR("head", 3e-4), "lr of head set to 3e-4"),
        (tl.Freeze("head"), "froze head"),
        (tl.Freeze("head", stats=False), "froze head, its BatchNorm statistics go on moving"),
        (tl.Augment(0.5), "augmentation 0.5"),
        (tl.Augment(0), "augmentation off"),
        (tl.Evaluate("test"), "evaluated on test"),
        (tl.Stop(), "stopped"),
    ],
)
def test_commands_in_words(command, words):
    assert say(command) == words


def test_rates_are_shown_as_the_fields_show_them():
    assert [show(lr) for lr in (3e-4, 0.001, 0.0123456, 1.0)] == ["3e-4", "0.001", "0.0123", "1"]
