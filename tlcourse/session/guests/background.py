"""`await tl.beside(trainer.train)`: blocking training in a thread, while the kernel stays free."""

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from ..threads.runner import Runner
from .run import fail_here, paused_here

T = TypeVar("T")


class Background(Generic[T]):
    """Work that goes on while cells run. May be awaited any number of times."""

    def __init__(self, work: Callable[[], T]):
        self._work = work
        self._value: T
        self._error: BaseException | None = None
        self._runner = Runner()
        self._runner.start(lambda threads: None, self._do)

    def _do(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error
            fail_here(error)

    @property
    def over(self) -> bool:
        return self._runner.over

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        try:
            await self._runner.wait(paused_here)
        except asyncio.CancelledError:
            raise asyncio.CancelledError(
                "You interrupted the wait; the training goes on. End it with Stop in the cockpit or "
                "steering.send(tl.Stop()). To be able to wait again, keep it: "
                "job = tl.beside(…), then `await job`."
            ) from None
        if self._error is not None:
            raise self._error
        return self._value

    def __repr__(self) -> str:
        return f"<Background {'over' if self.over else 'running; await it'}>"


def beside(function: Callable[..., T], /, *args: Any, **options: Any) -> Background[T]:
    """Begin `function(*args, **options)` in a thread of its own, which gets the cores. `await` returns
    its value, or raises what it raised.

    While a cell awaits, the kernel receives the clicks of a cockpit. An interrupt ends the wait, not the
    training.
    """
    return Background(lambda: function(*args, **options))
