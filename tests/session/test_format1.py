"""Records and autosaves of older versions still work. `format1/` was made by version 0.1.0: a run on
digits with a twin, a bookmark, a branch, a LoRA and a new head, and an autosave in a pause."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import tlcourse as tl
from tlcourse.cli import main
from tlcourse.errors import RecordError
from tlcourse.session import Applied, StepDone, Warned

from .conftest import mlp, of

OLD = Path(__file__).parent / "format1"


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copy(OLD / "run.jsonl", tmp_path / "run.jsonl"))


def test_an_old_record_replays(old, capsys):
    assert main(["replay", str(old)]) == 0
    assert "Agrees" in capsys.readouterr().out


def test_an_old_record_says_what_it_knows(old):
    record = tl.Record.load(old)
    assert not record.complete and len(record.commands) == 10
    assert record.outcome["steps"] == len(of(StepDone, record.events)) == 48
    again = tl.replay(record).run
    for kind in (StepDone, tl.session.Evaluated, tl.session.Branched):
        assert of(kind, record.events) == of(kind, again.events)
    with pytest.raises(RecordError, match=r"run it again first: tl.to_script\(tl.replay"):
        tl.to_script(record)
    with pytest.raises(RecordError, match="run it again first"):
        record.save(old)


def test_opened_as_a_recording_it_is_run_again_once_and_saved_anew(old):
    before = old.read_bytes()
    recording = tl.Recording.load(old)
    assert "was run again" in of(Warned, recording._all)[0].text
    assert all(event.state.groups for event in of(Applied, recording._all))
    assert (old.parent / "run.format1.jsonl").read_bytes() == before
    assert json.loads(old.read_text().splitlines()[0])["tlcourse_record"] == 2
    written = old.read_bytes()
    recording = tl.Recording.load(old)
    again = [event for event in of(Warned, recording._all) if "was run again" in event.text]
    assert not again and old.read_bytes() == written
    assert tl.to_script(old).count("    if step ==") == 2


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"model": {"name": "hf/elsewhere", "classes": 10}},
        {"weights_sha256": "0" * 64},
        {"data": {"name": "digits", "size": 1024}},
        {"data": {"name": "digits", "size": "large"}},
        {"data": {"name": "digits", "size": [32], "seed": None}},
        {"model": {"name": "pocket-glyphs", "classes": 1e9}},
        {"model": {"name": "pocket-glyphs", "classes": {"a": 1}}},
        {"model": {"name": ""}},
        {"threads": 4096},
    ],
    ids=[
        "no model",
        "on a hub",
        "other weights",
        "too large",
        "a word",
        "a list",
        "a huge number",
        "an object",
        "no name",
        "too many threads",
    ],
)
def test_where_it_cannot_be_run_again_it_plays_without_groups(old, change):
    header, *rows = old.read_text().splitlines()
    old.write_text("\n".join([json.dumps(json.loads(header) | change), *rows]))
    before = old.read_bytes()
    recording = tl.Recording.load(old)
    recording.start()
    recording.pause()
    assert [group.name for group in recording.groups][-1] == "head"  # the header knows the start
    recording.seek(recording.length)
    assert recording.groups == () and len(of(StepDone, recording.events)) == 48
    assert "are not shown" in of(Warned, recording.events)[0].text
    assert old.read_bytes() == before and len(list(old.parent.iterdir())) == 1


def test_an_old_autosave_goes_on_as_if_nothing_had_been(numbers, tmp_path):
    terms = {"small": lambda model, batch: sum(p.square().sum() for p in model.parameters())}
    folder = shutil.copytree(OLD / "autosave", tmp_path / "run")
    run = tl.resume(folder, model=mlp(), data=numbers, terms=terms)
    assert run.step == 15 and run.status == "ready"
    assert {len(step.terms or ()) for step in of(StepDone, run.events)[:9]} == {1}
    run.send(tl.Resume())
    run.run()
    whole = json.loads((OLD / "losses.json").read_text())
    assert run.result.losses.tolist() == pytest.approx(whole)
    assert tl.replay(run.record, model=mlp(), data=numbers, terms=terms).exact


def test_an_autosave_from_before_states_knows_rates_and_names(tmp_path):
    from tlcourse.session.record.format1 import autosaved

    lines = [
        json.dumps({"branches": ["main"], "terms": []}),
        json.dumps(
            {
                "after": 0, "kind": "applied", "tick": 0, "step": 0, "branch": "main", "id": None,
                "trainable_before": 3, "trainable_after": 1, "lrs": {"head": 0.1},
                "frozen": ["body"], "command": {"kind": "freeze", "group": "body", "stats": True},
            }
        ),
        json.dumps(
            {
                "after": 1, "kind": "evaluated", "tick": 1, "step": 1, "branch": "main",
                "split": "valid", "accuracy": float("nan"), "loss": 0.5,
            }
        ),
    ]  # fmt: skip
    one = torch.ones(1)
    columns = {
        "tick": one.long(),
        "step": one.long(),
        "branch": 0 * one.int(),
        "loss": one.double(),
    }
    log = autosaved({f"steps/{name}": column for name, column in columns.items()}, lines)
    applied, step, measured = log
    assert applied.lrs == {"head": 0.1} and applied.frozen == ("body",)
    assert step == StepDone(1, 1, "main", 1.0) and measured.loss == 0.5
