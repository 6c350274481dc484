"""In a real kernel: a hand reaches a loop of one's own while its cell is still running."""

import time

import pytest

from .test_kernel import execute, kernel  # noqa: F401

pytestmark = pytest.mark.slow

SETUP = """
import asyncio, time, torch
from torch import nn
import torch.nn.functional as F
import tlcourse as tl
from tlcourse.session import from_json
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.SGD(model[2].parameters(), lr=0.01)
x = torch.rand(32, 8)
y = (x.sum(1) > 4).long()
steering = tl.steer([(x, y)], model=model, optimizer=optimizer, steps=10**6)

def click(comm, opened):
    @comm.on_msg
    def _(message):
        data = message["content"]["data"]
        told.append(time.time() - data["at"])
        steering.send(from_json(data["command"]))

told = []
get_ipython().kernel.comm_manager.register_target("hand", click)
def step(x, y, seconds=0.02):
    time.sleep(seconds)  # a batch that takes its time
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""

ASYNC = """
async for x, y in steering:
    step(x, y)
print(steering.status, [e.command.kind for e in steering.events if e.kind == "applied"])
"""
BESIDE = """
def train():
    for x, y in steering:
        step(x, y)
    return "trained"
job = tl.beside(train)
print(await job, [e.command.kind for e in steering.events if e.kind == "applied"])
"""


def hand(client, commands, after=1.0, apart=0.3):
    """Clicks as a browser sends them: comm messages on the shell channel."""

    def send(kind, content):
        client.shell_channel.send(client.session.msg(kind, content))

    def clicks():
        time.sleep(after)
        send("comm_open", {"comm_id": "a-hand", "target_name": "hand", "data": {}})
        for command in commands:
            time.sleep(apart)
            data = {"command": command, "at": time.time()}
            send("comm_msg", {"comm_id": "a-hand", "data": data})

    return clicks


CLICKS = [{"kind": "unfreeze", "group": "0", "lr": 0.1}, {"kind": "pause"}, {"kind": "stop"}]


@pytest.mark.parametrize("cell", [ASYNC, BESIDE], ids=["async for", "beside"])
def test_clicks_arrive_while_the_cell_runs(kernel, cell):  # noqa: F811
    _, client = kernel
    assert execute(client, SETUP)[1] is None
    printed, error = execute(client, cell, interrupt=hand(client, CLICKS))
    assert error is None
    assert printed.split(maxsplit=1) == [
        "stopped" if cell is ASYNC else "trained",
        "['unfreeze', 'pause', 'stop']\n",
    ]
    waited = execute(client, "print(max(told) < 0.25)")[0]
    assert waited == "True\n"


def test_interrupting_the_wait_leaves_the_training(kernel):  # noqa: F811
    manager, client = kernel
    assert execute(client, SETUP)[1] is None
    _, error = execute(client, BESIDE, interrupt=manager.interrupt_kernel)
    assert "the training goes on" in error and "await job" in error
    printed, error = execute(client, "steering.send(tl.Stop()); print(await job, steering.status)")
    assert (printed, error) == ("trained stopped\n", None)


def test_what_the_function_raised_is_raised_in_the_cell(kernel):  # noqa: F811
    _, client = kernel
    broken = "import tlcourse as tl\nawait tl.beside(lambda: 1 / 0)"
    assert execute(client, broken)[1] == "ZeroDivisionError: division by zero"
