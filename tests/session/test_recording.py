"""A run that is over plays again, as it went."""

import asyncio
import json
import math
import time

import pytest

import tlcourse as tl
from tlcourse.errors import CommandError, RecordError
from tlcourse.session import (
    AddLoRA,
    Augment,
    Branch,
    Freeze,
    Rewind,
    Save,
    SetLR,
    SetScale,
    Twin,
)
from tlcourse.session.events import Applied, Norms, Saved, StepDone
from tlcourse.session.recording import Recording

from .conftest import Net, mlp, of
from .hands import Watched

HAND = [
    (5, SetLR("head", 3e-3)),
    (8, Save("warm")),
    (12, Freeze("stem", stats=False)),
    (15, Augment(0.4)),
    (20, SetLR("head", 0.5)),
    (26, Rewind(18)),
    (28, Branch("other", at="warm")),
    (30, SetLR("stem", 1e-4)),
    (34, Rewind(18, branch="main")),
    (36, Twin()),
    (37, AddLoRA("body", rank=2)),
    (40, SetScale("lora", 0.5)),
    (44, tl.Evaluate("train")),
    (46, Twin(False)),
]


def by_hand(run, hand):
    """Commands at ticks, as a hand would: `at` would go by steps."""
    from tlcourse.session.engine.inbox import Envelope

    for tick, command in hand:
        run._inbox.plan(tick, Envelope(command))
    run._inbox.alone = True
    run.events = Watched(run, shown_by)
    run.run()
    return run


def levers_of(group):
    stats = group.stats or group.trainable
    return group.name, group.trainable, group.lr, group.kind, group.scale, stats


def shown_by(run):
    groups = [levers_of(g) for g in run.groups]
    marks = {(m.name, m.branch, m.step) for m in run.bookmarks}
    return groups, marks, run.augment, run.twin, run.branch, run.step


@pytest.fixture(scope="module")
def steered(pictures_of_module):
    run = tl.Session(Net(), pictures_of_module, steps=40, lr=1e-3, eval_every=5, seed=1)
    return by_hand(run, HAND)


@pytest.fixture(scope="module")
def pictures_of_module(request):
    return request.getfixturevalue("pictures")


@pytest.fixture
def saved(steered, tmp_path):
    return steered.record.save(tmp_path / "run.jsonl")


def at_end(recording):
    recording.start()
    recording.seek(recording.length)
    return recording


def test_a_record_tells_the_events_again(steered, saved):
    record = tl.Record.load(saved)
    assert len(of(Applied, record.events)) == len(HAND)
    assert record == steered.record and record.events == steered.events


def test_a_recording_shows_at_its_end_what_the_run_shows(steered, saved):
    for recording in (at_end(Recording.load(saved)), at_end(Recording.of(steered))):
        assert recording.status == steered.status == "finished"
        assert (recording.step, recording.branch, recording.steps) == (40, "main", 40)
        assert [levers_of(g) for g in recording.groups] == [levers_of(g) for g in steered.groups]
        assert recording.timelines == steered.timelines
        marks = [(m.name, m.branch, m.step) for m in recording.bookmarks]
        assert marks == [(m.name, m.branch, m.step) for m in steered.bookmarks]
        assert recording.augment == steered.augment
        assert recording.twin is steered.twin is None


def test_with_each_step_it_shows_what_the_run_showed(steered, saved):
    recording = Recording.load(saved)
    recording.start()
    recording.pause()
    for tick, shown in enumerate([shown for _, shown in steered.events.shown], start=1):
        recording.seek(tick)
        steps = [e for e in recording.events if e.tick == tick and isinstance(e, StepDone)]
        assert steps[0].step == shown[-1]
        if any(e.tick == tick and isinstance(e, Applied | Saved) for e in recording.events):
            continue  # that came after the step
        assert shown_by(recording) == shown, f"after {tick} steps"


def test_a_recording_of_a_live_run_keeps_all_that_it_told(steered):
    recording = at_end(Recording.of(steered))
    assert recording.events == steered.events
    assert of(Norms, recording.events) == of(Norms, steered.events)
    sizes = {g.name: g.parameters for g in recording.groups}
    assert sizes == {g.name: g.parameters for g in steered.groups}


def test_what_is_shown_goes_back_with_the_place(steered):
    recording = Recording.of(steered)
    recording.start()
    recording.pause()
    recording.seek(16)
    lrs = {g.name: (g.trainable, g.lr, g.stats) for g in recording.groups}
    assert lrs == {
        "stem": (False, 1e-3, False),
        "body": (True, 1e-3, True),
        "head": (True, 3e-3, None),  # it has no BatchNorm
    }
    assert recording.augment == 0.4 and recording.step == 16
    recording.seek(39)
    assert recording.twin == "twin" and {g.name for g in recording.groups} >= {"lora"}
    recording.seek(3)
    assert all(g.trainable and g.lr == 1e-3 and g.stats is not False for g in recording.groups)
    assert recording.augment == 0.0 and [m.name for m in recording.bookmarks] == ["start"]
    assert len(recording.timelines) == 1


def test_winding_back_gives_readers_a_new_list_and_going_on_appends(steered):
    recording = Recording.of(steered)
    recording.start()
    recording.pause()
    recording.seek(20)
    early = recording.events
    recording.seek(30)
    assert recording.events is early and recording.events[-1].tick == 30
    held = len(early)
    recording.seek(10)
    assert recording.events is not early and len(early) == held
    assert recording.events == early[: len(recording.events)]
    assert recording.player == {
        "speed": 1.0,
        "playing": False,
        "at": 10,
        "length": recording.length,
    }


def test_it_plays_at_its_pace_and_stops_at_the_end(steered):
    length = steered.events[-1].tick
    recording = Recording(steered.events, steered.began, steps=40, pace=length / 0.4)
    assert recording.status == "ready" and recording.events == []
    began = time.perf_counter()
    recording.start()
    assert recording.status == "running"
    asyncio.run(recording.wait())
    took = time.perf_counter() - began
    assert 0.35 < took < 30  # at one step a second it would take longer
    assert recording.status == "finished" and recording.events == steered.events
    assert recording.player["playing"] is False
    recording.play()
    assert recording.status == "running" and recording.player["at"] < length
    recording.speed(100)
    asyncio.run(recording.wait())
    assert recording.events == steered.events


def test_paused_it_stands_and_goes_on_from_there(steered):
    recording = Recording(steered.events, steered.began, steps=40, pace=5.0)
    recording.start()
    while recording.player["at"] == 0:
        time.sleep(0.01)
    recording.pause()
    there = recording.player["at"]
    assert 0 < there < recording.length and recording.status == "paused"
    time.sleep(0.1)
    assert recording.player["at"] == there
    recording.speed(0.01)
    recording.play()
    time.sleep(0.1)
    assert recording.player["at"] <= there + 1
    recording.pause()


def test_nothing_in_it_can_be_steered(steered):
    recording = Recording.of(steered)
    assert recording.can == frozenset()
    for attempt in (recording.send, lambda command: recording.at(3, command)):
        with pytest.raises(CommandError, match="recording .* Freeze cannot change it"):
            attempt(Freeze("stem"))


@pytest.mark.parametrize("wrong", [-1, True, "3", math.nan])
def test_a_wrong_place_or_speed_is_refused(steered, wrong):
    recording = Recording.of(steered)
    with pytest.raises(CommandError, match=r"from 0 to \d+, not"):
        recording.seek(wrong)
    with pytest.raises(CommandError, match="from 0.01 to 1000, not"):
        recording.speed(wrong)


def test_thinned_losses_are_interpolated_on_their_own_timeline(numbers, tmp_path):
    run = tl.Session(mlp(), numbers, steps=1500, lr=1e-2, freeze="body", seed=3, eval_every=500)
    by_hand(run, [(700, Rewind(300))])
    path = run.record.save(tmp_path / "long.jsonl")
    outcome = run.record.outcome
    assert outcome["losses_every"] == 2 and len(outcome["losses"]) == outcome["steps"] / 2
    real, told = of(StepDone, run.events), of(StepDone, tl.Record.load(path).events)
    assert [(e.tick, e.step) for e in told] == [(e.tick, e.step) for e in real]
    assert [e.loss for e in told[::2]] == [e.loss for e in real[::2]]
    assert told[1].loss == pytest.approx((real[0].loss + real[2].loss) / 2)
    assert told[699].loss == told[698].loss  # the end of a stretch: nothing to interpolate with
    assert all(math.isfinite(e.loss) for e in told)


def test_losses_that_were_no_number_stay_none(saved, tmp_path):
    rows = [json.loads(line) for line in saved.read_text().splitlines()]
    losses = [(row, n) for row in rows[1:] for n in range(len(row.get("losses", ())))]
    row, place = losses[3]
    row["losses"][place] = "nan"
    path = tmp_path / "lost.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    losses = [e.loss for e in of(StepDone, tl.Record.load(path).events)]
    assert math.isnan(losses[3]) and math.isfinite(losses[2]) and math.isfinite(losses[4])


def test_a_record_without_losses_and_a_run_without_steps_are_refused(tmp_path, run):
    path = tmp_path / "hand.jsonl"
    path.write_text('{"tlcourse_record": 1}\n{"tick": 3, "command": {"kind": "stop"}}\n')
    with pytest.raises(RecordError, match="holds no losses"):
        Recording.load(path)
    with pytest.raises(RecordError, match="no step yet"):
        Recording.of(run)


def test_a_cockpit_takes_a_recording(saved):
    from tlcourse.ui.cockpit.story import Story

    recording = Recording.load(saved)
    story = Story(recording)
    recording.start()
    recording.pause()
    recording.seek(recording.length)
    story.read()
    assert story.now()["status"] == "finished" and sorted(story.paths.tips) == [
        "main",
        "other",
        "twin",
    ]
    assert story.rates[0]["lrs"] == {"stem": 1e-3, "body": 1e-3, "head": 1e-3}
    recording.seek(4)
    content, _ = story.read()
    assert content["type"] == "snapshot" and story.now()["step"] == 4
    assert story.notes == [] and list(story.paths.tips) == ["main"]
    assert content["state"]["player"]["at"] == 4
