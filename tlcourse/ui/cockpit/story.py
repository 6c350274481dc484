"""What a view must know of a run, folded from its events: once, a little at a time, cheaply.

A step costs a few comparisons and an append. Everything is JSON (no NaN, which is not JSON) but the
losses, which travel as float32, a buffer for each timeline that grew.
"""

import math
from collections import deque
from itertools import islice
from time import perf_counter
from typing import Any

from tlcourse.session.commands import STEERING, Branch, Rewind
from tlcourse.session.events import (
    Applied,
    Branched,
    Evaluated,
    Event,
    Failed,
    Finished,
    Metered,
    Moved,
    Norms,
    Refused,
    Saved,
    StepDone,
    Warned,
)
from tlcourse.session.steerable import Steerable

from . import notes, state
from .stream import Stream
from .words import asked

SPEED_WINDOW_S = 4.0
MEMORY_S = 1.0  # between two looks at the memory
NORMS_KEPT = 1000
NOTES_SAVED = 200
OVER = ("finished", "stopped", "failed")

Message = tuple[dict[str, Any], list[bytes]]  # content, and the losses as float32


class Story:
    """Not thread-safe: one thread reads the run and tells it on. hint: what to tell whoever steers
    about the place where this runs."""

    def __init__(self, run: Steerable, hint: str = "") -> None:
        self.run = run
        self.hint = hint
        self._begin()

    def _begin(self) -> None:
        run = self.run
        self.streams: dict[str, Stream] = {}
        self.evals: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.norms: list[dict[str, Any]] = []
        self.movement: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self.groups, self.bookmarks = state.groups(run), state.bookmarks(run)
        self.tick = 0
        self._events = run.events
        self._seen = 0
        self._now = self._stream(state.first_branch(run))
        self._step = 0
        self.rates = [notes.rates(0, 0, self._now.name, state.first_rates(run))]
        self._terms: dict[str, float] | None = None
        self._lost: int | None = None  # the step since which the loss is no number
        self._told = state.seen(run)
        self._seconds: float | None = None
        self._began = perf_counter()
        self._pace: deque[tuple[float, int]] = deque()
        self._memory: tuple[float, dict[str, float]] = (-math.inf, {})

    def read(self) -> Message | None:
        """Take in what has happened since the last call and tell it; None if nothing has. A run may put
        another list into `events` (a recording that is wound back): then all is told anew."""
        seen = state.seen(self.run)  # before the events: once it says "over", all of them are there
        events = self.run.events
        if events is not self._events or len(events) < self._seen:
            self._begin()
            self.read()
            return self.snapshot()
        marks = {name: stream.mark() for name, stream in self.streams.items()}
        counts = [len(part) for part in (self.evals, self.notes, self.rates)]
        new = events[self._seen :]
        self._seen += len(new)
        norms: dict[str, dict[str, Any]] = {}  # the last of each timeline: a beat shows no more
        moved: list[dict[str, Any]] = []
        touched = False
        at = 0
        while (at := self._steps(new, at)) < len(new):
            event = new[at]
            at += 1
            if isinstance(event, StepDone):
                self._other(event)
            elif isinstance(event, Norms):
                norms[event.branch] = notes.norms(event)
                self.rates += notes.turned(self.rates[-1], event)
            elif isinstance(event, Moved):
                moved.append(notes.moved(event))
            else:
                touched |= isinstance(event, Applied | Saved | Branched)
                self._take(event)
        for movement in moved:
            self._fasten(movement)
        self._keep(norms)
        self._measure(seen["status"])
        if not new and seen == self._told:
            return None
        self._told = seen  # news also without an event: "finished" comes just after `Finished`
        if touched:
            self.groups, self.bookmarks = state.groups(self.run), state.bookmarks(self.run)
        evals, said, rates = (
            part[n:] for part, n in zip((self.evals, self.notes, self.rates), counts, strict=True)
        )
        grown = [
            (stream, marks.get(name, (0, 0, 0)))
            for name, stream in self.streams.items()
            if stream.mark() != marks.get(name)
        ]
        return self.delta(
            seen["status"],
            [stream.bytes_from(mark[0]) for stream, mark in grown],
            streams=[stream.told(mark) for stream, mark in grown],
            groups=self.groups if touched else None,
            bookmarks=self.bookmarks if touched else None,
            evals=evals, notes=said, rates=rates, moved=moved, norms=list(norms.values()),
        )  # fmt: skip

    def delta(
        self, status: str | None = None, losses: list[bytes] | None = None, **news: Any
    ) -> Message:
        """The message that brings a view up to now from the one before."""
        none = {"streams": [], "groups": None, "bookmarks": None, "evals": [], "notes": []}
        none |= {"rates": [], "moved": [], "norms": [], "error": self.error}
        content = {"type": "delta", "state": self.now(status), "player": state.player(self.run)}
        return {**content, **none, **news}, losses or []

    def snapshot(self) -> Message:
        """All there is."""
        told = [stream.told() for stream in self.streams.values()]
        content = {"type": "snapshot", "state": {**self._all(), "streams": told}}
        return content, [s.bytes_from() for s in self.streams.values()]

    def compact(self, points: int = 800) -> dict[str, Any]:
        """All in plain JSON, the curves thinned: what is saved in the notebook (some 15 to 30 kB)."""
        total = sum(len(stream.losses) for stream in self.streams.values()) or 1
        curves = [
            stream.compact(max(8, points * len(stream.losses) // total))
            for stream in self.streams.values()
        ]
        few = {
            "notes": self.notes[-NOTES_SAVED:],
            "norms": self.norms[:: len(self.norms) // 100 + 1],
        }
        left_out = len(self.notes) - len(few["notes"])
        for curve in curves:
            curve["after"] = max(0, curve["after"] - left_out)
        return {**self._all(), **few, "streams": curves}

    def answers_wait(self) -> bool:
        """Whether a command has been applied or refused since the last `read`."""
        return any(isinstance(e, Applied | Refused) for e in self.run.events[self._seen :])

    def refuse(self, command: Any, id: str | None, reason: str) -> dict[str, Any]:
        """A note for what was refused before it reached the run. Kept, so that late views see it."""
        named = command if isinstance(command, dict) else {}
        note = {
            "tick": self.tick, "step": self.run.step, "branch": self._now.name,
            "ok": False, "kind": str(named.get("kind", "?")), "group": named.get("group"),
            "command": named, "code": "", "text": asked(command), "id": id, "reason": reason,
        }  # fmt: skip
        self.notes.append(note)
        return note

    def now(self, status: str | None = None) -> dict[str, Any]:
        """Where the run is. speed: steps/s over the last seconds; eta, seconds: s; memory: 10⁶ bytes;
        lost: the step since which the loss is no number; terms: their last values."""
        run = self.run
        status = status or run.status
        total, step = run.steps, run.step
        speed = self._speed() if status == "running" else None
        seconds = self._seconds
        if seconds is None:
            seconds = 0.0 if status == "ready" else perf_counter() - self._began
        return {
            "status": status, "step": step, "tick": self.tick, "total": total,
            "branch": run.branch, "twin": run.twin,
            "speed": speed, "eta": (total - step) / speed if speed and total else None,
            "seconds": seconds, "memory": self._weigh(), "augment": run.augment,
            "weights": run.weights, "terms": _finite(self._terms), "lost": self._lost,
        }  # fmt: skip

    def _all(self) -> dict[str, Any]:
        return {
            "now": self.now(), "can": sorted(self.run.can), "player": state.player(self.run),
            "hint": self.hint, "groups": self.groups, "bookmarks": self.bookmarks,
            "evals": self.evals, "notes": self.notes, "rates": self.rates, "norms": self.norms,
            "movement": self.movement, "error": self.error,
        }  # fmt: skip

    # -- taking events in ----------------------------------------------------------------------

    def _stream(self, name: str) -> Stream:
        if name not in self.streams:
            self.streams[name] = Stream(name)
        return self.streams[name]

    def _steps(self, new: list[Event], at: int) -> int:
        """Take in the steps of the present timeline that come next, as nearly all events are; the index
        of the first event that is something else."""
        stream = self._now
        name, last, add, finite = stream.name, stream.last, stream.losses.append, math.isfinite
        done = None
        for event in islice(new, at, None):
            if type(event) is not StepDone or event.branch != name:
                break
            at += 1
            step, loss = event.step, event.loss
            if step != last + 1 or last < 0:
                stream.jumps.append((len(stream.losses), step))
            last = step
            add(loss)
            if not finite(loss):
                if self._lost is None and getattr(self.run, "tells_loss", True):
                    self._lost = step
            elif self._lost is not None:
                self._lost = None
            done = event
        if done is not None:
            stream.last = last
            self.tick, self._step, self._terms = done.tick, done.step, done.terms
        return at

    def _other(self, event: StepDone) -> None:
        """A step in another timeline than the last: a twin's, or the first after a branching."""
        stream = self._stream(event.branch)
        stream.add(event.step, event.loss)
        if not stream.control:
            self._now = stream
            self.tick, self._step, self._terms = event.tick, event.step, event.terms

    def _take(self, event: Event) -> None:
        """All but steps and measurements of weights."""
        if isinstance(event, Applied):
            self.notes.append(notes.applied(event, self._step, self._now.name))
            if isinstance(event.command, Rewind):
                self._stream(event.branch).cut(event.step)
            if isinstance(event.command, Rewind | Branch):
                self._now, self._step, self._lost = self._stream(event.branch), event.step, None
                if self._seconds is not None:  # a run that was over goes on
                    self._began, self._seconds = perf_counter() - self._seconds, None
            last, next = (
                self.rates[-1],
                notes.rates(event.tick, event.step, event.branch, event.lrs),
            )
            if (last["branch"], last["lrs"]) != (next["branch"], next["lrs"]) or isinstance(
                event.command, Rewind
            ):
                self.rates.append(next)
        elif isinstance(event, Refused):
            self.notes.append(notes.refused(event))
        elif isinstance(event, Evaluated | Metered):
            self.evals.append(notes.measured(event))
        elif isinstance(event, Warned):
            self.notes.append(notes.warned(event))
        elif isinstance(event, Branched):
            stream = self._stream(event.branch)
            stream.parent, stream.start = event.parent, event.step
            stream.control, stream.after = event.control, len(self.notes)
        elif isinstance(event, Finished):
            self._seconds = event.seconds
        elif isinstance(event, Failed):
            self.error = {"message": event.error, "traceback": event.traceback}

    def _fasten(self, movement: dict[str, Any]) -> None:
        self.movement = movement
        for note in reversed(self.notes):  # the last command of that tick that can have caused it
            if note["ok"] and note["tick"] == movement["since"] and note["kind"] in _STEERS:
                note["moved"] = movement["moved"]
                return

    def _keep(self, norms: dict[str, dict[str, Any]]) -> None:
        self.norms += norms.values()
        if len(self.norms) > NORMS_KEPT:  # every other one of what is past: the shape stays
            self.norms = self.norms[(len(self.norms) - 1) % 2 :: 2]

    # -- measuring -----------------------------------------------------------------------------

    def _measure(self, status: str) -> None:
        if status != "running":
            self._pace.clear()
            return
        now = perf_counter()
        self._pace.append((now, self.tick))
        while now - self._pace[0][0] > SPEED_WINDOW_S:
            self._pace.popleft()

    def _speed(self) -> float | None:
        if len(self._pace) < 2:
            return None
        (t0, n0), (t1, n1) = self._pace[0], self._pace[-1]
        return (n1 - n0) / (t1 - t0) if n1 > n0 and t1 - t0 > 0.2 else None

    def _weigh(self) -> dict[str, float]:
        when, memory = self._memory
        if perf_counter() - when > MEMORY_S:
            memory = self.run.memory
            self._memory = (perf_counter(), memory)
        return memory


_STEERS = tuple(command.kind for command in STEERING)  # what `Moved` can answer


def _finite(terms: dict[str, float] | None) -> dict[str, float | None] | None:
    return terms and {name: notes.finite(value) for name, value in terms.items()}
