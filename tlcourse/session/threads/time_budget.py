"""How often something may be done: as often as it costs no more than a share of the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

SHARE = 0.005


class TimeBudget:
    """`if budget.due(): with budget.spending(): …` spends at most `share` of all time on it."""

    def __init__(self, share: float = SHARE, first_s: float = 0.05):
        self._share = share
        self._next = perf_counter() + first_s

    def due(self) -> bool:
        return perf_counter() >= self._next

    @contextmanager
    def spending(self) -> Iterator[None]:
        began = perf_counter()
        yield
        ended = perf_counter()
        self._next = ended + (ended - began) / self._share
