"""In a real kernel: interrupting the wait, a cell that works while a run trains, and a hand that
reaches a loop of one's own while its cell is still running."""

import time

import pytest

from tlcourse.session.threads.runner import PAUSED

pytestmark = pytest.mark.slow

SETUP = """
import torch
from torch import nn
import tlcourse as tl
from tlcourse.data import Data, Split
x = torch.rand(64, 8); y = (x.sum(1) > 4).long()
part = Split(x, y, tuple(map(str, range(64))))
data = Data("toy", "toy", part, part, part, ("less", "more"), {})
run = tl.Session(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)), data, steps=10**7, eval_every=10**7)
"""


@pytest.fixture(scope="module")
def kernel():
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client, code, interrupt=None):
    """(what was printed, the error as "Name: message" or None) of a cell.

    Waits for the reply: the status says idle as soon as a cell awaits (ipykernel 7.4). interrupt: called
    a while after the cell has printed something.
    """
    asked, printed, error = client.execute(code), "", None
    if interrupt:
        while not printed:
            printed = _printed(client.get_iopub_msg(timeout=60), asked)
        time.sleep(0.5)
        interrupt()
    while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        pass
    if reply["content"]["status"] == "error":
        error = f"{reply['content']['ename']}: {reply['content']['evalue']}"
    last = client.kernel_info()
    while (message := client.get_iopub_msg(timeout=60))["parent_header"].get("msg_id") != last:
        printed += _printed(message, asked)
    return printed, error


def _printed(message, asked):
    ours = message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == asked
    return message["content"]["text"] if ours else ""


def test_interrupting_a_waiting_cell_says_that_training_goes_on(kernel):
    manager, client = kernel
    assert execute(client, SETUP)[1] is None
    _, error = execute(
        client, "print('waits'); await run.wait()", interrupt=manager.interrupt_kernel
    )
    assert "the training goes on" in error and "tl.Stop()" in error
    before = int(execute(client, "print(run.step)")[0])
    assert int(execute(client, "import time; time.sleep(0.2); print(run.step)")[0]) > before
    printed, error = execute(client, "run.send(tl.Stop()); print((await run.wait()).reason)")
    assert (printed, error) == ("stopped\n", None)


def test_what_training_raised_is_raised_in_the_waiting_cell(kernel):
    _, client = kernel
    broken = SETUP + "\nrun.model[1] = nn.Linear(5, 2)\nawait run.wait()"
    _, error = execute(client, broken)
    assert error.startswith("TrainingFailed: Training stopped at step 0 with RuntimeError")


def test_cells_after_a_run_have_their_cores_back_though_nobody_waited(kernel):
    _, client = kernel
    begin = SETUP.replace("steps=10**7", "steps=5") + "\ntorch.set_num_threads(2)\ntl.Cockpit(run)"
    assert execute(client, begin)[1] is None
    execute(client, "import time\nwhile run.status == 'running': time.sleep(0.01)")
    assert execute(client, "print(torch.get_num_threads())") == ("2\n", None)


# -- a loop of one's own

STEERED = """
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
print("begun")
async for x, y in steering:
    step(x, y)
print(steering.status, [e.command.kind for e in steering.events if e.kind == "applied"])
"""
BESIDE = """
def train():
    for x, y in steering:
        step(x, y)
    return "trained"
print("begun")
job = tl.beside(train)
print(await job, [e.command.kind for e in steering.events if e.kind == "applied"])
"""


def hand(client, commands, apart=0.3):
    """Clicks as a browser sends them: comm messages on the shell channel."""

    def send(kind, content):
        client.shell_channel.send(client.session.msg(kind, content))

    def clicks():
        send("comm_open", {"comm_id": "a-hand", "target_name": "hand", "data": {}})
        for command in commands:
            time.sleep(apart)
            data = {"command": command, "at": time.time()}
            send("comm_msg", {"comm_id": "a-hand", "data": data})

    return clicks


CLICKS = [{"kind": "unfreeze", "group": "0", "lr": 0.1}, {"kind": "pause"}, {"kind": "stop"}]


@pytest.mark.parametrize("cell", [ASYNC, BESIDE], ids=["async for", "beside"])
def test_clicks_arrive_while_the_cell_runs(kernel, cell):
    _, client = kernel
    assert execute(client, STEERED)[1] is None
    printed, error = execute(client, cell, interrupt=hand(client, CLICKS))
    assert error is None
    assert printed.replace(f"{PAUSED}\n", "").split(maxsplit=2) == [
        "begun",
        "stopped" if cell is ASYNC else "trained",
        "['unfreeze', 'pause', 'stop']\n",
    ]
    waited = execute(client, "print(max(told) < 5)")[0]
    assert waited == "True\n"


def test_interrupting_the_wait_leaves_the_training(kernel):
    manager, client = kernel
    assert execute(client, STEERED)[1] is None
    _, error = execute(client, BESIDE, interrupt=manager.interrupt_kernel)
    assert "the training goes on" in error and "await job" in error
    printed, error = execute(client, "steering.send(tl.Stop()); print(await job, steering.status)")
    assert (printed, error) == ("trained stopped\n", None)


def test_what_the_function_raised_is_raised_in_the_cell(kernel):
    _, client = kernel
    broken = "import tlcourse as tl\nawait tl.beside(lambda: 1 / 0)"
    assert execute(client, broken)[1] == "ZeroDivisionError: division by zero"
