"""Training beside the main thread: waiting, sending from anywhere, failing, interrupting."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

import tlcourse as tl
from tlcourse.errors import CommandError, SessionError, TrainingFailed
from tlcourse.session import CORES, Applied, Failed, Finished, Refused, StepDone

from .conftest import mlp, of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def long(numbers):
    run = tl.Session(mlp(), numbers, steps=10**6, freeze="body", eval_every=10**6)
    yield run
    if run.status in ("running", "paused"):
        run.send(tl.Stop())
        run.run()


def until(true, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.001)


def test_wait_starts_the_run_and_returns_its_result(run):
    result = asyncio.run(run.wait())
    assert result.steps == 60 and run.status == "finished"
    assert asyncio.run(run.wait()).steps == 60  # and again


def test_several_can_wait(run):
    async def all_of_them():
        return await asyncio.gather(run.wait(), run.wait(), run.wait())

    assert [result.steps for result in asyncio.run(all_of_them())] == [60] * 3


def test_the_loop_stays_free_while_waiting(long):
    async def steer():
        waiting = asyncio.create_task(long.wait())
        await asyncio.sleep(0.05)
        long.send(tl.Unfreeze("body"), id="click 1")
        await asyncio.sleep(0.05)
        long.send(tl.Stop())
        return await waiting

    assert asyncio.run(steer()).reason == "stopped"
    assert of(Applied, long.events)[0].id == "click 1"


def test_pause_holds_the_clock_and_other_commands_still_apply(long):
    long.start()
    until(lambda: long.step > 50)
    long.send(tl.Pause())
    until(lambda: long.status == "paused")
    tick = long.events[-1].tick
    long.send(tl.SetLR("head", 1e-4))
    until(lambda: len(of(Applied, long.events)) == 2)
    assert long.events[-1].tick == tick and long.step == tick
    long.send(tl.Pause())
    until(lambda: of(Refused, long.events))
    assert "paused already" in of(Refused, long.events)[0].reason
    long.send(tl.Resume())
    until(lambda: long.step > tick)


def test_starting_twice_is_one_run(run):
    run.start().start()
    run.run()
    assert len(of(StepDone, run.events)) == 60 and len(of(Finished, run.events)) == 1


def test_a_result_before_the_end_says_what_to_do(run):
    with pytest.raises(SessionError, match="await run.wait"):
        _ = run.result


def test_a_late_command_is_refused(run):
    run.run()
    with pytest.raises(CommandError, match="is finished, so Freeze comes too late"):
        run.send(tl.Freeze("body"))
    with pytest.raises(CommandError, match="is past|too late"):
        run.at(30, tl.Stop())


def test_no_command_is_left_without_an_answer(numbers):
    """Many hands send while the run ends; each send raises, or is answered by an event."""
    run = tl.Session(mlp(), numbers, steps=10**6)
    sent, refused = [], []

    def hand(name):
        for number in range(10**6):
            try:
                run.send(tl.Evaluate("valid"), id=f"{name} {number}")
                sent.append(f"{name} {number}")
            except CommandError:
                refused.append(name)
                return
            time.sleep(1e-4)

    hands = [threading.Thread(target=hand, args=(name,)) for name in "abc"]
    run.start()
    for thread in hands:
        thread.start()
    until(lambda: run.step > 0)  # the flood does not keep training from its steps
    run.send(tl.Stop())
    for thread in hands:
        thread.join()
    run.run()
    answered = [e.id for e in run.events if isinstance(e, Applied | Refused) and e.id]
    assert sorted(answered) == sorted(sent) and sorted(refused) == ["a", "b", "c"]


class Fragile(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.left = nn.Linear(8, 4), nn.Linear(4, 2), 12

    def forward(self, x):
        self.left -= 1
        if self.left < 0:
            raise ValueError("the wheel came off")
        return self.head(self.body(x))


def test_what_training_raises_is_told_and_raised_again(numbers):
    run = tl.Session(Fragile(), numbers, steps=50, eval_every=50)
    with pytest.raises(TrainingFailed, match="step 12 .* the wheel came off") as caught:
        asyncio.run(run.wait())
    assert isinstance(caught.value.__cause__, ValueError)
    failed = run.events[-1]
    assert isinstance(failed, Failed) and "forward" in failed.traceback
    assert failed.error == "ValueError: the wheel came off" and run.status == "failed"
    with pytest.raises(TrainingFailed):
        _ = run.result


def test_wrong_shapes_fail_readably(pictures):
    run = tl.Session(mlp(), pictures, steps=5)
    with pytest.raises(TrainingFailed, match="step 0 with RuntimeError"):
        run.run()


def test_interrupting_the_wait_says_that_training_goes_on(long):
    async def interrupted():
        task = asyncio.create_task(long.wait())
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError, match="the training goes on.*Stop"):
        asyncio.run(interrupted())
    step = long.step
    until(lambda: long.step > step)


def test_a_timeout_around_the_wait_is_still_a_timeout(long):
    async def timed():
        async with asyncio.timeout(0.05):
            await long.wait()

    with pytest.raises(TimeoutError):
        asyncio.run(timed())


def test_the_main_thread_lends_its_cores_and_has_them_back(long):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        long.start()
        assert torch.get_num_threads() == 1
        assert long.record.header["threads"] == 2
        CORES.reclaim()
        assert torch.get_num_threads() == 1  # not while the run is on
        long.send(tl.Stop())
        asyncio.run(long.wait())
        assert torch.get_num_threads() == 2
        for _ in range(20):  # whoever wakes has them at once
            torch.set_num_threads(2)
            asyncio.run(tl.Session(mlp(), long.data, steps=2).wait())
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_two_runs_one_after_another_do_not_lose_the_cores(numbers):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(2):
            tl.Session(mlp(), numbers, steps=5).start()  # nobody waits
        third = tl.Session(mlp(), numbers, steps=5)
        asyncio.run(third.wait())
        assert third.record.header["threads"] == 2
        until(lambda: (CORES.reclaim(), torch.get_num_threads())[1] == 2)
    finally:
        torch.set_num_threads(before)


def test_a_pace_slows_the_run_and_changes_nothing_else(numbers):
    fast = tl.Session(mlp(), numbers, steps=20).run()
    slow = tl.Session(mlp(), numbers, steps=20, pace=100).run()
    assert slow.seconds > 19 / 100
    assert slow.losses.tolist() == fast.losses.tolist()


def test_a_paced_run_answers_at_once(numbers):
    run = tl.Session(mlp(), numbers, steps=20, pace=0.01).start()
    until(lambda: run.step == 1)
    began = time.monotonic()
    run.send(tl.Stop())
    run.run()
    assert time.monotonic() - began < 50 and run.status == "stopped"


FORKED = """
import multiprocessing, os, threading, warnings
warnings.simplefilter("ignore")
import torch
import tlcourse as tl
from tests.session.conftest import make_numbers, mlp

torch.set_num_threads(1)

def losses(seed):
    run = tl.Session(mlp(), make_numbers(), steps=12, seed=seed).start()
    return run.run().losses.tolist()

alone = [losses(seed) for seed in range(3)]
endless = tl.Session(mlp(), make_numbers(), steps=10**7, eval_every=10**7).start()  # while it trains
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(losses, range(3)).get(100) == alone
loader = torch.utils.data.DataLoader(range(8), num_workers=2, multiprocessing_context="fork")
assert len(list(loader)) == 8
endless.send(tl.Stop())
endless.run()
print("same")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_sessions_and_loaders_work_in_forked_processes():
    line = [sys.executable, "-c", FORKED]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert (done.stdout, done.returncode) == ("same\n", 0), done.stderr


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_that_nobody_has_any_more_is_let_go(numbers, paused):
    """A paused one would wait for ever; one that trains goes on to its end."""
    run = tl.Session(mlp(), numbers, steps=10**7 if paused else 20, eval_every=10**7)
    events, gone = run.events, weakref.ref(run._training)
    if paused:
        run.at(5, tl.Pause())
    run.start()
    until(lambda: len(events) > 5)
    del run
    gc.collect()
    until(lambda: isinstance(events[-1], Finished))
    until(lambda: gc.collect() >= 0 and gone() is None)
    assert events[-1].reason == ("stopped" if paused else "done")
