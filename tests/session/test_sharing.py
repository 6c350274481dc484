"""A run shares interpreter and memory with the notebook it trains in: neither starves the other."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import tlcourse as tl
from tlcourse.session.threads import yielding
from tlcourse.session.threads.yielding import yielder

from .conftest import mlp

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="a clock of a thread's processor time")


@pytest.fixture
def long(numbers):
    run = tl.Session(mlp(), numbers, steps=10**6, eval_every=10**6).start()
    yield run
    if run.status == "running":
        run.send(tl.Stop())
        run.run()


class Counting:
    """A lock that counts how often somebody waits for it: that is a rest of the cell."""

    def __init__(self, lock) -> None:
        self.lock, self.times = lock, 0

    def acquire(self, timeout: float) -> bool:
        self.times += 1
        return self.lock.acquire(timeout=timeout)


def compute(seconds: float) -> None:
    """What a cell does that computes in pure Python."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@LINUX
@pytest.mark.release  # four busy programs beside it leave a cell no rest in one run of fifteen
def test_a_cell_that_computes_rests_and_a_cell_alone_does_not(long, monkeypatch):
    rests = Counting(yielder()._over)
    monkeypatch.setattr(yielder(), "_over", rests)
    monkeypatch.setattr(yielding, "PROMPT_S", 1.0)  # a loaded machine answers late
    while long.step < 20:
        time.sleep(0.01)
    tried = time.perf_counter()
    while rests.times < 10 and time.perf_counter() - tried < 20:  # a busy machine asks seldom
        compute(0.1)
    beside = rests.times
    long.send(tl.Stop())
    long.run()
    compute(0.1)  # what was asked last is answered
    over = rests.times
    compute(0.5)
    assert beside >= 10
    assert rests.times == over


@LINUX
def test_a_cell_that_waits_is_not_asked_to_rest(long, monkeypatch):
    while long.step < 20:
        time.sleep(0.01)
    rests = Counting(yielder()._over)
    monkeypatch.setattr(yielder(), "_over", rests)
    time.sleep(0.5)
    assert rests.times <= 3  # a few looks may fall on what pytest does here


@LINUX
@pytest.mark.parametrize("after_s", [0.1, 0.13, 0.17, 0.2])
def test_an_interrupt_reaches_a_cell_that_rests(long, after_s):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` ignores it
    try:
        interrupted(after_s)
    finally:
        signal.signal(signal.SIGINT, before)
    assert long.status == "running"


def interrupted(after_s: float) -> None:
    alarm = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        alarm.start()
        compute(10)


STEPS = """
import resource
import torch
from torch import nn
import tlcourse as tl
from tlcourse.data import Data, Split

torch.manual_seed(0)
x, y = torch.randint(0, 255, (64, 3, 64, 64), dtype=torch.uint8), torch.arange(64) % 2
part = Split(x, y, tuple(map(str, range(64))))
none = Split(x[:0], y[:0], ())
faults = {}

def loss(logits, y):
    if (at := run.step) in (5, 15):
        faults[at] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    return nn.functional.cross_entropy(logits, y)

layers = [m for n in range(3) for m in (nn.Conv2d(3 if n == 0 else 32, 32, 3, padding=1), nn.ReLU())]
model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
run = tl.Session(model, Data("", "", part, none, none, ("a", "b"), {}), steps=16, loss=loss, seed=0)
run.start()
run.run()
print((faults[15] - faults[5]) / 10)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's own")
@pytest.mark.release
def test_a_step_finds_the_memory_of_the_last():
    def faults_a_step(**env: str) -> float:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        told = subprocess.run(
            [sys.executable, "-c", STEPS],
            env=clean | env,
            capture_output=True,
            text=True,
            check=True,
        )
        return float(told.stdout)

    kept, untouched = faults_a_step(), faults_a_step(MALLOC_TOP_PAD_="131072")
    assert kept < untouched / 2, (kept, untouched)  # somebody's own setting is left alone
