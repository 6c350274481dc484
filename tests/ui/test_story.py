"""What views are told is what happened."""

import json
import math
from dataclasses import MISSING, fields

import numpy as np
import pytest

import tlcourse as tl
from tlcourse.session import Applied, Evaluated, Moved, Refused, StepDone, kinds
from tlcourse.session.eventlog import EventLog
from tlcourse.ui.cockpit.story import Story
from tlcourse.ui.cockpit.stream import thin
from tlcourse.ui.cockpit.words import asked, code, say, show

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


def losses(story, name="main"):
    return [loss for one in story.streams if one.stretch.branch == name for loss in one.losses]


def test_a_story_read_at_once_holds_every_event(steered):
    story = Story(steered)
    delta, buffers = story.read()
    assert np.allclose(losses(story), [e.loss for e in events(steered, StepDone)])
    assert np.frombuffer(buffers[0], dtype=np.float32).tolist() == losses(story)
    assert story.streams[0].curve()[0].tolist() == list(range(1, 61))
    assert [e["tick"] for e in delta["evals"]] == [e.tick for e in events(steered, Evaluated)]
    assert [n["tick"] for n in delta["notes"]] == [10, 20, 30]
    assert [n["ok"] for n in delta["notes"]] == [True, True, False]
    refused = events(steered, Refused)[0]
    assert delta["notes"][2]["reason"] == refused.reason
    assert delta["notes"][2]["text"] == "not done: unfreeze body"
    assert len(delta["moved"]) == len(events(steered, Moved)) >= 2
    assert story.read() is None


def in_pieces(run, size):
    """A story of a run whose events come a few at a time."""
    everything = run.events
    part = type("Part", (), {"__getattr__": lambda _, name: getattr(run, name)})()
    part.events = EventLog()
    story = Story(part)
    for i in range(0, len(everything), size):
        part.events += everything[i : i + size]
        before = {stream.id: len(stream.losses) for stream in story.streams}
        delta, _ = story.read()
        for told in delta["stretches"]:
            assert told["from"] == before.get(told["id"], 0)
            assert ("branch" in told) == (told["id"] not in before)
    return story


def test_deltas_read_in_pieces_make_the_same_story(steered):
    whole, pieces = Story(steered), in_pieces(steered, 7)
    whole.read()
    assert losses(pieces) == losses(whole)
    assert pieces.notes == whole.notes
    assert pieces.evals == whole.evals
    assert pieces.rates == whole.rates


def test_the_end_is_told_also_when_its_event_came_a_moment_earlier(steered):
    class JustBefore:
        status = "running"

        def __getattr__(self, name):
            return getattr(steered, name)

    run = JustBefore()
    story = Story(run)
    assert story.read()[0]["state"]["status"] == "running"
    assert story.read() is None
    run.status = "finished"
    assert story.read()[0]["state"]["status"] == "finished"
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
    assert [(g["name"], g["parameters"], g["trainable"], g["lr"]) for g in story.groups] == [
        (g.name, g.parameters, g.trainable, g.lr) for g in steered.groups
    ]
    assert [g["trainable"] for g in story.read()[0]["groups"]] == [True, True]


def test_rates_tell_when_which_group_trained_how_fast(steered):
    story = Story(steered)
    story.read()
    assert [(r["step"], r["lrs"]) for r in story.rates] == [
        (0, {"head": 0.01}),
        (10, {"head": 0.01, "body": 0.001}),
        (20, {"head": 3e-4, "body": 0.001}),
    ]


def test_a_note_can_be_copied_as_code(steered):
    story = Story(steered)
    story.read()
    assert [note["code"] for note in story.notes] == [
        "run.at(10, tl.Unfreeze('body', lr=0.001))",
        "run.at(20, tl.SetLR('head', 0.0003))",
        "run.at(30, tl.Unfreeze('body'))",
    ]


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
    assert len(losses(story)) == 3000 and math.isnan(losses(story)[-1])


def test_thinning_keeps_both_ends_and_the_spike():
    y = np.ones(100_000, dtype=np.float32)
    y[54_321] = 9
    kept = thin(y, 800)
    assert len(kept) <= 802
    assert (kept[0], kept[-1]) == (0, 99_999)
    assert 54_321 in kept
    assert thin(np.arange(5, dtype=np.float32), 800).tolist() == [0, 1, 2, 3, 4]


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
        (tl.Freeze("head", stats=False), "froze head, its BatchNorm statistics keep updating"),
        (tl.Augment(0.5), "augmentation 0.5"),
        (tl.Augment(0), "augmentation off"),
        (tl.Evaluate("test"), "evaluated on test"),
        (tl.AddLoRA("stage2", rank=4), "added LoRA of rank 4 to stage2"),
        (tl.AddLoRA(name="two", lr=0.01), "added LoRA of rank 8 to backbone as two at lr 0.01"),
        (tl.SetScale("lora", 0.5), "scale of lora set to 0.5"),
        (tl.SwapHead("mlp"), "put in a fresh mlp head"),
        (tl.SetWeight("ewc", 2), "weight of ewc set to 2"),
        (tl.Save("warm"), "set bookmark warm"),
        (tl.Rewind("warm", branch="main"), "rewound to warm of main"),
        (tl.Branch("hot", at=40), "began branch hot at 40"),
        (tl.Twin(), "armed a twin"),
        (tl.Twin(False), "ended the twin"),
        (tl.Stop(), "stopped"),
    ],
)
def test_commands_in_words(command, words):
    assert say(command) == words


@pytest.mark.parametrize("cls", kinds().values())
def test_every_command_has_words_of_its_own(cls):
    given = {"group": "head", "lr": 0.1, "adapter": "lora", "value": 1.0, "term": "ewc"}
    given |= {"strength": 0.5, "name": "warm", "to": 3}
    needed = [f.name for f in fields(cls) if f.default is MISSING]
    command = cls(**{name: given[name] for name in needed})
    assert type(command) in say.registry
    assert eval(code(command), {"tl": tl}) == command
    assert asked(command.to_json()).startswith("not done: ")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"kind": "save", "name": "warm"}, "not done: bookmark warm"),
        ({"kind": "rewind", "to": 4}, "not done: rewind to 4"),
        ({"kind": "rewind"}, "not done: rewind"),
        ({"kind": "freeze", "group": "head"}, "not done: freeze head"),
        ("nonsense", "not done"),
    ],
)
def test_what_was_refused_in_words(command, words):
    assert asked(command) == words


def test_rates_are_shown_as_the_fields_show_them():
    assert [show(lr) for lr in (3e-4, 0.001, 0.0123456, 1.0)] == ["3e-4", "0.001", "0.0123", "1"]
