"""One run in two processes: the same commands at the same steps, the same weights bit for bit."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse.errors import RecordError

from .conftest import Net

SCRIPT = Path(__file__).with_name("ranks_script.py")


def in_two(story, folder, timeout_s=240):
    """What both ranks wrote of each story (of the one, if it is one). Started as torchrun does, without
    its second of starting."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), story, str(folder)],
            env=os.environ
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    try:
        for rank in ranks:
            rank.wait(timeout_s)
    finally:
        for rank in ranks:
            rank.kill()
    told = {name: said(folder / name) for name in story.split(",")}
    return told if len(told) > 1 else told[story]


@pytest.fixture(scope="module")
def daily(tmp_path_factory):
    """The stories of every day, one after another in the same two processes; the failing one is last."""
    return in_two("steered,by_hand,halves,differing,failing", tmp_path_factory.mktemp("ranks"))


def said(folder):
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def of(kind, rank):
    return [event for event in rank["events"] if event["kind"] == kind]


def test_every_rank_applies_the_same_command_at_the_same_step(daily):
    """lr, freeze, unfreeze, LoRA, a twin, rewinds over thinned-out moments, branches."""
    first, second = daily["steered"]
    assert first["events"] == second["events"]  # every loss, every rate, every movement
    for what in ("weights", "optimizer", "kept", "status"):
        assert first[what] == second[what], what
    applied = [(e["tick"], e["command"]["kind"]) for e in of("applied", first)]
    assert [kind for _, kind in applied] == [
        "set_lr", "unfreeze", "freeze", "add_lora", "twin", "unfreeze", "rewind", "branch", "rewind",
    ]  # fmt: skip
    assert len(of("refused", first)) == 1 and of("branched", first)[0]["branch"] == "twin"
    assert any(e["branch"] == "twin" for e in of("step_done", first))
    assert first["ranks"] == 2
    assert not set(first["sample"]) & set(second["sample"])


def test_only_the_first_rank_is_heard_and_a_pause_keeps_the_others(daily):
    first, second = daily["by_hand"]
    assert first["events"] == second["events"] and first["weights"] == second["weights"]
    kinds = [e["command"]["kind"] for e in of("applied", second)]
    assert kinds == ["set_lr", "pause", "resume", "rewind", "stop"]
    assert second["status"] == "stopped"


def test_two_halves_of_a_batch_are_the_whole(daily, pictures):
    first, second = daily["halves"]
    from .ranks_script import Plain

    options = {"steps": 24, "lr": 1e-2, "eval_every": 10, "seed": 5}
    whole = tl.Session(Plain(), pictures, batch_size=32, **options).run()
    np.testing.assert_allclose(first["losses"], whole.losses, rtol=2e-4)
    assert first["losses"] == second["losses"]


@pytest.mark.parametrize("story", ["bf16_accumulated", "workers"])
@pytest.mark.release
def test_ranks_agree_also_with(tmp_path, story):
    first, second = in_two(story, tmp_path)
    assert first["events"] == second["events"] and first["weights"] == second["weights"]
    losses = [(e["step"], e["loss"]) for e in of("step_done", first)]
    assert losses[9:15] == losses[3:9]  # after the rewind to step 3


@pytest.mark.release
def test_the_record_of_two_replays_in_two_and_is_refused_by_one(tmp_path, pictures):
    first, second = in_two("replayed", tmp_path)
    assert "error" not in first and "error" not in second
    with pytest.raises(RecordError, match="by 2 processes, .*torchrun --nproc_per_node 2"):
        tl.replay(tmp_path / "0.jsonl", model=Net(), data=pictures)


@pytest.mark.slow
@pytest.mark.release
def test_two_that_were_killed_go_on_together_bit_for_bit(tmp_path, pictures):
    with pytest.raises(FileNotFoundError):
        in_two("killed", tmp_path)
    first, second = in_two("resumed", tmp_path)
    (straight, _) = in_two("whole", tmp_path)
    for rank in (first, second):
        assert rank["events"] == straight["events"]
        assert rank["weights"] == straight["weights"] and rank["optimizer"] == straight["optimizer"]


def test_ranks_that_are_not_alike_are_refused_on_both(daily):
    for rank in daily["differing"]:
        assert rank["error"] == (
            "CommandError: Every rank must make the same Session: batch_size is 17 on rank 1 and 16 "
            "on rank 0."
        )


def test_a_rank_that_fails_takes_the_others_along(daily):
    """Long before the timeout of 300 s."""
    first, second = daily["failing"]
    assert "step 5 with ValueError: the wheel came off" in second["error"]
    assert "Rank 0 of 2 waited for their gradients and another rank does not" in first["error"]


@pytest.mark.slow
@pytest.mark.release
def test_a_rank_that_is_silent_is_given_up(tmp_path):
    first, _ = in_two("silent", tmp_path)
    assert "was silent for 3 s" in first["error"]


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.parametrize(
    "launcher",
    [  # fmt: skip
        ["torch.distributed.run", "--nproc_per_node", "2", "--master_port"],
        # on a CPU too: with --cpu, accelerate starts one process, or leaves it to mpirun
        [
            "accelerate.commands.launch",
            "--multi_gpu",
            "--num_processes",
            "2",
            "--num_machines",
            "1",
            "--mixed_precision",
            "no",
            "--dynamo_backend",
            "no",
            "--main_process_port",
        ],
    ],
)
def test_launchers_start_it(tmp_path, launcher):
    if launcher[0].startswith("accelerate"):
        pytest.importorskip("accelerate")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", *launcher, port, str(SCRIPT), "steered", str(tmp_path)]
    subprocess.run(command, check=True, timeout=240)
    first, second = said(tmp_path / "steered")
    assert first["ranks"] == 2
    assert first["events"] == second["events"] and first["weights"] == second["weights"]


# -- one process -------------------------------------------------------------------------------


def test_two_batches_accumulated_are_one_of_twice_the_size(pictures):
    from .ranks_script import Plain

    options = {"steps": 24, "lr": 1e-2, "eval_every": 10, "seed": 5}
    whole = tl.Session(Plain(), pictures, batch_size=32, **options).run()
    parts = tl.Session(Plain(), pictures, batch_size=16, accumulate=2, **options).run()
    np.testing.assert_allclose(parts.losses, whole.losses, rtol=2e-4)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_bf16_trains_and_replays_bit_for_bit(pictures, accumulate):
    run = tl.Session(
        Net(), pictures, steps=40, lr=1e-2, precision="bf16", accumulate=accumulate, seed=1
    )
    run.at(12, tl.Rewind(8))
    result = run.run()
    assert result.losses[-5:].mean() < 0.8 * result.losses[:5].mean()
    assert all(p.dtype == torch.float32 for p in run.model.parameters())
    exact = tl.Session(Net(), pictures, steps=40, lr=1e-2, accumulate=accumulate, seed=1).run()
    assert result.losses.tolist() != exact.losses.tolist()  # it did compute in bf16
    assert tl.replay(run.record, model=Net(), data=pictures).exact
