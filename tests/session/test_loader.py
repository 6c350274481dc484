"""Data that is read batch by batch, here and by worker processes: the same bits, and nobody left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

import tlcourse as tl
from tlcourse.data import Split
from tlcourse.errors import CommandError, DataError, TrainingFailed
from tlcourse.session import Applied, StepDone

from .conftest import Net, mlp, of


class OnDisk:
    """Pictures in one file each: what stands behind a split that does not fit in memory."""

    def __init__(self, folder: Path, x: torch.Tensor, broken: int | None = None):
        self.folder, self.n = folder, len(x)
        for number, picture in enumerate(x):
            torch.save(picture.clone(), folder / f"{number}.pt")
        if broken is not None:
            (folder / f"{broken}.pt").write_bytes(b"not a picture")

    def __len__(self):
        return self.n

    def __getitem__(self, number):
        return torch.load(self.folder / f"{number}.pt", weights_only=True)


def on_disk(pictures, folder, broken=None):
    def split(name, part, broken=None):
        (folder / name).mkdir()
        return Split(OnDisk(folder / name, part.x, broken), part.y, part.ids)

    return replace(
        pictures,
        train=split("train", pictures.train, broken),
        valid=split("valid", pictures.valid),
        test=split("test", pictures.test),
    )


def session(data, **more):
    options = {"steps": 16, "lr": 1e-2, "augment": 0.3, "eval_every": 7, "seed": 5} | more
    return tl.Session(Net(), data, **options)


def steered(data, **more):
    run = session(data, **more)
    run.at(4, tl.Augment(0.8))
    run.at(5, tl.Twin())
    run.at(6, tl.SetLR("stem", 1e-3))
    run.at(12, tl.Rewind(3))
    run.at(9, tl.Branch("other"))
    run.run()
    return run


def told(run):
    return [(e.tick, e.step, e.branch, e.loss) for e in of(StepDone, run.events)]


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("sgd", marks=pytest.mark.release)])
def test_who_reads_changes_no_bit(pictures, tmp_path, optimizer):
    """In memory; file by file; by two workers; both ways through twin, rewind, branch and Augment."""
    options = {"optimizer": optimizer, "accumulate": 2, "batch_size": 16}
    disk = on_disk(pictures, tmp_path)
    memory = steered(pictures, **options)
    assert len(of(Applied, memory.events)) == 5 and len(told(memory)) > 25
    for run in (
        steered(disk, **options),
        steered(disk, workers=2, **options),
        steered(pictures, workers=2, **options),
    ):
        assert told(run) == told(memory)
        assert run.result.accuracy == memory.result.accuracy
        for name, value in memory.model.state_dict().items():
            assert torch.equal(value, run.model.state_dict()[name]), name


def test_a_record_of_workers_replays(pictures, tmp_path):
    disk = on_disk(pictures, tmp_path)
    run = steered(disk, workers=2)
    assert run.record.header["recipe"]["workers"] == 2
    assert tl.replay(run.record, model=Net(), data=disk).exact


@pytest.mark.release
def test_numbers_can_have_workers_too(numbers):
    alone, helped = (tl.Session(mlp(), numbers, steps=12, workers=n) for n in (0, 2))
    assert alone.run().losses.tolist() == helped.run().losses.tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_cannot_be_read_is_named(pictures, tmp_path, workers):
    run = session(on_disk(pictures, tmp_path, broken=70), steps=60, workers=workers)
    with pytest.raises(TrainingFailed, match=r"Sample '70' \(x\[70\]\) cannot be read") as caught:
        run.run()
    assert isinstance(caught.value.__cause__, DataError)
    assert not multiprocessing.active_children()


class Odd:
    """A sequence that is not what it should be."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (torch.zeros(3, 9, 9), r"\(3, 9, 9\) float32"),
        ((torch.zeros(3, 9, 9, dtype=torch.uint8), 1), "a tuple"),
        (torch.zeros(9, 9, dtype=torch.uint8), r"\(9, 9\) uint8"),
    ],
)
def test_what_is_no_picture_is_refused_before_training(pictures, row, says):
    train = Split(Odd([row] * 20), pictures.train.y[:20], pictures.train.ids[:20])
    with pytest.raises(DataError, match=f"{says}, and must be a .3, H, W. uint8 tensor"):
        session(replace(pictures, train=train))


def test_pictures_of_two_sizes_are_named(pictures):
    rows = [*pictures.train.x[:20], torch.zeros(3, 9, 9, dtype=torch.uint8)]
    train = Split(Odd(rows), pictures.train.y[:21], pictures.train.ids[:21])
    with pytest.raises(TrainingFailed, match="'20'|one size"):
        session(replace(pictures, train=train), batch_size=21).run()


@pytest.mark.parametrize("workers", [-1, 1.5, True, "2"])
def test_workers_are_a_number(pictures, workers):
    with pytest.raises(CommandError, match="workers is a number of processes from 0 on"):
        session(pictures, workers=workers)


@pytest.mark.filterwarnings("ignore:Got pickle error")
def test_data_of_a_notebook_cannot_go_to_workers_and_the_error_says_why(pictures):
    class Local(Odd):
        pass

    train = Split(Local(pictures.train.x), pictures.train.y, pictures.train.ids)
    with pytest.raises(TrainingFailed, match="must stand in a file that can be imported"):
        session(replace(pictures, train=train), workers=1).run()
    assert not multiprocessing.active_children()


def workers_of_this_process():
    """Processes of ours that run Python code of multiprocessing, without its two servers."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE and process.ppid() != os.getpid()
    ]


def test_no_worker_outlives_its_run(pictures, tmp_path):
    run = session(on_disk(pictures, tmp_path), steps=10**6, workers=2, eval_every=10**6)
    run.start()
    while run.step < 5:
        time.sleep(0.01)
    assert len(workers_of_this_process()) == 2  # under the fork server
    run.send(tl.Stop())
    run.run()
    assert not multiprocessing.active_children()
    deadline = time.monotonic() + 60
    while workers_of_this_process():
        assert time.monotonic() < deadline, workers_of_this_process()
        time.sleep(0.05)
    run.send(tl.Rewind(3))  # a run that goes on has its workers again
    run.send(tl.Stop())
    run.run()
    assert run.step >= 3 and not multiprocessing.active_children()


def test_no_worker_outlives_a_process_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        textwrap.dedent(
            """
            import time, torch, psutil
            import tlcourse as tl
            from tlcourse.data import Data, Split

            if __name__ == "__main__":
                x = torch.randint(0, 255, (64, 3, 8, 8), dtype=torch.uint8)
                part = Split(x, torch.arange(64) % 2, tuple(map(str, range(64))))
                model = torch.nn.Sequential()
                model.add_module("body", torch.nn.Flatten())
                model.add_module("head", torch.nn.Linear(192, 2))
                run = tl.Session(model, Data("d", "d", part, part, part, ("a", "b")),
                                 steps=10**6, workers=2, eval_every=10**6).start()
                while run.step < 5:
                    time.sleep(0.01)
                print(*[p.pid for p in psutil.Process().children(recursive=True)], flush=True)
                run.run()
            """
        )
    )
    run = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # workers complain of the broken line
        text=True,
    )
    try:
        pids = [int(word) for word in run.stdout.readline().split()]
        assert len(pids) >= 3  # two workers and the server that made them
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    deadline = time.monotonic() + 60
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
