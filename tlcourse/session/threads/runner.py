"""Work in a thread of its own, or in the caller's; and waiting for its end."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import torch

from .cores import CORES

WAKE_S = 0.25
PAUSED = (
    "The run is paused, so this cell waits. Press Resume in the cockpit to go on, or Stop to end the "
    "run here."
)


class Runner:
    """Does some work once, in the thread that is chosen first; any number may wait for its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._over = threading.Event()
        self.started = False

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def finish(self) -> None:
        """Wait for the last lines of work that is nearly over."""
        self._over.wait(timeout=10)

    def skip(self) -> None:
        """Count it as done."""
        self.started = True
        self._over.set()

    def again(self) -> bool:
        """After the end: allow another start. False if it is not over."""
        with self._lock:
            if not self.over:
                return False
            self.started = False
            self._over.clear()
            return True

    def start(self, begun: Callable[[int], None], work: Callable[[], None]) -> None:
        """In a thread of its own; returns at once. begun: is called with the number of torch threads."""
        if not self._mine():
            return
        threads = CORES.lend()
        begun(threads)
        thread = threading.Thread(
            target=self._in_thread, args=(threads, work), name="tlcourse-training", daemon=True
        )
        thread.start()

    def run(self, work: Callable[[], None]) -> None:
        """In this thread; or wait for it if another thread does it."""
        if self._mine():
            self._do(lambda: None, work)
        else:
            self._over.wait()
            CORES.reclaim()

    async def wait(self, paused: Callable[[], bool] = lambda: False) -> None:
        """Wait for the end; the event loop stays free. Cancelling ends the wait, not the work. paused:
        whether somebody has to do something first, which is said once."""
        said = False
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        wake = partial(loop.call_soon_threadsafe, lambda: over.done() or over.set_result(None))
        with self._lock:
            if self.over:
                over.set_result(None)
            else:
                self._waiting.append(wake)
        try:
            while not over.done():  # a kernel interrupt is noticed only when the loop wakes
                if not said and paused():
                    print(PAUSED, flush=True)
                    said = True
                await asyncio.wait([over], timeout=WAKE_S)
        except asyncio.CancelledError:
            raise asyncio.CancelledError(
                "You interrupted the wait; the training goes on. End it with Stop in the cockpit or "
                "run.send(tl.Stop()), or wait again with `await run.wait()`."
            ) from None
        CORES.reclaim()

    def _mine(self) -> bool:
        with self._lock:
            mine, self.started = not self.started, True
        return mine

    def _in_thread(self, threads: int, work: Callable[[], None]) -> None:
        torch.set_num_threads(threads)
        self._do(CORES.give_back, work)

    def _do(self, at_end: Callable[[], None], work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            at_end()  # before anybody wakes and wants the cores
            with self._lock:
                self._over.set()
                waiting, self._waiting = self._waiting, []
            for wake in waiting:
                try:
                    wake()
                except RuntimeError:  # that event loop is closed: nobody waits there any more
                    pass
