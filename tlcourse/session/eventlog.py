"""A run's events in little memory: a step is a row of numbers, and an object while it is looked at."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from .events import Event, StepDone

Lane = tuple[str, tuple[str, ...]]
"""What the steps of one timeline have in common: its name, and the names of the terms that count."""


class EventLog(Sequence[Event]):
    """A list of events that only grows. A step takes 28 bytes, and 8 more for each further term.

    One thread may append while others read: what they read was there when they asked.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._count = 0
        self._ticks, self._steps = array("q"), array("q")
        self._losses, self._lane = array("d"), array("I")
        self._terms: dict[str, array] = {}  # name → a value a step, NaN where it does not count
        self._lanes: list[Lane] = []
        self._lane_of: dict[Lane, int] = {}
        self._others: list[Event] = []
        self._at = array("q")  # where in the whole those are that are no steps
        self.extend(events)

    # -- to write ------------------------------------------------------------------------------

    def append(self, event: Event) -> None:
        if isinstance(event, StepDone):
            terms = event.terms
            if terms or self._terms:
                self._append_terms(terms or {})
            self._ticks.append(event.tick)
            self._steps.append(event.step)
            self._losses.append(event.loss)
            self._lane.append(self._number((event.branch, tuple(terms) if terms else ())))
        else:
            self._others.append(event)
            self._at.append(self._count)
        self._count += 1  # last: now it can be read

    def _append_terms(self, terms: dict[str, float]) -> None:
        for name in terms:
            if name not in self._terms:
                self._terms[name] = array("d", [np.nan]) * len(self._losses)
        for name, values in self._terms.items():
            values.append(terms.get(name, np.nan))

    def extend(self, events: Iterable[Event]) -> None:
        for event in events:
            self.append(event)

    def __iadd__(self, events: Iterable[Event]) -> "EventLog":
        self.extend(events)
        return self

    def extend_steps(self, tick: int, count: int, lanes: Sequence[tuple[Lane, int]]) -> None:
        """count events of steps whose losses nobody knows (NaN), from `tick` on. lanes: each timeline's
        first step; at every tick each of them takes one, in this order."""
        n = np.arange(count)
        turn, round_ = n % len(lanes), n // len(lanes)
        first = np.array([step for _, step in lanes])
        numbers = np.array([self._number(lane) for lane, _ in lanes], dtype=np.uint32)
        for (_, names), _ in lanes:
            for name in names:
                self._terms.setdefault(name, array("d", [np.nan]) * len(self._losses))
        nothing = np.full(count, np.nan).tobytes()
        for values in self._terms.values():
            values.frombytes(nothing)
        self._ticks.frombytes((tick + round_).astype(np.int64).tobytes())
        self._steps.frombytes((first[turn] + round_).astype(np.int64).tobytes())
        self._lane.frombytes(numbers[turn].tobytes())
        self._losses.frombytes(nothing)
        self._count += count

    def fill(self, values: np.ndarray, term: str | None = None) -> None:
        """values: (steps,) the loss of every step, or what a further term was. ValueError for another
        number of steps."""
        column = array("d", np.asarray(values, dtype=float).tobytes())
        if len(column) != len(self._lane):
            raise ValueError(f"{len(self._lane)} steps have {len(column)} values")
        if term is None:
            self._losses = column
        else:
            self._terms[term] = column

    def _number(self, lane: Lane) -> int:
        number = self._lane_of.get(lane)
        if number is None:
            number = self._lane_of[lane] = len(self._lanes)
            self._lanes.append(lane)
        return number

    # -- to read -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, stride = index.indices(self._count)
            if stride == 1:
                return list(self._between(start, stop))
            return [self[i] for i in range(start, stop, stride)]
        count = self._count
        index = index + count if index < 0 else index
        if not 0 <= index < count:
            raise IndexError(index)
        k = bisect_left(self._at, index)
        if k < len(self._at) and self._at[k] == index:
            return self._others[k]
        return self._step(index - k)

    def __iter__(self) -> Iterator[Event]:
        start = 0
        while start < (stop := self._count):  # it may grow meanwhile
            yield from self._between(start, stop)
            start = stop

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Sequence) and len(self) == len(other)
        return same and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"<EventLog of {len(self)} events>"

    def head(self, count: int | None = None) -> "EventLog":
        """A copy of the first `count` events, or of all."""
        made = EventLog()
        made._count = self._count if count is None else min(count, self._count)
        others = bisect_left(self._at, made._count)
        steps = made._count - others
        made._ticks, made._steps = self._ticks[:steps], self._steps[:steps]
        made._losses, made._lane = self._losses[:steps], self._lane[:steps]
        made._terms = {name: values[:steps] for name, values in list(self._terms.items())}
        made._lanes, made._lane_of = list(self._lanes), dict(self._lane_of)
        made._others, made._at = self._others[:others], self._at[:others]
        return made

    def columns(self) -> dict[str, np.ndarray]:
        """Of the steps alone, (steps,) each: tick, step, lane (its number) and loss. Copies."""
        steps = len(self._lane)  # appended last
        columns = {"tick": self._ticks, "step": self._steps, "lane": self._lane}
        return {
            name: np.frombuffer(column[:steps], column.typecode)
            for name, column in (columns | {"loss": self._losses}).items()
        }

    @property
    def losses(self) -> np.ndarray:
        """(steps,) A copy."""
        return np.frombuffer(self._losses[: len(self._lane)])

    def term(self, name: str) -> np.ndarray:
        """(steps,) values of a further term, NaN where it does not count. A copy."""
        return np.frombuffer(self._terms[name][:])

    @property
    def terms(self) -> list[str]:
        return list(self._terms)

    @property
    def lanes(self) -> list[Lane]:
        return list(self._lanes)

    @property
    def others(self) -> list[tuple[int, Event]]:
        """Each event that is no step, with how many steps were taken before it."""
        pairs = zip(self._at, self._others, strict=False)  # it may grow meanwhile
        return [(at - k, event) for k, (at, event) in enumerate(pairs)]

    def _step(self, n: int) -> StepDone:
        branch, names = self._lanes[self._lane[n]]
        terms = {name: self._terms[name][n] for name in names} or None
        return StepDone(self._ticks[n], self._steps[n], branch, self._losses[n], terms)

    def _between(self, start: int, stop: int) -> Iterator[Event]:
        for _, part in self.parts(start, stop):
            if isinstance(part, range):
                yield from map(self._step, part)
            else:
                yield part

    # -- to read without making an object a step -----------------------------------------------

    def parts(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Event | range]]:
        """The events from `start` to before `stop`, each with its index; steps in a row as one range
        of numbers among all steps, with the index of the first."""
        stop = self._count if stop is None else stop
        k = bisect_left(self._at, start)
        while start < stop:
            following = min(self._at[k], stop) if k < len(self._at) else stop
            if following > start:
                yield start, range(start - k, following - k)
                start = following
            else:
                yield start, self._others[k]
                start, k = start + 1, k + 1

    def by_branch(self, index: int, steps: range) -> dict[str, Sequence[int]]:
        """Timeline → the indices of its events, for steps in a row of which the first event is
        `index`."""
        lanes = self._lane[steps.start : steps.stop]
        found: dict[str, Sequence[int]] = {}
        for lane in dict.fromkeys(lanes):
            branch = self._lanes[lane][0]
            if len(lanes) == lanes.count(lane):
                return {branch: range(index, index + len(steps))}
            mine = (np.flatnonzero(np.asarray(lanes) == lane) + index).tolist()
            found[branch] = sorted([*found.get(branch, ()), *mine])
        return found

    def rows(self, at: array) -> tuple[array, array]:
        """(steps, losses) of the events at these rising indices, which are all steps."""
        low = at[0] - bisect_left(self._at, at[0])
        steps, losses = self._steps, self._losses
        if at[-1] - at[0] + 1 == len(at):
            high = low + len(at)
            return steps[low:high], losses[low:high]
        # Another timeline's steps lie between.
        numbers = [n - bisect_left(self._at, n) for n in at]
        return array("q", [steps[n] for n in numbers]), array("d", [losses[n] for n in numbers])
