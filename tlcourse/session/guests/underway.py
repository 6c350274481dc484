"""Which loops are under way in this process, and which steering holds which optimizer."""

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet, ref

import torch

if TYPE_CHECKING:
    from .run import Steering

UNDER_WAY: WeakSet["Steering"] = WeakSet()
_BY_OPTIMIZER: WeakKeyDictionary[torch.optim.Optimizer, "ref[Steering]"] = WeakKeyDictionary()


def take_over(optimizer: torch.optim.Optimizer, steering: "Steering") -> None:
    """Who steered it before lets go of it: a cell was run again."""
    if (before := _BY_OPTIMIZER.get(optimizer)) and (old := before()):
        old.release()
    _BY_OPTIMIZER[optimizer] = ref(steering)


def fail_here(error: BaseException) -> None:
    """What was under way in this thread has ended by an exception, and nobody told it."""
    for steering in list(UNDER_WAY):
        if steering._thread == threading.get_ident():
            steering.fail(error)
