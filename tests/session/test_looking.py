"""`run.look`: a question to the model, answered between two steps."""

import _thread
import asyncio
import random
import threading
import time

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError, TrainingFailed
from tlcourse.session import Applied, StepDone

from .conftest import Net, mlp, of
from .test_thread import until


@pytest.fixture
def long(pictures):
    run = tl.Session(Net(), pictures, steps=10**6, eval_every=10**6)
    yield run
    if run.status in ("running", "paused"):
        run.send(tl.Stop())
        run.run()


def here(model):
    return threading.current_thread().name


def test_a_look_is_answered_by_the_training_thread_between_two_steps(long):
    long.start()
    until(lambda: long.step > 2)
    seen = [long.look(lambda m: (here(m), m.training, torch.is_grad_enabled())) for _ in range(3)]
    assert seen == [("tlcourse-training", False, False)] * 3
    step = long.look(lambda m: (time.sleep(0.05), len(of(StepDone, long.events)), long.step)[1:])
    assert step[0] == step[1]  # no step was half taken, and none went on meanwhile
    until(lambda: long.step > step[1])


def test_a_look_wakes_a_paused_run_and_it_stays_paused(long):
    long.start()
    long.send(tl.Pause())
    until(lambda: long.status == "paused")
    step = long.step
    assert long.look(here) == "tlcourse-training"
    assert (long.status, long.step) == ("paused", step)


def test_a_look_does_not_hurry_a_paced_run(numbers):
    run = tl.Session(mlp(), numbers, steps=3, pace=4).start()
    began = time.monotonic()
    while not run._runner.over:
        run.look(here)
    assert time.monotonic() - began > 2 / 4


def test_before_and_after_the_run_the_caller_looks_at_once(run):
    mine = threading.current_thread().name
    assert run.look(here) == mine
    run.run()
    assert run.look(lambda m: (here(m), m.training)) == (mine, False)
    assert run.look(lambda m: run.look(lambda m: run.look(here))) == mine


def test_what_a_look_raises_is_raised_to_the_caller_and_the_run_goes_on(long):
    long.start()
    with pytest.raises(ZeroDivisionError):
        long.look(lambda m: 1 / 0)
    step = long.step
    until(lambda: long.step > step)
    with pytest.raises(CommandError, match="look takes a function of the model"):
        long.look(3)


def test_a_run_that_is_looked_at_is_bit_for_bit_the_run_that_is_not(pictures):
    def ask(model):
        random.random()
        return float(model(torch.rand(4, 3, 12, 12)).mean())

    alone = tl.Session(Net(), pictures, steps=60, augment=0.5).run()
    run = tl.Session(Net(), pictures, steps=60, augment=0.5).start()
    looks = 0
    while not run._runner.over:
        run.look(ask)
        looks += 1
    assert looks > 3 and run.run().losses.tolist() == alone.losses.tolist()
    assert all(module.training for module in run.model.modules())


def test_a_run_that_failed_can_still_be_looked_at(pictures):
    run = tl.Session(mlp(), pictures, steps=5)
    with pytest.raises(TrainingFailed):
        run.run()
    assert run.look(here) == threading.current_thread().name


def test_the_training_thread_may_look_itself(numbers):
    seen = []

    def term(model, batch):
        seen.append(run.look(lambda m: m.training))
        return model.head.weight.square().sum()

    meters = {"look": lambda m: run.look(lambda m: 0.5)}
    run = tl.Session(mlp(), numbers, steps=4, eval_every=2, terms={"l2": term}, meters=meters)
    assert run.run().meters["look"] == [(0, 0.5), (2, 0.5), (4, 0.5)]
    assert seen == [False] * 4 and run.model.training
    with_gradients = tl.Session(
        mlp(),
        numbers,
        steps=4,
        eval_every=2,
        terms={"l2": lambda m, b: m.head.weight.square().sum()},
    )
    assert run.result.losses.tolist() == with_gradients.run().losses.tolist()


def test_a_callback_of_the_event_loop_may_look(long):
    """As a widget's does while a cell awaits the run."""

    async def watched():
        waiting = asyncio.create_task(long.wait())
        loop, seen = asyncio.get_running_loop(), []
        loop.call_later(0.05, lambda: seen.append(long.look(here)))
        while not seen:
            await asyncio.sleep(0.01)
        long.send(tl.Stop())
        await waiting
        return seen

    assert asyncio.run(asyncio.wait_for(watched(), 20)) == ["tlcourse-training"]


def test_looks_that_come_while_the_run_ends_are_all_answered(numbers):
    run = tl.Session(mlp(), numbers, steps=30)
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append(run.look(lambda m: 1))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for thread in askers:
        thread.start()
    run.run()
    stop.set()
    for thread in askers:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in askers) and len(answers) > 3


def test_an_interrupt_leaves_a_look_that_waits(pictures):
    slow = threading.Event()
    run = tl.Session(Net(), pictures, steps=10**6, eval_every=10**6).start()
    behind = threading.Thread(target=run.look, args=(lambda m: slow.wait(10),))
    behind.start()
    asked = []
    try:
        until(lambda: not run._inbox.waiting and run._looking._holder)
        threading.Timer(0.3, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            run.look(asked.append)
        slow.set()
        behind.join()
        assert run.look(lambda m: 1) == 1 and not asked  # it was withdrawn
    finally:  # a run that trained on would draw the random numbers of other tests
        slow.set()
        run.send(tl.Stop())
        run.run()


def test_a_command_is_in_force_when_the_look_after_it_is_answered(long):
    long.start()
    long.send(tl.Freeze("stem"))
    frozen = long.look(lambda m: not m.stem[0].weight.requires_grad)
    assert frozen and of(Applied, long.events)
    for turn in range(40):  # whatever moment of a step they come in
        long.send(tl.SetLR("head", 0.01 + turn / 1000))
        assert long.look(lambda m: of(Applied, long.events)[-1].command.lr) == 0.01 + turn / 1000


def loop_of(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = [torch.rand(8, 3, 12, 12) for _ in range(6)]
    return tl.steer(batches, model=net, optimizer=optimizer), optimizer


def test_a_loop_of_ones_own_is_looked_at_between_its_batches(net):
    steering, optimizer = loop_of(net)
    assert steering.look(lambda m: m.training) is False and net.training
    turn, found = threading.Semaphore(0), []

    def train():
        for x in steering:
            turn.acquire()
            net(x).square().mean().backward()
            optimizer.step()
            found.append(steering.look(here))  # by the loop itself: at once

    loop = threading.Thread(target=train, name="my loop")
    loop.start()
    until(lambda: steering.status == "running")
    threading.Timer(0.1, turn.release).start()
    assert steering.look(here) == "my loop"
    turn.release(), steering.send(tl.Pause())
    until(lambda: steering.status == "paused")
    assert steering.look(lambda m: (here(m), m.training)) == ("my loop", False)
    steering.send(tl.Stop())
    loop.join()
    assert steering.look(here) == threading.current_thread().name
    assert set(found) == {"my loop"} and net.training
