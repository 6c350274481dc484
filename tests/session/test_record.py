"""A record and the recipe determine the run."""

import copy
import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.cli import main
from tlcourse.errors import CommandError, RecordError
from tlcourse.session import Applied, Branched, kinds

from .conftest import Net, mlp
from .shapes import BertShaped

GROUPS = st.sampled_from(["stem", "body", "head", "backbone", "all", "lora"])
RATES = st.floats(1e-5, 1e-1)
MOMENTS = st.integers(0, 14) | st.sampled_from(["start", "a", "b"])
BRANCHES = st.sampled_from(["main", "left", "right"])
ANY = st.one_of(
    st.builds(tl.SetLR, GROUPS, RATES),
    st.builds(tl.Freeze, GROUPS, st.booleans()),
    st.builds(tl.Unfreeze, GROUPS, st.none() | RATES),
    st.builds(
        tl.AddLoRA, GROUPS, st.integers(1, 12), st.none() | st.floats(0.5, 16), st.none() | RATES
    ),
    st.builds(tl.SetScale, st.just("lora"), st.floats(-1, 2)),
    st.builds(tl.SwapHead, st.sampled_from(["linear", "mlp"]), st.none() | RATES),
    st.builds(tl.SetWeight, st.just("l2"), st.sampled_from([0.0, 1e-3, 0.1])),
    st.builds(tl.Augment, st.floats(0, 1)),
    st.builds(tl.Save, st.sampled_from(["a", "b"])),
    st.builds(tl.Rewind, MOMENTS, st.none() | BRANCHES),
    st.builds(tl.Branch, BRANCHES, st.none() | MOMENTS),
    st.builds(tl.Twin, st.booleans()),
    st.builds(tl.Evaluate, st.sampled_from(["train", "valid", "test"])),
    st.just(tl.Stop()),
)
SCRIPT = st.lists(
    st.tuples(st.integers(0, 14), ANY.map(lambda c: [c]) | st.just([tl.Pause(), tl.Resume()])),
    max_size=12,
)


def l2(model, batch):
    return sum(p.square().sum() for p in model.parameters()) * batch.x.mean()


def same(one, other):
    """Everything that happened, on every timeline, but for what is measured as time allows."""
    assert [e for e in one.events if isinstance(e, Applied | Branched)] == [
        e for e in other.events if isinstance(e, Applied | Branched)
    ]
    lines, others = one.result.timelines, other.result.timelines
    assert {name: c.losses.tolist() for name, c in lines.items()} == {
        name: c.losses.tolist() for name, c in others.items()
    }
    for (name, a), (_, b) in zip(
        one.model.state_dict().items(), other.model.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def test_the_script_knows_every_command():
    named = {str(c) for c in kinds()} - {"pause", "resume"}
    assert len(ANY.element_strategies) == len(named)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    script=SCRIPT,
    optimizer=st.sampled_from(["adamw", "sgd"]),
    accumulate=st.sampled_from([1, 2]),
    freeze=st.sampled_from([None, "stem", "backbone"]),
)
def test_any_script_replays_bit_for_bit(pictures, script, optimizer, accumulate, freeze):
    run = tl.Session(
        Net(), pictures, steps=15, lr=1e-2, optimizer=optimizer, accumulate=accumulate,
        freeze=freeze, augment=0.2, terms={"l2": l2}, weights={"l2": 0.01}, seed=5,
    )  # fmt: skip
    for step, commands in script:
        for command in commands:
            with suppress(CommandError):  # an adapter that nothing makes
                run.at(step, command)
    run.run()
    again = tl.replay(run.record, model=Net(), data=pictures, terms={"l2": l2})
    assert again.exact and again.agrees, again.text
    same(run, again.run)


@pytest.mark.slow
def test_who_reads_the_data_changes_no_bit(pictures):
    runs = []
    for workers in (0, 2):
        run = tl.Session(
            Net(), pictures, steps=15, lr=1e-2, augment=0.4, accumulate=2, workers=workers, seed=5
        )
        run.at(3, tl.Twin())
        run.at(5, tl.AddLoRA("body", rank=2))
        run.at(9, tl.Rewind(4))
        run.at(11, tl.Branch("left", at=2))
        run.run()
        runs.append(run)
    same(*runs)
    again = tl.replay(runs[1].record, model=Net(), data=pictures)
    assert again.exact, again.text


def test_a_saved_record_replays_what_a_hand_did(run, numbers, tmp_path):
    run.at(10, tl.Unfreeze("body", lr=1e-3))
    run.at(30, tl.SetLR("head", 1e-3))
    run.run()
    path = run.record.save(tmp_path / "deep" / "01.jsonl")
    header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert header["recipe"]["seed"] == 3 and header["metric"] == "accuracy"
    first, second = (row for row in rows if row["kind"] == "applied")
    assert first["command"] == {"kind": "unfreeze", "group": "body", "lr": 1e-3}
    assert [g["trainable"] for g in first["state"]["groups"]] == [True, True]
    assert (first["tick"], second["tick"]) == (10, 30)
    steps = [row for row in rows if row["kind"] == "steps"]
    assert steps[0]["lanes"] == [{"branch": "main", "step": 1}]
    assert [loss for row in steps for loss in row["losses"]] == run.result.losses.tolist()
    assert rows[-1]["kind"] == "finished"
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
    rows = [json.loads(line) for line in run.record.lines()]
    changed = next(row for row in rows if row.get("kind") == "applied")
    changed["command"]["lr"] = 0.5
    record = tl.Record.read("\n".join(map(json.dumps, rows)), "r.jsonl")
    again = tl.replay(record, model=mlp(), data=numbers)
    assert not again.agrees and "Differs" in again.text and "step" in again.text


def test_another_model_is_not_replayed(run, numbers):
    run.run()
    with pytest.raises(RecordError, match="does not start from the recorded weights"):
        tl.replay(run.record, model=mlp(seed=1), data=numbers)


def test_a_record_of_unnamed_data_asks_for_it(run):
    run.run()
    with pytest.raises(RecordError, match="pass it yourself: model="):
        tl.replay(run.record)


TWO = '{"tlcourse_record": 2, "losses": {"every": 1, "sha256": "%s"}}\n' % ("0" * 64)
STEPS = (
    """{"kind": "steps", "tick": %d, "count": %d, "lanes": [{"branch": "%s", "step": 1}],
            "losses": %s}""".replace("\n", "")
    + "\n"
)
BRANCHED = """{"kind": "branched", "tick": 0, "step": 0, "branch": "b", "parent": "main", "control": %s}
"""


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
        ('{"tlcourse_record": 2}\n{"kind": "explode"}\n', "'explode' is not an event"),
        ('{"tlcourse_record": 2}\n{"tick": 3}\n', "None is not an event"),
        (TWO + '{"kind": "steps", "tick": 1, "count": 2, "lanes": []}', "lanes must be a list"),
        (TWO + STEPS % (1, 2, "main", "[1]"), "'losses' must be 2 numbers"),
        (TWO + STEPS % (1, 10**8, "main", "[1]"), "more than 10,000,000 steps"),
        (TWO + STEPS % (1, 1, "other", "[1]"), "no timeline 'other' has begun"),
        (TWO + STEPS % (1, 1, "main", '["1"]'), "losses must be a list, each item a number"),
        (
            TWO + STEPS % (5, 1, "main", "[1]") + STEPS % (3, 1, "main", "[1]"),
            "line 3 .* 5 or more",
        ),
        (TWO + BRANCHED % "false", "timeline 'b' cannot begin here"),
        (TWO + BRANCHED % "true", "timeline 'b' cannot begin here"),
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


def test_a_record_whose_command_is_refused_now_differs(run, numbers):
    run.at(10, tl.Save("here"))
    run.run()
    record = copy.deepcopy(run.record)
    record.header["keep_mb"] = 0.0
    again = tl.replay(record, model=mlp(), data=numbers)
    assert not again.agrees
    assert again.text.startswith("Differs: Save(name='here') at tick 10 was recorded, nothing")


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A record of a run whose model and data can be made again, with time in it."""
    data = tl.load_data("digits", labels_per_class=3)
    model = tl.load_model("pocket-glyphs", classes=data.classes)
    run = tl.Session(model, data, steps=8, freeze="backbone", eval_every=4, seed=2)
    names = list(model.groups)
    script = [
        (2, tl.Twin()), (3, tl.Unfreeze(names[-2], 1e-4)), (4, tl.Save("four")),
        (5, tl.AddLoRA(names[-2], rank=2)), (6, tl.Rewind("four")), (7, tl.Branch("other", at=2)),
    ]  # fmt: skip
    for step, command in script:
        run.at(step, command)
    run.run()
    assert [c for _, c in run.record.commands] == [c for _, c in script]
    return run.record.save(tmp_path_factory.mktemp("record") / "r.jsonl")


def test_on_the_command_line_it_agrees(handed_in, capsys):
    assert main(["replay", str(handed_in)]) == 0
    told = capsys.readouterr().out
    assert (
        "pocket-glyphs on digits, 8 steps, seed 2" in told and "Branch(name='other', at=2)" in told
    )
    steps = tl.Record.load(handed_in).outcome["steps"]
    assert told.endswith(f"Agrees, bit for bit, over {steps} steps.\n") and steps > 8


def test_on_the_command_line_it_differs(handed_in, capsys):
    text = handed_in.read_text().replace(
        '"group": "stage4", "lr": 0.0001', '"group": "stage4", "lr": 0.01'
    )
    other = handed_in.with_name("other.jsonl")
    other.write_text(text)
    assert main(["replay", str(other)]) == 1
    assert "Differs, on the same kind of machine" in capsys.readouterr().out


def test_on_the_command_line_it_cannot_be_run(run, tmp_path, capsys):
    run.run()
    path = run.record.save(tmp_path / "r.jsonl")
    assert main(["replay", str(path)]) == 2
    told = capsys.readouterr().err
    assert "model cannot be recreated" in told and "Traceback" not in told
    assert main(["replay", str(path), "--script"]) == 0
    assert "YOUR_MODEL" in capsys.readouterr().out


def test_the_global_random_state_does_not_matter(pictures):
    first = tl.Session(Net(), pictures, steps=10, augment=0.5).run().losses.tolist()
    torch.manual_seed(99)
    torch.rand(7)
    assert tl.Session(Net(), pictures, steps=10, augment=0.5).run().losses.tolist() == first
    assert tl.Session(Net(), pictures, steps=10, seed=1).run().losses.tolist() != first


OLD = Path(__file__).parent / "records" / "two-groups.jsonl"


def test_a_record_from_before_models_were_divided_by_depth_keeps_its_groups(numbers):
    """Its header says {backbone, head}; the same model has seven groups today."""
    old = tl.Record.load(OLD)
    again = tl.replay(old, model=BertShaped(), data=numbers)
    assert again.exact or "on other hardware or versions" in again.text, again.text
    assert [g.name for g in again.run.groups] == list(old.header["recipe"]["lr"])
    assert len(tl.Session(BertShaped(), numbers).groups) == 7
    assert "paths = {'backbone': ['backbone'], 'head': ['head']}" in tl.to_script(again.run.record)


def test_a_record_says_where_its_groups_lie(numbers, tmp_path):
    groups = {"low": ["backbone.embeddings", "backbone.encoder.layer.0"], "top": "head"}
    run = tl.Session(BertShaped(), numbers, steps=6, groups=groups, eval_every=6, seed=1)
    assert [g.name for g in run.groups] == ["rest", "low", "top"]
    run.at(2, tl.Freeze("low"))
    run.at(4, tl.SetLR("head", 1e-2))
    run.run()
    path = run.record.save(tmp_path / "run.jsonl")
    again = tl.replay(path, model=BertShaped(), data=numbers)
    assert again.exact, again.text
    assert [g.name for g in again.run.groups] == ["rest", "low", "top"]
    last = run.result.losses[-1]
    text = tl.to_script(tl.Record.load(path))
    scope = {"YOUR_MODEL": BertShaped(), "YOUR_DATA": numbers}
    exec(compile(text, "script", "exec"), scope)
    assert scope["losses"][-1] == last
