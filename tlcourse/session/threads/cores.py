"""Who uses the cores: while a run trains in a thread of its own, the main thread leaves them to it.

libgomp keeps one pool of OpenMP threads per calling thread. Once the main thread has used torch, both
pools together outnumber the cores, and a small training step takes up to three times as long. So during
a run the main thread is limited to one torch thread and its pool is released; the training thread
takes the cores. docs/benchmarks.md has the figures.
"""

import ctypes
import os
import sys
import threading
from functools import cache

from . import heap

SWITCH_S = 2e-5  # a busy cell gives the interpreter back after this, instead of 5 ms


class Cores:
    """Lends the main thread's torch threads to training threads, and takes them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._borrowers = 0
        self._threads: int | None = None  # what the lending thread had
        self._lender: int | None = None
        self._switch_s: float | None = None

    def after_fork(self) -> None:
        """In a child process no run is on: its parent's training threads are not here."""
        if self._switch_s is not None:
            sys.setswitchinterval(self._switch_s)
        self.__init__()  # type: ignore[misc]  # a lock that another thread held stays held for ever

    def lend(self) -> int:
        """Called by the thread that starts a run. Returns how many threads the run may use."""
        import torch

        with self._lock:
            self._borrowers += 1
            if self._threads is None:
                self._threads = torch.get_num_threads()
                self._lender = threading.get_ident()
            if self._switch_s is None:
                self._switch_s = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_S, self._switch_s))
                heap.keep()
            threads = self._threads
        torch.set_num_threads(1)
        release_openmp_pool()
        return threads

    def give_back(self) -> None:
        """Called by a training thread when it ends. The lender takes its threads back by `reclaim`,
        because only a thread itself can change how many it uses."""
        with self._lock:
            self._borrowers -= 1
            if self._borrowers == 0 and self._switch_s is not None:
                sys.setswitchinterval(self._switch_s)
                self._switch_s = None
                heap.let_go()

    def reclaim(self) -> None:
        """Called by the lender between cells: it has its threads again if no run is on."""
        with self._lock:
            if self._borrowers or self._threads is None or self._lender != threading.get_ident():
                return
            threads, self._threads = self._threads, None
        import torch

        torch.set_num_threads(threads)


CORES = Cores()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CORES.after_fork)


def release_openmp_pool() -> bool:
    """End the calling thread's idle OpenMP workers. False where there is no libgomp to ask."""
    library = _libgomp()
    return library is not None and library.omp_pause_resource_all(1) == 0  # 1: omp_pause_soft


@cache
def _libgomp() -> ctypes.CDLL | None:
    """The libgomp that torch has loaded, found by its path; another one would have pools of its own."""
    try:
        with open("/proc/self/maps") as maps:
            path = next(line.split()[-1] for line in maps if "libgomp" in line)
        return ctypes.CDLL(path) if hasattr(ctypes.CDLL(path), "omp_pause_resource_all") else None
    except (OSError, StopIteration):
        return None
