"""In a real kernel: interrupting the wait, and a cell that goes on working while a run trains."""

import time
from queue import Empty

import pytest

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

    Waits for the reply: the status says idle as soon as a cell awaits (ipykernel 7.4).
    """
    asked, printed, error = client.execute(code), "", None
    if interrupt:
        time.sleep(1.0)
        interrupt()
    while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
        pass
    if reply["content"]["status"] == "error":
        error = f"{reply['content']['ename']}: {reply['content']['evalue']}"
    while True:
        try:
            message = client.get_iopub_msg(timeout=0.3)
        except Empty:
            return printed, error
        if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == asked:
            printed += message["content"]["text"]


def test_interrupting_a_waiting_cell_says_that_training_goes_on(kernel):
    manager, client = kernel
    assert execute(client, SETUP)[1] is None
    _, error = execute(client, "await run.wait()", interrupt=manager.interrupt_kernel)
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
