"""An autosave that somebody else may have written is resumed, or refused in one sentence."""

import hashlib
import json
import random
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load, save

import tlcourse as tl
from tests.test_doors import change, spoiled
from tlcourse.errors import CommandError, RecordError, TrainingFailed

from .conftest import make_numbers, mlp


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A save with everything in it."""
    folder = tmp_path_factory.mktemp("saved")
    run = tl.Session(mlp(), make_numbers(), steps=30, lr=1e-2, autosave=folder, autosave_s=0)
    hand = [
        (3, tl.Save("m")), (5, tl.AddLoRA("body", rank=2)), (8, tl.Rewind("m")), (12, tl.Twin()),
        (13, tl.SetLR("head", 0.03)), (16, tl.Branch("x", at=2)), (18, tl.Freeze("body")),
    ]  # fmt: skip
    for step, command in hand:
        run.at(step, command)
    run.at(20, tl.Stop())
    run.run()
    return sorted(folder.glob("save-*"))[-1]


def forged(saved, folder, dice):
    """A copy of the save with something changed, and the right hashes of it."""
    made = folder / saved.name
    shutil.copytree(saved, made)
    state, sums = made / "state.json", made / "SHA256SUMS"
    how = dice.choice(["state", "state", "state", "record", "bytes", "tensors", "sums"])
    if how == "state":
        tree, raw = change(json.loads(state.read_text()), dice)
        state.write_text(json.dumps(tree).replace('"@RAW@"', raw or ""))
    elif how == "record":
        rows = (made / "record.jsonl").read_text().splitlines()
        at = dice.randrange(len(rows))
        tree, raw = change(json.loads(rows[at]), dice)
        rows[at] = json.dumps(tree).replace('"@RAW@"', raw or "")
        (made / "record.jsonl").write_text("\n".join(rows) + "\n")
    elif how == "bytes":
        file = dice.choice([state, made / "record.jsonl", made / "state.safetensors"])
        file.write_bytes(spoiled(file.read_bytes(), dice))
    elif how == "tensors":
        file = made / "state.safetensors"
        tensors = load(file.read_bytes())
        name = dice.choice(sorted(tensors))
        value = tensors.pop(name)
        odd = [
            value.flatten()[:0],
            value.double(),
            torch.zeros(3, 5),
            value.flatten()[:1],
            torch.arange(4),
        ]
        if (new := dice.choice([*odd, None])) is not None:
            tensors[
                dice.choice([name, name, f"run/buffer/{dice.choice(['forward', 'x.y', ''])}"])
            ] = new
        file.write_bytes(save({k: v.contiguous() for k, v in tensors.items()}))
    rows = sums.read_text().splitlines()
    names = [row.split("  ")[1] for row in rows]
    rows = [f"{hashlib.sha256((made / n).read_bytes()).hexdigest()}  {n}" for n in names]
    if how == "sums":
        rows.append(f"{'0' * 64}  {dice.choice(['../x', '/etc/passwd', '/dev/zero', 'x', ''])}")
    sums.write_text("\n".join(rows) + "\n")
    return folder


def check_forged(saved, folder, number):
    dice = random.Random(number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run = tl.resume(forged(saved, folder, dice), model=mlp(), data=make_numbers())
            run.send(tl.Branch("on"))  # what passes can be used
            for _ in range(2):
                run.run()
            run.timelines, run.bookmarks, run.groups, run.record.lines()
        except (RecordError, CommandError, TrainingFailed) as refusal:
            str(refusal).encode()
            return type(refusal)


def test_a_forged_autosave_is_one_sentence(saved, tmp_path):
    """Each number is a save; another number, another save."""
    outcomes = [check_forged(saved, tmp_path / str(n), n) for n in range(60)]
    assert RecordError in outcomes and None in outcomes


@pytest.mark.parametrize("odd", [torch.zeros(1), torch.zeros(()), torch.zeros(16, 8).double()])
def test_an_optimizer_state_of_another_size_is_refused(saved, tmp_path, odd):
    """A fused step would write beyond it: the process died."""
    made = tmp_path / saved.name
    shutil.copytree(saved, made)
    file = made / "state.safetensors"
    tensors = load(file.read_bytes())
    name = next(n for n, v in tensors.items() if n.endswith("/exp_avg") and v.shape == (16, 8))
    file.write_bytes(save(tensors | {name: odd}))
    sums = (made / "SHA256SUMS").read_text().splitlines()
    rest = [row for row in sums if not row.endswith(file.name)]
    mine = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
    (made / "SHA256SUMS").write_text("\n".join([mine, *rest]) + "\n")
    with pytest.raises(RecordError, match="exp_avg is .16, 8. torch.float32, not"):
        tl.resume(tmp_path, model=mlp(), data=make_numbers())


@pytest.mark.release
@pytest.mark.timeout(1800)
def test_a_thousand_forged_autosaves(saved, tmp_path):
    for number in range(1000, 2000):
        check_forged(saved, tmp_path / str(number), number)
        shutil.rmtree(tmp_path / str(number))
