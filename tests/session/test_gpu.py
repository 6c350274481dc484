"""The same promises on a CUDA device. `pytest -m gpu`; skipped where there is none.

CUDA kernels are asked for deterministic algorithms nowhere, so a replay there is promised within
`replay.TOLERANCE`, not to the bit; what is kept (a snapshot) still comes back bit for bit.
"""

import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse.session import Refused, StepDone

from .conftest import Net, of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def session(pictures, **more):
    options = {"steps": 40, "lr": 1e-2, "augment": 0.3, "seed": 5, "device": "cuda"} | more
    return tl.Session(Net(), pictures, **options)


def steered(run):
    run.at(5, tl.Freeze("stem"))
    run.at(8, tl.AddLoRA("body", rank=2))
    run.at(12, tl.Unfreeze("stem", 1e-3))
    run.at(20, tl.Rewind(10))
    run.run()
    return run


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_replay_agrees(pictures, precision):
    run = steered(session(pictures, precision=precision))
    assert not of(Refused, run.events)
    assert tl.replay(run.record, model=Net(), data=pictures).agrees


def test_a_bookmark_comes_back_to_the_bit(pictures):
    run = session(pictures, pace=50)
    run.at(10, tl.Save("ten"))
    run.at(10, tl.Evaluate())
    run.at(20, tl.Rewind("ten"))
    run.at(20, tl.Evaluate())
    run.run()
    there, again = [e for e in run.events if e.kind == "evaluated" and e.step == 10][-2:]
    assert there.loss == again.loss


def test_a_twin_stays_near_the_run_without_it(pictures):
    run = session(pictures)
    run.at(5, tl.Twin())
    run.at(9, tl.SetLR("all", 1e-4))
    run.run()
    plain = session(pictures)
    plain.run()
    twin = np.array([e.loss for e in of(StepDone, run.events) if e.branch == "twin"])
    assert np.allclose(twin, plain.result.losses[9:], rtol=0.02, atol=1e-3)


def test_memory_of_the_device_is_told(pictures):
    told = steered(session(pictures)).memory
    assert 0 < told["gpu"] < told["gpu_total"]
