"""A busy cell yields: half of the time the training thread has the interpreter to itself.

A small training step releases the interpreter some fifty times, and each time a cell that computes in
pure Python takes it for at least a switch interval. So while a cell does that, it is made to rest a few
milliseconds in every dozen, and both go on. A cell that waits, or that computes in C without the
interpreter, is left alone. docs/benchmarks.md has the figures.
"""

import _thread
import ctypes
import os
import threading
import time
from collections.abc import Callable
from functools import cache

EVERY_S = 0.012  # how often to look
REST_S = 0.007  # how long the cell rests
BUSY = 0.25  # of the time since the last look, on a processor
AGAIN_S = 0.005  # an interrupt that came during a rest
PROMPT_S = 0.004  # a request that is answered later than this found no busy cell


@cache
def yielder() -> "Yielder":
    """One for the whole process: a request may be answered after the run has ended."""
    return Yielder()


if hasattr(os, "register_at_fork"):  # the clock is one of the parent's threads
    os.register_at_fork(after_in_child=yielder.cache_clear)


class Yielder:
    """Called by the training thread at every boundary; a busy main thread is asked to rest."""

    def __init__(self) -> None:
        self._main = threading.main_thread()
        self._looked, self._spent, self._requested = 0.0, 0.0, 0.0
        self._over = (
            threading.Lock()
        )  # never released: waiting for it is a rest that can be interrupted
        self._over.acquire()
        self._rest = _CALLBACK(self._resting)
        self._clock = _clock_of(self._main)

    def __call__(self) -> None:
        now = time.perf_counter()
        if self._clock is None or now - self._looked < EVERY_S:
            return
        spent = time.clock_gettime(self._clock)
        busy = (spent - self._spent) > BUSY * (now - self._looked)
        self._looked, self._spent = now, spent
        if busy and threading.current_thread() is not self._main:
            self._requested = now
            ctypes.pythonapi.Py_AddPendingCall(self._rest, None)

    def _resting(self, _: object) -> int:
        """In the main thread, between two bytecodes."""
        try:
            if time.perf_counter() - self._requested < PROMPT_S:
                self._over.acquire(timeout=REST_S)
        except KeyboardInterrupt:  # no caller could catch it here: raise it again, soon
            threading.Timer(AGAIN_S, _thread.interrupt_main).start()
        return 0


_CALLBACK: Callable = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


def _clock_of(thread: threading.Thread) -> int | None:
    """The clock of a thread's processor time; None where the system has none."""
    try:
        return time.pthread_getcpuclockid(thread.ident)
    except (AttributeError, OSError):
        return None
