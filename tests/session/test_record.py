"""A record and the recipe determine the run."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.errors import RecordError
from tlcourse.session import Applied

from .conftest import Net, mlp, of

GROUPS = st.sampled_from(["stem", "body", "head", "backbone", "all"])
SCRIPT = st.lists(
    st.tuples(
        st.integers(0, 14),
        st.one_of(
            st.builds(tl.SetLR, GROUPS, st.floats(1e-5, 1e-1)),
            st.builds(tl.Freeze, GROUPS, st.booleans()),
            st.builds(tl.Unfreeze, GROUPS, st.none() | st.floats(1e-5, 1e-1)),
            st.builds(tl.Augment, st.floats(0, 1)),
            st.just(tl.Evaluate("valid")),
            st.just(tl.Stop()),
        ),
    ),
    max_size=8,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=SCRIPT, optimizer=st.sampled_from(["adamw", "sgd"]))
def test_any_script_replays_bit_for_bit(pictures, script, optimizer):
    run = tl.Session(Net(), pictures, steps=15, lr=1e-2, optimizer=optimizer, augment=0.2, seed=5)
    for step, command in script:
        run.at(step, command)
    run.run()
    again = tl.replay(run.record, model=Net(), data=pictures)
    assert again.exact and again.agrees, again.text
    assert [e for e in again.run.events if isinstance(e, Applied)] == of(Applied, run.events)


def test_a_saved_record_replays_what_a_hand_did(run, numbers, tmp_path):
    run.at(10, tl.Unfreeze("body", lr=1e-3))
    run.at(30, tl.SetLR("head", 1e-3))
    run.run()
    path = run.record.save(tmp_path / "deep" / "01.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["recipe"]["seed"] == 3
    assert lines[1] == {"tick": 10, "command": {"kind": "unfreeze", "group": "body", "lr": 1e-3}}
    assert lines[-1]["outcome"]["steps"] == 60
    assert tl.replay(path, model=mlp(), data=numbers).text == "Agrees, bit for bit, over 60 steps."


def test_a_pause_in_a_record_does_not_hang_the_replay(run, numbers):
    run.at(10, tl.Pause())
    run.start()
    while run.status != "paused":
        pass
    run.send(tl.Resume())
    run.run()
    assert tl.replay(run.record, model=mlp(), data=numbers).exact


def test_a_record_that_was_tampered_with_does_not_agree(run, numbers):
    run.at(10, tl.Unfreeze("body"))
    run.run()
    record = copy.deepcopy(run.record)
    record.commands[0] = (11, record.commands[0][1])
    again = tl.replay(record, model=mlp(), data=numbers)
    assert not again.agrees and "Differs" in again.text and "step" in again.text


def test_another_model_is_not_replayed(run, numbers):
    run.run()
    with pytest.raises(RecordError, match="does not start from the recorded weights"):
        tl.replay(run.record, model=mlp(seed=1), data=numbers)


def test_a_record_of_unnamed_data_asks_for_it(run):
    run.run()
    with pytest.raises(RecordError, match="give it yourself: model="):
        tl.replay(run.record)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("{}\n", "line 1"),
        ('{"tlcourse_record": 99}\n', "another version"),
        ('{"tlcourse_record": 1}\n{"tick": 3}\n', "line 2"),
        ('{"tlcourse_record": 1}\n{"tick": -3, "command": {"kind": "stop"}}\n', "step count"),
        ('{"tlcourse_record": 1}\n{"tick": 3, "command": {"kind": "explode"}}\n', "Commands are"),
        ('{"tlcourse_record": 1}\n{"tick": 3, "comm', "line 2"),
    ],
)
def test_a_broken_record_names_its_line(tmp_path, text, says):
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(RecordError, match=says):
        tl.Record.load(path)


def test_a_record_that_cannot_be_written_says_so_and_is_not_lost(run, tmp_path):
    run.run()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match="could not be written"):
        run.record.save(tmp_path / "file" / "01.jsonl")
    assert run.record.save(tmp_path / "01.jsonl").exists()
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_the_global_random_state_does_not_matter(pictures):
    import torch

    first = tl.Session(Net(), pictures, steps=10, augment=0.5).run().losses.tolist()
    torch.manual_seed(99)
    torch.rand(7)
    assert tl.Session(Net(), pictures, steps=10, augment=0.5).run().losses.tolist() == first
    assert tl.Session(Net(), pictures, steps=10, seed=1).run().losses.tolist() != first
