"""A record as a plain script: run by itself it comes to the same losses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tlcourse as tl
from tlcourse.errors import RecordError

from .conftest import Net, mlp

ROOT = Path(__file__).parents[2]
RUNNER = """
import json, runpy, sys
import torch
from tests.session.conftest import Net, make_pictures

def l2(model, batch):
    return sum(p.square().sum() for p in model.parameters()) * batch.x.mean()

for path in sys.argv[1:]:
    given = {"YOUR_DATA": make_pictures(), "YOUR_MODEL": Net(), "YOUR_TERMS": {"l2": l2},
             "YOUR_LOSS": torch.nn.functional.multi_margin_loss}
    print(json.dumps(runpy.run_path(path, given)["losses"]))
"""

CASES = {
    "head only": ({"freeze": "backbone"}, []),
    "without frozen statistics": ({"freeze": "backbone", "freeze_stats": False}, []),
    "freeze and unfreeze": (
        {"freeze": "backbone", "lr": {"backbone": 1e-3, "head": 1e-2}},
        [
            (3, tl.Unfreeze("body")), (5, tl.Unfreeze("stem", 1e-4)), (5, tl.SetLR("all", 3e-3)),
            (9, tl.Freeze("body", stats=False)), (12, tl.Freeze("body")), (14, tl.Unfreeze("body")),
        ],
    ),
    "sgd": (
        {"optimizer": "sgd", "freeze": "stem"},
        [(4, tl.Unfreeze("stem")), (8, tl.Freeze("body")), (12, tl.Unfreeze("body", 1e-3))],
    ),
    "augmentation": ({"augment": 0.4}, [(6, tl.Augment(0.9)), (12, tl.Augment(0.0))]),
    "accumulate": ({"accumulate": 2, "batch_size": 24, "augment": 0.1}, []),
    "bf16": ({"precision": "bf16"}, [(7, tl.SetLR("head", 1e-4))]),
    "lora": (
        {},
        [
            (4, tl.AddLoRA("backbone", rank=2, alpha=4)), (8, tl.SetScale("lora", 0.5)),
            (11, tl.Freeze("lora")), (13, tl.Unfreeze("backbone", 1e-4)),
        ],
    ),
    "two adapters": (
        {"freeze": "stem"},
        [(4, tl.AddLoRA("body", rank=12, lr=1e-2)), (9, tl.AddLoRA("stem", name="low", layers="0"))],
    ),
    "heads": (
        {"freeze": "backbone"},
        [
            (3, tl.SwapHead()), (6, tl.SwapHead("mlp", lr=1e-3)), (9, tl.SwapHead("mlp")),
            (12, tl.SwapHead()),
        ],
    ),
    "lora on the head": ({}, [(4, tl.AddLoRA("all", rank=2)), (8, tl.SwapHead())]),
    "a term": (
        {"terms": {"l2": None}, "weights": {"l2": 0.01}},
        [(5, tl.SetWeight("l2", 0.0)), (9, tl.SetWeight("l2", 0.1))],
    ),
    "another loss": ({"loss": "multi_margin_loss"}, []),
    "time": (
        {},
        [
            (3, tl.SetLR("head", 1e-3)), (5, tl.Save("five")), (6, tl.AddLoRA("body")),
            (9, tl.Branch("other", at="five")), (8, tl.Twin()), (12, tl.Freeze("stem")),
            (14, tl.Rewind(8)), (16, tl.Rewind(9, branch="main")), (17, tl.SwapHead()),
        ],
    ),
    "stopped": ({}, [(4, tl.SetLR("head", 1e-3)), (11, tl.Stop())]),
    "done after the last step": (
        {"freeze": "stem"},
        [
            (6, tl.AddLoRA("stem", rank=2)), (11, tl.SetScale("lora", 3)), (11, tl.SwapHead("mlp")),
            (11, tl.AddLoRA("body", name="low")), (11, tl.Stop()),
        ],
    ),
    "partly fixed": (
        {"fixed": ["body.0.weight", "head.2.bias"]},
        [(5, tl.Freeze("body")), (9, tl.Unfreeze("body")), (12, tl.AddLoRA("body"))],
    ),
}  # fmt: skip


def l2(model, batch):
    return sum(p.square().sum() for p in model.parameters()) * batch.x.mean()


@pytest.fixture(scope="module")
def runs(pictures):
    made = {}
    for name, (options, script) in CASES.items():
        options = {"steps": 20, "lr": 1e-2, "seed": 7} | options
        if "terms" in options:
            options["terms"] = {"l2": l2}
        if "loss" in options:
            from torch.nn.functional import multi_margin_loss

            options["loss"] = multi_margin_loss
        model = Net()
        for parameter in options.pop("fixed", ()):
            model.get_parameter(parameter).requires_grad_(False)
        run = tl.Session(model, pictures, **options)
        for step, command in script:
            run.at(step, command)
        run.run()
        made[name] = run
    return made


@pytest.fixture(scope="module")
def scripted(runs, tmp_path_factory):
    """Losses of every case's script, and what it printed, from a process that knows no session."""
    folder = tmp_path_factory.mktemp("scripts")
    paths = []
    for number, run in enumerate(runs.values()):
        paths.append(folder / f"{number}.py")
        paths[-1].write_text(tl.to_script(run.record))
    line = [sys.executable, "-c", RUNNER, *map(str, paths)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    printed, told, lines = [], {}, iter(done.stdout.splitlines())
    for name in runs:
        for row in lines:
            if row.startswith("["):
                told[name] = (json.loads(row), printed)
                printed = []
                break
            printed.append(row)
    return told


@pytest.mark.parametrize("case", CASES)
def test_a_script_comes_to_the_same_losses_bit_for_bit(runs, scripted, case):
    losses, printed = scripted[case]
    result = runs[case].result
    assert losses == result.losses.tolist()
    assert f"after {result.steps} steps" in printed[0]
    assert printed[-1] == f"accuracy on test data {result.accuracy:.1%}"


def test_a_script_is_short_and_has_no_session(runs):
    plain = tl.to_script(runs["head only"].record)
    assert "Session" not in plain and "peft" not in plain and "augment" not in plain
    assert len(plain.splitlines()) <= 125
    after = tl.to_script(runs["time"].record)
    assert (
        "SwapHead" in after
        and "AddLoRA" not in after[after.index("losses = []") :].split("SwapHead")[1]
    )


def test_of_models_and_data_that_can_be_made_again_nothing_is_left_to_do(tmp_path):
    data = tl.load_data("digits", labels_per_class=5)
    model = tl.load_model("pocket-glyphs", classes=data.classes)
    run = tl.Session(model, data, steps=4, freeze="backbone", seed=2)
    run.at(2, tl.Unfreeze(list(model.groups)[-2], 1e-4))
    run.run()
    script = tl.to_script(tl.Record.load(run.record.save(tmp_path / "r.jsonl")))
    assert "YOUR_" not in script
    (tmp_path / "plain.py").write_text(script + "\nprint(losses)\n")
    line = [sys.executable, str(tmp_path / "plain.py")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == run.result.losses.tolist()


def test_a_script_has_what_led_to_the_end_and_no_more(runs):
    script, run = tl.to_script(runs["time"].record), runs["time"]
    assert "in range(20)" in script and "in range(11)" in tl.to_script(runs["stopped"].record)
    done = [command for _, command in run._training.time.history(run._training).since()]
    assert [type(command).__name__ for command in done] == ["SetLR", "AddLoRA", "SwapHead"]
    assert [line.strip() for line in script.splitlines() if line.startswith("        # ")] == [
        f"# {command!r}" for command in done
    ]


def test_a_record_that_is_not_whole_is_refused(numbers):
    run = tl.Session(mlp(), numbers, steps=3)
    run.run()
    record = run.record
    del record.header["recipe"]
    with pytest.raises(RecordError, match="incomplete"):
        tl.to_script(record)


@pytest.mark.release
def test_a_script_is_the_same_text_in_every_process():
    """Python orders sets of words anew in each process."""
    code = """
import tlcourse as tl
from tests.session.conftest import Net, make_pictures
run = tl.Session(Net(), make_pictures(), steps=4, freeze="backbone")
run.at(2, tl.Unfreeze("backbone"))
run.run()
print(tl.to_script(run.record))
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1 and "frozen_stats = {'stem', 'body'}" in told.pop()
