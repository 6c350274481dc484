"""The protocol between kernel and view, spoken over a comm whose other end is the test."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.session import Applied
from tlcourse.ui.cockpit import messenger
from tlcourse.ui.cockpit.cells import Cell

from .conftest import eventually, make_run

pytestmark = pytest.mark.usefixtures("wired")


def steer(cockpit, id, **command):
    cockpit.comm.say({"type": "command", "id": id, "command": command})


def answer(cockpit, id):
    """The note that answers a command, once it comes."""
    return eventually(
        lambda: next(
            (
                note
                for content, _ in cockpit.comm.custom("delta")
                for note in content["notes"]
                if note["id"] == id
            ),
            None,
        )
    )


def hello(cockpit, view="v"):
    """Introduce a view; its snapshot and the losses of the first timeline."""
    return full(cockpit, view)[::2]


def full(cockpit, view="v"):
    """Introduce a view; its snapshot, the number of its message, the losses."""
    cockpit.comm.say({"type": "hello", "view": view})
    return eventually(
        lambda: next(
            (
                (content["state"], content["seq"], np.frombuffer(buffers[0], dtype=np.float32))
                for content, buffers in reversed(cockpit.comm.custom("snapshot"))
                if content["view"] == view
            ),
            None,
        )
    )


def test_a_cockpit_starts_its_run_and_returns_at_once():
    run = make_run(steps=200, slow_s=0.002)
    cockpit = tl.Cockpit(run)
    assert run.status == "running"
    steer(cockpit, "1", kind="stop")
    eventually(lambda: run.status == "stopped")


def test_hello_is_answered_with_everything_so_far():
    run = make_run()
    run.run()
    state, losses = hello(tl.Cockpit(run))
    assert state["now"]["status"] == "finished"
    assert len(losses) == 40
    assert [g["name"] for g in state["groups"]] == ["body", "head"]


def test_deltas_continue_the_snapshot_without_gap_or_overlap():
    run = make_run(steps=300, slow_s=0.003)
    cockpit = tl.Cockpit(run)
    _, seq, losses = full(cockpit)
    eventually(lambda: run.status == "finished")
    eventually(lambda: cockpit.comm.custom("delta")[-1][0]["state"]["status"] == "finished")
    for content, buffers in cockpit.comm.custom("delta"):
        seq += 1
        assert content["seq"] == seq
        assert len(content["stretches"]) == len(buffers) <= 1
        if buffers:
            assert content["stretches"][0]["from"] == len(losses)
            losses = np.concatenate([losses, np.frombuffer(buffers[0], dtype=np.float32)])
    assert np.allclose(losses, [e.loss for e in run.events if type(e).__name__ == "StepDone"])
    beats = (
        run.result.seconds / messenger.BEAT_S
    )  # batched: not one a step, however slow the machine is
    assert len(cockpit.comm.custom("delta")) < beats + 10


def test_a_click_is_applied_by_the_loop_and_answered():
    run = make_run(steps=2000, slow_s=0.001)
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    steer(cockpit, "v:1", kind="unfreeze", group="body", lr=1e-4)
    note = answer(cockpit, "v:1")
    assert note["ok"] and note["before"] < note["after"]
    applied = next(e for e in run.events if isinstance(e, Applied))
    assert applied.command == tl.Unfreeze("body", lr=1e-4) and applied.id == "v:1"
    assert applied.lrs["body"] == 1e-4
    steer(cockpit, "v:2", kind="stop")
    assert answer(cockpit, "v:2")["ok"]
    eventually(lambda: run.status == "stopped")


def test_an_answer_does_not_wait_for_the_next_beat(monkeypatch):
    monkeypatch.setattr(messenger, "BEAT_S", 600)
    monkeypatch.setattr(messenger, "PATIENCE_S", 600)
    run = make_run(steps=5000, slow_s=0.001)
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    for i in range(3):
        steer(cockpit, f"v:{i}", kind="set_lr", group="head", lr=0.001 * (i + 1))
        assert answer(cockpit, f"v:{i}")["ok"]
    steer(cockpit, "end", kind="stop")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ({"kind": "set_lr", "group": "head", "lr": -1}, "A learning rate is a number above 0"),
        ({"kind": "set_lr", "group": "head", "lr": "abc"}, "not 'abc'"),
        ({"kind": "freeze", "group": "tail"}, "No parameter group 'tail'"),
        ({"kind": "fly"}, "No command 'fly'"),
        ({"kind": "freeze", "group": "head"}, "Everything would be frozen"),
        ("nonsense", "A command is an object"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(command, reason):
    run = make_run(steps=2000, slow_s=0.001)
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    cockpit.comm.say({"type": "command", "id": "v:1", "command": command})
    note = answer(cockpit, "v:1")
    assert not note["ok"] and reason in note["reason"]
    assert not [e for e in run.events if isinstance(e, Applied)]
    assert note in hello(cockpit, "late")[0]["notes"]
    steer(cockpit, "end", kind="stop")


def test_a_click_after_the_end_says_that_it_is_too_late():
    run = make_run()
    run.run()
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    steer(cockpit, "v:1", kind="pause")
    assert "too late" in answer(cockpit, "v:1")["reason"]


def test_several_views_of_one_run_all_hear():
    run = make_run(steps=2000, slow_s=0.001)
    first, second = tl.Cockpit(run), tl.Cockpit(run)
    hello(first, "a")
    hello(second, "b")
    steer(first, "a:1", kind="set_lr", group="head", lr=0.5)
    assert answer(first, "a:1")["ok"] and answer(second, "a:1")["ok"]
    steer(second, "b:1", kind="stop")
    assert answer(first, "b:1")["ok"]


def test_an_error_of_the_training_thread_is_told():
    calls = []

    def failing(logits, target):
        calls.append(1)
        if len(calls) == 5:
            raise ValueError("the batch is upside down")
        return logits.sum()

    run = make_run(loss=failing, eval_every=1000)
    cockpit = tl.Cockpit(run)
    eventually(lambda: run.status == "failed")
    state, losses = hello(cockpit)
    assert state["now"]["status"] == "failed"
    assert "the batch is upside down" in state["error"]["message"]
    assert "in failing" in state["error"]["traceback"]
    assert len(losses) == 4


def test_nothing_is_sent_to_nobody_but_the_last_state_is_kept():
    run = make_run(steps=400, slow_s=0.001)
    cockpit = tl.Cockpit(run)
    eventually(lambda: run.status == "finished")
    saved = eventually(
        lambda: next((s for s in cockpit.comm.saved() if s["now"]["status"] == "finished"), None)
    )
    assert cockpit.comm.custom() == []
    assert len(saved["stretches"][0]["y"]) == 400
    assert len(cockpit.comm.saved()) <= 4 + run.result.seconds  # once a second, and at both ends


def test_a_paused_run_gives_a_sign_of_life(monkeypatch):
    monkeypatch.setattr("tlcourse.ui.cockpit.messenger.HEARTBEAT_S", 0.2)
    run = make_run(steps=4000, slow_s=0.001)
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    steer(cockpit, "v:1", kind="pause")
    assert answer(cockpit, "v:1")["ok"]
    so_far = len(cockpit.comm.custom("delta"))
    eventually(lambda: len(cockpit.comm.custom("delta")) > so_far + 1, timeout_s=6)
    assert cockpit.comm.custom("delta")[-1][0]["state"]["status"] == "paused"
    steer(cockpit, "v:2", kind="stop")
    assert answer(cockpit, "v:2")["ok"]


def test_no_thread_is_left_when_the_run_is_over():
    others = set(threading.enumerate())  # another test's run may still be under way
    run = make_run()
    tl.Cockpit(run)
    eventually(lambda: run.status == "finished")
    mine = lambda: set(threading.enumerate()) - others  # noqa: E731
    eventually(lambda: not [t for t in mine() if t.name == "tlcourse-cockpit"])


def test_shown_as_text_it_says_the_same_every_time():
    assert repr(tl.Cockpit(make_run())) == "Cockpit of a run of 40 steps"


def test_a_cockpit_of_something_else_is_refused():
    with pytest.raises(CommandError, match="needs a Session .*not 42"):
        tl.Cockpit(42)


def test_importing_the_course_brings_no_widgets():
    code = (
        "import sys, tlcourse, tlcourse.ui; tlcourse.ui.lab_environment();"
        "print({'ipywidgets', 'anywidget', 'IPython', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_looking_at_adapters_loads_their_library_before_it_is_asked_for():
    """In a fresh process: here another test may have loaded it."""
    code = """
import sys, time
import tlcourse as tl
from tests.ui.conftest import make_run
cockpit = tl.Cockpit(make_run(steps=1))
assert "peft" not in sys.modules
cockpit._hear(None, {"type": "soon"}, [])
until = time.monotonic() + 120
while not hasattr(sys.modules.get("peft"), "LoraConfig") and time.monotonic() < until:
    time.sleep(0.1)
assert hasattr(sys.modules["peft"], "LoraConfig")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("make", [tl.Cockpit, lambda run: tl.Lens(run.start(), lambda model: 1)])
def test_closed_during_a_run_it_says_no_more_and_the_run_goes_on(make, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    others = set(threading.enumerate())
    run = make_run(steps=4000, slow_s=0.001)
    widget = make(run)
    widget.comm.say({"type": "hello", "view": "v"})
    eventually(lambda: run.step > 20)
    widget.close()
    names = [thread.name for thread in set(threading.enumerate()) - others]
    assert not {"tlcourse-cockpit", "tlcourse-lens"} & set(names)
    widget.close()
    assert run.status == "running"
    run.send(tl.Stop())
    run.run()
    assert not told


def records():
    return sorted(Path("records").glob("*.jsonl")) if Path("records").exists() else []


def test_a_run_that_was_steered_is_recorded_by_itself_and_says_where():
    run = make_run(steps=2000, slow_s=0.001)
    run.at(5, tl.SetLR("head", 0.02))  # stands in the notebook: no hand
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    eventually(lambda: run.step > 20)
    assert not records()
    steer(cockpit, "v:1", kind="unfreeze", group="body")
    (file,) = eventually(records)
    eventually(lambda: "records/" + file.name in cockpit.record)
    assert tl.Unfreeze("body") in [command for _, command in tl.Record.load(file).commands]
    steer(cockpit, "v:2", kind="stop")
    eventually(lambda: tl.Record.load(file).outcome)
    assert records() == [file]


def test_a_record_that_cannot_be_kept_is_said():
    Path("records").write_text("a file")
    run = make_run(steps=2000, slow_s=0.001)
    cockpit = tl.Cockpit(run)
    hello(cockpit)
    steer(cockpit, "v:1", kind="unfreeze", group="body")
    eventually(lambda: cockpit.record.startswith("What you did is not kept"))
    steer(cockpit, "v:2", kind="stop")
    eventually(lambda: run.status == "stopped")


def test_a_cell_that_runs_again_keeps_a_run_that_was_steered():
    watched, steered, last = (make_run(steps=4000, slow_s=0.001) for _ in range(3))
    cell = Cell()
    first = tl.Cockpit(watched)
    assert cell.show(first, "1") == []
    second = tl.Cockpit(steered)
    assert cell.show(second, "2") == [] and first.run is steered  # nobody had steered it
    hello(second)
    steer(second, "v:1", kind="unfreeze", group="body")
    assert answer(second, "v:1")["ok"]
    third = tl.Cockpit(last)
    (kept,) = cell.show(third, "3")
    assert kept.run is steered and kept.kept and records()[0].name in kept.record
    eventually(lambda: steered.status == "paused")
    assert first.run is second.run is last  # a notebook that was not saved shows them
    assert hello(first)[0]["now"]["status"] == "running"
    assert cell.show(third, "4") == [kept] and cell.show(tl.Cockpit(watched), "4") == []
    kept.comm.say({"type": "let go"})
    assert cell.show(third, "5") == [kept]  # no cell of this notebook
    for run in (watched, steered, last):
        run.send(tl.Stop())
        run.run()
