"""What views are told of time turned back: timelines, twins, what was given up, bookmarks."""

import asyncio
import json

import numpy as np
import pytest

import tlcourse as tl
from tlcourse.plots.timelines import course_of
from tlcourse.session.eventlog import EventLog
from tlcourse.session.events import Applied, Norms, StepDone, Warned
from tlcourse.session.threads.runner import PAUSED
from tlcourse.ui.cockpit.messenger import Messenger
from tlcourse.ui.cockpit.still import still
from tlcourse.ui.cockpit.story import Story

from .conftest import eventually, make_run
from .test_story import events, in_pieces


@pytest.fixture(scope="module")
def travelled():
    """60 steps of main with a twin from 20, back from 40 to 30, a branch at 50 that is left at 55."""
    run = make_run(steps=60)
    run.at(10, tl.Save("early"))
    run.at(20, tl.Twin())
    run.at(20, tl.Unfreeze("body", lr=1e-3))
    run.at(40, tl.Rewind(30))
    run.at(50, tl.Branch("other"))
    run.at(55, tl.Rewind(45, branch="main"))
    run.run()
    return run


def told(run):
    story = Story(run)
    story.read()
    return story


def test_a_stretch_begins_where_the_run_goes_back_or_branches_off(travelled):
    story = told(travelled)
    begun = [(one.stretch.branch, one.begins, one.root) for one in story.streams]
    assert begun == [
        ("main", 0, None),
        ("twin", 20, (0, 20)),
        ("main", 30, (0, 30)),
        ("other", 50, (2, 20)),
        ("main", 45, (2, 15)),
    ]
    for name in ("main", "twin", "other"):
        steps = [(e.step, e.loss) for e in events(travelled, StepDone) if e.branch == name]
        x, y = zip(
            *[one.curve() for one in story.streams if one.stretch.branch == name], strict=True
        )
        assert np.concatenate(x).tolist() == [step for step, _ in steps]
        assert np.allclose(np.concatenate(y), [loss for _, loss in steps])


def test_lines_say_what_is_drawn_of_each_stretch(travelled):
    story = told(travelled)
    drawn = [(line["name"], line["role"]) for line in story.lines]
    assert drawn == [("main", "now"), ("twin", "gone"), ("main", "gone"), ("other", "other")]
    parts = [[part[:3] for part in line["parts"]] for line in story.lines]
    assert parts == [
        [[0, 0, 30], [2, 0, 15], [4, 0, None]],
        [[1, 0, None]],
        [[0, 30, 40]],
        [[2, 15, 20], [3, 0, None]],
    ]
    assert [(t["name"], t["parent"], t["start"], t["control"]) for t in story.timelines] == [
        ("main", None, 0, False),
        ("twin", "main", 20, True),
        ("other", "main", 50, False),
    ]


def test_told_in_pieces_it_is_the_same(travelled):
    whole, pieces = told(travelled), in_pieces(travelled, 5)
    assert [one.told() for one in pieces.streams] == [one.told() for one in whole.streams]
    assert [one.losses for one in pieces.streams] == [one.losses for one in whole.streams]
    assert (pieces.lines, pieces.timelines) == (whole.lines, whole.timelines)
    assert (pieces.notes, pieces.rates, pieces.evals) == (whole.notes, whole.rates, whole.evals)


def test_a_rewind_says_where_the_run_was(travelled):
    back = [n for n in told(travelled).notes if n["kind"] == "rewind"]
    assert [(n["from_branch"], n["from_step"], n["branch"], n["step"]) for n in back] == [
        ("main", 40, "main", 30),
        ("other", 55, "main", 45),
    ]
    assert [n["code"] for n in back] == [
        "run.at(40, tl.Rewind(30))",
        "run.at(55, tl.Rewind(45, branch='main'))",
    ]


def test_a_twin_is_compared_until_the_run_goes_back_which_says_so():
    def twin_after(*hands):
        run = make_run(steps=20)
        for step, command in [
            (5, tl.Save("calm")),
            (5, tl.Twin()),
            (5, tl.SetLR("head", 1.0)),
            *hands,
        ]:
            run.at(step, command)
        run.run()
        return run, [line.role for line in course_of(run.events).lines if line.name == "twin"]

    kept, role = twin_after((10, tl.SetLR("head", 0.5)))
    assert role == ["twin"] and "without it" in still(told(kept))
    assert not events(kept, Warned)
    for hands in (
        [(10, tl.Rewind(7))],
        [(10, tl.Rewind("calm"))],
        [(10, tl.Rewind(3))],
        [(10, tl.Branch("other", at=4))],
        [(10, tl.Branch("other"))],
        [(5, tl.Save("steered")), (10, tl.Rewind("steered"))],
    ):
        undone, role = twin_after(*hands)
        assert role == ["gone"], hands
        assert "without it" not in still(told(undone))
        (warned,) = events(undone, Warned)
        assert warned.text.startswith("The twin is off")
        assert any(note["text"] == warned.text for note in told(undone).notes)


@pytest.mark.parametrize("back", ["start", 10])
def test_after_going_back_what_moved_is_that_of_the_moment(back):
    run = make_run(steps=40)
    run.at(5, tl.Unfreeze("body", lr=0.1))
    run.at(30, tl.Pause())
    run.start()
    eventually(lambda: run.status == "paused")
    run.send(tl.Rewind(back))
    eventually(lambda: events(run, Norms) and events(run, Norms)[-1].step == run.step < 30)
    there = told(run).norms[-1]
    assert there["step"] == run.step
    assert there["moved"] == run.look(lambda model: run._training.levers.moved_in_all())
    assert (back == 10) == (there["moved"]["body"] > 0)
    assert there["grad"] == {}  # of no step that lies on this line
    run.send(tl.Stop())
    run.run()


def test_a_view_has_what_the_run_shows_of_itself(travelled):
    state = told(travelled).snapshot()[0]["state"]
    assert state["can"] == sorted(travelled.can) and "rewind" in state["can"]
    assert [b["name"] for b in state["bookmarks"]] == ["start", "early"]
    assert state["now"]["branch"] == "main" and state["now"]["step"] == 60
    assert state["now"]["memory"]["process"] > 50 and state["now"]["memory"]["snapshots"] > 0
    measured = events(travelled, Norms)
    assert measured and state["norms"][-1]["moved"] == measured[-1].moved
    json.dumps(state, allow_nan=False)


def test_the_copied_code_makes_the_same_run(travelled):
    again = make_run(steps=60)
    for note in told(travelled).notes:
        eval(note["code"] or "None", {"run": again, "tl": tl})
    again.run()
    assert [e.command for e in events(again, Applied)] == [
        e.command for e in events(travelled, Applied)
    ]
    assert [e.loss for e in events(again, StepDone)] == [
        e.loss for e in events(travelled, StepDone)
    ]


def test_the_saved_state_keeps_given_up_stretches_apart():
    run = make_run(steps=40)
    run.run()
    done = [StepDone(t, t, "main", 1.0) for t in range(1, 1001)]
    back = Applied(1000, 500, "main", tl.Rewind(500), None, 1, 1, run.began)
    again = [StepDone(500 + t, t, "main", 2.0) for t in range(501, 2001)]
    run.events = EventLog([*done, back, *again])
    kept = told(run).compact(100)
    (shared, whole), (gone,) = (line["parts"] for line in kept["lines"])
    first, last = kept["stretches"]
    assert len(first["x"]) + len(last["x"]) <= 120
    assert (first["x"][shared[2] - 1], first["x"][gone[1]]) == (500, 501)
    assert set(first["y"]) == {1.0} and set(last["y"]) == {2.0}
    assert (first["x"][-1], last["x"][0], last["x"][-1]) == (1000, 501, 2000)
    assert last["smooth"][0] < 1.1 and last["smooth"][-1] == 2.0
    assert whole[:3] == [1, 0, None] and last["root"] == [0, shared[2]]


def test_events_that_begin_anew_are_told_from_the_beginning(travelled):
    part = type("Part", (), {"__getattr__": lambda _, name: getattr(travelled, name)})()
    part.events = travelled.events
    story = Story(part)
    story.read()
    part.events = part.events.head(20)  # a recording was wound back
    content, losses = story.read()
    assert content["type"] == "snapshot"
    steps = [e for e in part.events if isinstance(e, StepDone)]
    assert len(np.frombuffer(losses[0], dtype=np.float32)) == len(steps) < 20
    assert story.read() is None


def test_a_finished_run_that_is_wound_back_is_told_of_again():
    run = make_run(steps=30)
    run.run()
    sent, saved = [], []
    messenger = Messenger(Story(run), lambda *m: sent.append(m), saved.append, lambda story: None)
    messenger.post({"type": "hello", "view": "v"})
    eventually(lambda: sent)
    eventually(lambda: messenger._thread is None)
    messenger.attend(True)  # a cell begins
    run.send(tl.Rewind(10))
    eventually(
        lambda: (
            sum(len(part) // 4 for content, parts in sent[1:] for part in parts) == 20
            and saved[-1]["now"]["status"] == "finished"
        )
    )
    notes = [note["text"] for content, _ in sent[1:] for note in content["notes"]]
    assert "rewound to 10" in notes
    messenger.attend(False)  # and ends
    eventually(lambda: messenger._thread is None)


def test_a_hello_said_several_times_while_the_kernel_was_busy_is_answered_once():
    run = make_run(steps=30)
    run.run()
    sent = []
    messenger = Messenger(
        Story(run), lambda *m: sent.append(m), lambda state: None, lambda story: None
    )
    for _ in range(5):
        messenger._inbox.append({"type": "hello", "view": "v"})
    messenger.post({"type": "hello", "view": "w"})
    eventually(lambda: messenger._thread is None)
    assert sorted(c["view"] for c, _ in sent if c["type"] == "snapshot") == ["v", "w"]


def test_waiting_for_a_paused_run_says_so_once(capsys):
    run = make_run(steps=40)
    run.at(20, tl.Pause())

    async def wait():
        waiting = asyncio.ensure_future(run.wait())
        while not (said := capsys.readouterr().out):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.6)
        assert said.count("paused") == 1 and capsys.readouterr().out == ""
        run.send(tl.Resume())
        await waiting

    asyncio.run(wait())
    assert "Press Resume in the cockpit" in PAUSED and run.status == "finished"
