"""Events as lines of a file, and back: of a record, and of an autosave, which has its losses elsewhere.

Steps that follow one another are one line: who took them, from which tick and step on, and every n-th
loss. Every other event is a line of its own. Numbers that are not finite are strings, as JSON has none.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from tlcourse.errors import RecordError

from ..commands import Branch
from ..eventlog import EventLog, Lane
from ..events import EVENTS, Applied, Branched, Event, Failed, Norms
from .schema import check_event, check_steps, shown

NORMS_KEPT = 1000  # of more, every n-th: they are looked at, never compared
STEPS_READ = 10**7  # in one record: a short line can say that it stands for any number of steps


class Writer:
    """Writes a run's events again and again as it grows; what was written once is kept as text."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def lines(self, log: EventLog, every: int | None) -> Iterator[str]:
        """log: the run so far, no shorter than at the last call; every: how many steps to a loss that is
        written; None: none is."""
        others, columns, done = log.others, log.columns(), 0
        columns |= {name: log.term(name) for name in log.terms}
        norms = sum(isinstance(event, Norms) for _, event in others)
        stride, seen = max(1, math.ceil(norms / NORMS_KEPT)), -1
        for number, (after, event) in enumerate(others):
            if number == len(self._texts):
                self._texts.append(_text(row_of(event)))
            seen += isinstance(event, Norms)
            if isinstance(event, Norms) and seen % stride:
                continue
            yield from _steps(log.lanes, columns, done, after, every)
            done = after
            yield self._texts[number]
        yield from _steps(log.lanes, columns, done, len(columns["loss"]), every)


def row_of(event: Event) -> dict[str, Any]:
    """An event that is no step, JSON-able. The traceback of a failure names folders of the user's own
    machine, and a record is to be handed on: so it is left out."""
    row = event.to_json()
    return row | {"traceback": ""} if isinstance(event, Failed) else row


def _steps(
    lanes: list[Lane], columns: dict[str, np.ndarray], start: int, stop: int, every: int | None
) -> Iterator[str]:
    """The lines of steps start … stop, none of any other kind between them."""
    while start < stop:
        tick, step, lane = (columns[name][start:stop] for name in ("tick", "step", "lane"))
        width = int((tick == tick[0]).argmin()) or len(tick)  # how many train side by side
        n = np.arange(len(tick))
        goes_on = (tick == tick[0] + n // width) & (lane == lane[n % width])
        goes_on &= step == step[n % width] + n // width
        count = len(n) if goes_on.all() else int(goes_on.argmin())
        taking = [lanes[k] for k in lane[:width]]
        row: dict[str, Any] = {"kind": "steps", "tick": int(tick[0]), "count": count, "lanes": []}
        for (branch, terms), first in zip(taking, step, strict=False):
            more = {"terms": list(terms)} if terms else {}
            row["lanes"].append({"branch": branch, "step": int(first)} | more)
        if every:
            kept = np.arange(-(-start // every) * every, start + count, every)
            row["losses"] = columns["loss"][kept].tolist()
            for name in dict.fromkeys(name for _, terms in taking for name in terms):
                row.setdefault("terms", {})[name] = columns[name][kept].tolist()
        yield _text(row)
        start += count


class Reader:
    """Takes the rows of a file in their order, and refuses what no run can have told. every: how many
    steps to a loss that the file holds; None: it holds none. log: the events so far."""

    def __init__(self, every: int | None, at_most: int) -> None:
        self.log = EventLog()
        self._every, self._at_most = every, at_most
        self._branches, self._tick, self._count = {"main"}, 0, 0
        self._losses: list[float] = []
        self._terms: dict[str, list[float]] = {}
        self._last: Applied | None = None  # if it was the last event

    def take(self, row: dict[str, Any]) -> None:
        """Raises RecordError or CommandError for what is no row, or cannot come here."""
        if row.get("kind") == "steps":
            self._steps(check_steps(row))
        else:
            event = event_of(row)
            self._check(event)
            self.log.append(event)

    def finish(self) -> EventLog:
        every = self._every
        if every:
            self.log.fill(interpolated(self.log, self._losses, every))
            kept = len(self._losses)
            for name in self.log.terms:
                values = self._terms[name]
                values += [math.nan] * (kept - len(values))
                self.log.fill(interpolated(self.log, values, every), name)
        return self.log

    def _steps(self, row: dict[str, Any]) -> None:
        lanes = [((a["branch"], tuple(a.get("terms", ()))), a["step"]) for a in row["lanes"]]
        count, start, every = row["count"], self._count, self._every
        check_count(start + count, self._at_most)
        self._come(row["tick"], *(branch for (branch, _), _ in lanes))
        if every:
            kept = range(-(-start // every), -(-(start + count) // every))
            given = {"losses": row.get("losses", [])} | row.get("terms", {})
            names = dict.fromkeys(name for (_, names), _ in lanes for name in names)
            for name in ("losses", *names):
                if len(given.get(name, ())) != len(kept):
                    raise RecordError(
                        f"{shown(name)} must be {len(kept)} numbers, for every {every} of its steps."
                    )
            self._losses += map(float, given["losses"])
            for name in names:
                values = self._terms.setdefault(name, [])
                values += [math.nan] * (kept.start - len(values))
                values += map(float, given[name])
        self.log.extend_steps(row["tick"], count, lanes)
        self._count += count
        self._tick = row["tick"] + (count - 1) // len(lanes)

    def _check(self, event: Event) -> None:
        """What `Paths` builds on: a timeline begins once, right after the command that begins it."""
        if isinstance(event, Branched):
            asked = self._last and (event.control or _is_branch(self._last, event.branch))
            if not asked or event.branch in self._branches or event.parent not in self._branches:
                raise RecordError(f"timeline {shown(event.branch)} cannot begin here.")
            self._branches.add(event.branch)
            self._last = None
        if isinstance(event, Applied) and isinstance(event.command, Branch):
            self._come(event.tick)
        else:
            self._come(event.tick, event.branch)
        self._last = event if isinstance(event, Applied) else None

    def _come(self, tick: int, *branches: str) -> None:
        if tick < self._tick:
            raise RecordError(f"tick goes from {self._tick} on here, not {tick}.")
        if strange := [name for name in branches if name not in self._branches]:
            raise RecordError(f"no timeline {shown(strange[0])} has begun.")
        if self._last and isinstance(self._last.command, Branch):
            raise RecordError("a Branch was applied, and its timeline does not begin.")
        self._tick, self._last = tick, None


def _is_branch(applied: Applied, name: str) -> bool:
    return isinstance(applied.command, Branch) and applied.branch == name


def event_of(row: dict[str, Any]) -> Event:
    """The event that `row_of` wrote. Raises RecordError or CommandError for anything else."""
    values = check_event(row)
    made = EVENTS[row["kind"]]
    return made(**{field.name: values[field.name] for field in fields(made)})


def interpolated(log: EventLog, kept: Sequence[float], every: int) -> np.ndarray:
    """(steps,) from the values of every n-th: between two of them, in a straight line along each
    timeline. What was no number stays none up to the next one kept."""
    kept = np.asarray(kept, dtype=float)
    if every == 1:
        return kept
    columns = log.columns()
    branches = list(dict.fromkeys(branch for branch, _ in log.lanes))
    of_lane = np.array([branches.index(branch) for branch, _ in log.lanes])
    made = np.full(len(columns["step"]), np.nan)
    for number in range(len(branches)):
        mine = np.flatnonzero(of_lane[columns["lane"]] == number)
        went_back = np.flatnonzero(np.diff(columns["step"][mine]) != 1) + 1
        for stretch in np.split(mine, went_back):
            known = stretch[stretch % every == 0]
            if len(known):
                made[stretch] = np.interp(stretch, known, kept[known // every])
    made[::every] = kept
    return made


def check_count(steps: int, at_most: int) -> None:
    if steps > at_most:
        raise RecordError(f"a record of more than {at_most:,} steps cannot be read.")


def _text(row: dict[str, Any]) -> str:
    return json.dumps(plain(row), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """With numbers that are not finite as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
