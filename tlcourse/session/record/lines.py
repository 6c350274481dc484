"""Events as lines of a file, and back: for records, and for autosaves, which keep losses elsewhere.

Consecutive steps share a line: their timelines, first tick and step, and every n-th loss. Every other
event has its own line. Numbers that are not finite are strings, since JSON has none.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from tlcourse.errors import RecordError
from tlcourse.schema import shown

from ..commands import Branch
from ..eventlog import EventLog, Lane
from ..events import EVENTS, Applied, Branched, Event, Failed, Norms
from .schema import check_event, check_steps

NORMS_KEPT = 1000  # at most, every n-th: they are displayed, never compared
STEPS_READ = 10**7  # at most, per record: one short line can claim any number of steps


class Writer:
    """Writes a run's events repeatedly as it grows; text written once is cached."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def lines(self, log: EventLog, every: int | None) -> Iterator[str]:
        """log: the run so far, no shorter than at the last call; every: write every n-th loss, or no
        losses if None."""
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
    """An event other than a step, JSON-able. The traceback of a failure is left out: it names folders
    of the user's machine, and records are shared."""
    row = event.to_json()
    return row | {"traceback": ""} if isinstance(event, Failed) else row


def _steps(
    lanes: list[Lane], columns: dict[str, np.ndarray], start: int, stop: int, every: int | None
) -> Iterator[str]:
    """The lines for steps start … stop, with no other event between them."""
    while start < stop:
        tick, step, lane = (columns[name][start:stop] for name in ("tick", "step", "lane"))
        width = int((tick == tick[0]).argmin()) or len(tick)  # how many train in parallel
        n = np.arange(len(tick))
        consecutive = (tick == tick[0] + n // width) & (lane == lane[n % width])
        consecutive &= step == step[n % width] + n // width
        count = len(n) if consecutive.all() else int(consecutive.argmin())
        active = [lanes[k] for k in lane[:width]]
        row: dict[str, Any] = {"kind": "steps", "tick": int(tick[0]), "count": count, "lanes": []}
        for (branch, terms), first in zip(active, step, strict=False):
            more = {"terms": list(terms)} if terms else {}
            row["lanes"].append({"branch": branch, "step": int(first)} | more)
        if every:
            kept = np.arange(-(-start // every) * every, start + count, every)
            row["losses"] = columns["loss"][kept].tolist()
            for name in dict.fromkeys(name for _, terms in active for name in terms):
                row.setdefault("terms", {})[name] = columns[name][kept].tolist()
        yield _text(row)
        start += count


class Reader:
    """Reads the rows of a file in order, and rejects what no run can have written. every: the file holds
    every n-th loss, or none if None. log: the events so far."""

    def __init__(self, every: int | None, at_most: int) -> None:
        self.log = EventLog()
        self._every, self._at_most = every, at_most
        self._branches, self._tick, self._count = {"main"}, 0, 0
        self._losses: list[float] = []
        self._terms: dict[str, list[float]] = {}
        self._last: Applied | None = None  # set if it was the last event

    def take(self, row: dict[str, Any]) -> None:
        """Raises RecordError or CommandError for a row that is invalid, or out of place."""
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
        self._advance(row["tick"], *(branch for (branch, _), _ in lanes))
        if every:
            kept = range(-(-start // every), -(-(start + count) // every))
            given = {"losses": row.get("losses", [])} | row.get("terms", {})
            names = dict.fromkeys(name for (_, names), _ in lanes for name in names)
            for name in ("losses", *names):
                if len(given.get(name, ())) != len(kept):
                    raise RecordError(
                        f"{shown(name)} must be {len(kept)} numbers, one for every {every} steps."
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
        """Check what `Paths` relies on: a timeline starts once, right after the command for it."""
        if isinstance(event, Branched):
            asked = self._last and (event.control or _is_branch(self._last, event.branch))
            if not asked or event.branch in self._branches or event.parent not in self._branches:
                raise RecordError(f"timeline {shown(event.branch)} cannot begin here.")
            self._branches.add(event.branch)
            self._last = None
        if isinstance(event, Applied) and isinstance(event.command, Branch):
            self._advance(event.tick)
        else:
            self._advance(event.tick, event.branch)
        self._last = event if isinstance(event, Applied) else None

    def _advance(self, tick: int, *branches: str) -> None:
        if tick < self._tick:
            raise RecordError(f"tick must be {self._tick} or more here, not {tick}.")
        if unknown := [name for name in branches if name not in self._branches]:
            raise RecordError(f"no timeline {shown(unknown[0])} has begun.")
        if self._last and isinstance(self._last.command, Branch):
            raise RecordError("a Branch was applied, but its timeline does not begin.")
        self._tick, self._last = tick, None


def _is_branch(applied: Applied, name: str) -> bool:
    return isinstance(applied.command, Branch) and applied.branch == name


def event_of(row: dict[str, Any]) -> Event:
    """The event written by `row_of`. Raises RecordError or CommandError for anything else."""
    values = check_event(row)
    made = EVENTS[row["kind"]]
    return made(**{field.name: values[field.name] for field in fields(made)})


def interpolated(log: EventLog, kept: Sequence[float], every: int) -> np.ndarray:
    """(steps,) from every n-th value, interpolated linearly along each timeline. NaN lasts until the
    next value kept."""
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
    """Replace numbers that are not finite by strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
