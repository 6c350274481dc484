"""What a view must know of a run: read from its events a little at a time, and told as messages.

Which steps belong to which line is decided here, by `session/timelines/paths.py`: a view gets stretches
of losses and the lines that they make up, and draws them. All is JSON (no NaN, which JSON lacks) except
the losses, which travel as float32, a buffer for each stretch that grew.
"""

import math
from bisect import bisect_left
from collections import deque
from time import perf_counter
from typing import Any

import numpy as np

from tlcourse.plots.timelines import MARKED, ROOM, SPIKE, cap_of, keep_of, reach_of, smoothed
from tlcourse.session.commands import STEERING, Branch, Command, Rewind
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
    Warned,
)
from tlcourse.session.steerable import Steerable
from tlcourse.session.timelines.paths import Paths, Stretch

from .stream import Stream, rounded
from .words import asked, code, done

SPEED_WINDOW_S = 4.0
MEMORY_S = 1.0  # between two looks at the memory
NORMS_KEPT = 1000
NOTES_SAVED = 200
OVER = ("finished", "stopped", "failed")

Message = tuple[dict[str, Any], list[bytes]]  # content, and the losses as float32
Place = tuple[int, int]  # of an event: its stretch, and its position there


class Story:
    """Not thread-safe: one thread reads the run and tells the views. hint: what to tell whoever steers
    about this kernel."""

    def __init__(self, run: Steerable, hint: str = "") -> None:
        self.run = run
        self.hint = hint
        self._begin()

    def _begin(self) -> None:
        run = self.run
        first = run.events[0].branch if run.events else run.branch
        self.paths = Paths(run.events, first, until=0)
        self.streams: list[Stream] = []  # of the stretches of `paths`
        self.lines: list[dict[str, Any]] = []
        self.timelines: list[dict[str, Any]] = []
        self.curve: dict[str, float] = {}
        self.evals: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.norms: list[dict[str, Any]] = []
        self.movement: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self.tick = 0
        self._ids: dict[Stretch, int] = {}
        self._marks: dict[str, Place] = {}  # where each bookmark was set
        self._events = run.events
        self._seen = 0
        self._grow()
        self.groups, self.bookmarks = _groups(run), self._bookmarks()
        self.rates = [_rates(0, 0, first, run.began.lrs, (0, 0))]
        self._told = _seen(run)
        self._seconds: float | None = None
        self._began = perf_counter()
        self._pace: deque[tuple[float, int]] = deque()
        self._memory: tuple[float, dict[str, float]] = (-math.inf, {})

    # -- telling -------------------------------------------------------------------------------

    def read(self) -> Message | None:
        """Take in what has happened since the last call and tell it; None if nothing has. A run may put
        another list into `events` (a recording that is wound back): then everything is told anew."""
        seen = _seen(self.run)  # before the events: once it says "over", all of them are there
        events = self.run.events
        if events is not self._events or len(events) < self._seen:
            self._begin()
            self.read()
            return self.snapshot()
        marks = [stream.mark() for stream in self.streams]
        curve = self.curve
        counts = [len(part) for part in (self.evals, self.notes, self.rates)]
        self._seen, seen_before = len(events), self._seen
        self.paths.follow(self._seen)
        new = self._seen > seen_before
        norms: dict[int, dict[str, Any]] = {}  # the last of each stretch: a beat shows no more
        moved: list[dict[str, Any]] = []
        touched = False
        for index, at in self._grow():
            event = self.paths.taken[index]
            if isinstance(event, Norms):
                norms[at[0]] = _norms(event, at)
                self._turn(event, at)
            elif isinstance(event, Moved):
                moved.append(_movement(event))
            else:
                touched |= isinstance(event, Applied | Saved | Branched | Warned)
                self._take(event, at)
        if new:
            self.tick = events[self._seen - 1].tick
        for movement in moved:
            self._fasten(movement)
        self._keep(norms)
        self._measure(seen["status"])
        if not new and seen == self._told:
            return None
        self._told = seen  # news also without an event: "finished" comes just after `Finished`
        if touched:
            self.groups, self.bookmarks = _groups(self.run), self._bookmarks()
        evals, said, rates = (
            part[n:] for part, n in zip((self.evals, self.notes, self.rates), counts, strict=True)
        )
        had = [*marks, *[None] * (len(self.streams) - len(marks))]
        grown = [
            (stream, mark)
            for stream, mark in zip(self.streams, had, strict=True)
            if stream.mark() != mark
        ]
        begun = len(self.streams) > len(marks)
        return self.delta(
            seen["status"],
            [stream.bytes_from(mark[0] if mark else 0) for stream, mark in grown],
            stretches=[stream.told(mark) for stream, mark in grown],
            lines=self.lines if begun else None,
            timelines=self.timelines if begun else None,
            curve=self.curve if self.curve is not curve else None,
            groups=self.groups if touched else None,
            bookmarks=self.bookmarks if touched else None,
            evals=evals, notes=said, rates=rates, moved=moved, norms=list(norms.values()),
        )  # fmt: skip

    def delta(
        self, status: str | None = None, losses: list[bytes] | None = None, **news: Any
    ) -> Message:
        """The message that brings a view up to now from the one before."""
        none = {"stretches": [], "lines": None, "timelines": None, "curve": None, "groups": None}
        none |= {"bookmarks": None, "evals": [], "notes": [], "rates": [], "moved": [], "norms": []}
        content = {"type": "delta", "state": self.now(status), "player": _player(self.run)}
        return {**content, **none, "error": self.error, **news}, losses or []

    def snapshot(self) -> Message:
        """Everything."""
        told = [stream.told() for stream in self.streams]
        content = {"type": "snapshot", "state": {**self._all(), "stretches": told}}
        return content, [stream.bytes_from() for stream in self.streams]

    def compact(self, points: int = 800) -> dict[str, Any]:
        """Everything in plain JSON, the curves thinned and smoothed: what is saved in the notebook (some
        15 to 30 kB)."""
        total = sum(len(stream.losses) for stream in self.streams) or 1
        edges: list[set[int]] = [set() for _ in self.streams]
        for line in self.lines:
            for id, low, high, *_ in line["parts"]:
                edges[id] |= {low} if high is None else {low, high}
        for stream in self.streams:
            if stream.root:
                edges[stream.root[0]].add(stream.root[1])
        kept = [
            stream.kept(max(8, points * len(stream.losses) // total), edges[stream.id])
            for stream in self.streams
        ]

        def place(id: int, n: int | None) -> int | None:
            return None if n is None else int(np.searchsorted(kept[id], n))

        stretches = []
        for stream, at, smooth in zip(self.streams, kept, self._smooth(), strict=True):
            x, y = stream.curve()
            about = stream.about()
            if stream.root:
                about["root"] = [stream.root[0], place(*stream.root)]
            curve = {"x": x[at].astype(int).tolist(), "y": rounded(y[at])}
            stretches.append({**about, **curve, "smooth": rounded(smooth[at])})
        lines = [
            line | {"parts": [[i, place(i, a), place(i, b), *ab] for i, a, b, *ab in line["parts"]]}
            for line in self.lines
        ]
        few = {
            "notes": self.notes[-NOTES_SAVED:],
            "norms": self.norms[:: len(self.norms) // 100 + 1],
        }
        return {**self._all(), **few, "stretches": stretches, "lines": lines}

    def answers_wait(self) -> bool:
        """Whether a command has been applied or refused since the last `read`."""
        return any(isinstance(e, Applied | Refused) for _, e in self.run.events.parts(self._seen))

    def refuse(self, command: Any, id: str | None, reason: str) -> dict[str, Any]:
        """A note for what was refused before it reached the run. Kept, so that late views see it."""
        named = command if isinstance(command, dict) else {}
        note = {
            "tick": self.tick, "step": self.run.step, "branch": self.paths.now, "at": None,
            "ok": False, "kind": str(named.get("kind", "?")), "group": named.get("group"),
            "steers": False, "marked": False,
            "command": named, "code": "", "text": asked(command), "id": id, "reason": reason,
        }  # fmt: skip
        self.notes.append(note)
        return note

    def now(self, status: str | None = None) -> dict[str, Any]:
        """Where the run is. speed: steps/s over the last seconds; eta, seconds: s; memory: 10⁶ bytes;
        lost: the step since which the loss is not a number; terms: their last values."""
        run = self.run
        status = status or run.status
        total, step = run.steps, run.step
        speed = self._speed() if status == "running" else None
        seconds = self._seconds
        if seconds is None:
            seconds = 0.0 if status == "ready" else perf_counter() - self._began
        tip = self.streams[self._ids[self.paths.tips[self.paths.now]]]
        terms = None if tip.done is None else self._events[tip.done].terms
        return {
            "status": status, "step": step, "tick": self.tick, "total": total,
            "branch": run.branch, "twin": run.twin,
            "speed": speed, "eta": (total - step) / speed if speed and total else None,
            "seconds": seconds, "memory": self._weigh(), "augment": run.augment,
            "weights": run.weights, "terms": terms and _finite(terms),
            "lost": tip.lost if getattr(run, "tells_loss", True) else None,
        }  # fmt: skip

    def _all(self) -> dict[str, Any]:
        return {
            "now": self.now(), "can": sorted(self.run.can), "player": _player(self.run),
            "hint": self.hint, "groups": self.groups, "bookmarks": self.bookmarks,
            "lines": self.lines, "timelines": self.timelines, "curve": self.curve,
            "evals": self.evals, "notes": self.notes, "rates": self.rates, "norms": self.norms,
            "movement": self.movement, "error": self.error,
        }  # fmt: skip

    # -- time ----------------------------------------------------------------------------------

    def _grow(self) -> list[tuple[int, Place]]:
        """Bring the streams up to `paths`; the events that are not steps, in order: (index, place)."""
        events, found = self.paths.taken, []
        had = len(self.streams)
        for id, stretch in enumerate(self.paths.stretches):
            if id == len(self.streams):
                self.streams.append(self._stream(id, stretch))
            stream = self.streams[id]
            if len(stretch.at) > stream.seen:
                new = stretch.others[bisect_left(stretch.others, stream.seen) :]
                found += [(stretch.at[k], (id, k)) for k in new]
                stream.take(events)
        if len(self.streams) > had:
            self.lines, self.timelines = self._lines(), self._timelines()
        self._rule()
        return sorted(found)

    def _stream(self, id: int, stretch: Stretch) -> Stream:
        self._ids[stretch] = id
        begins = 0 if stretch.parent is None else self.paths.step(stretch.parent, stretch.root)
        above, root = stretch, None
        while above.parent is not None and root is None:
            parent = self.streams[self._ids[above.parent]]
            root = (parent.id, shared) if (shared := parent.points(above.root)) else None
            above = above.parent
        return Stream(id, stretch, root, begins)

    def _lines(self) -> list[dict[str, Any]]:
        """`Paths.tracks` as JSON. parts: [stretch, from point, to point, from event, to event]; where
        the stretch goes on, both ends are None."""
        lines = []
        for track in self.paths.tracks():
            parts = []
            for stretch, low, high in track.parts:
                stream = self.streams[self._ids[stretch]]
                ends = stream.points(low), stream.points(high), low, high
                parts.append([stream.id, *ends])
            tip = track.parts[-1][0]
            if self.paths.tips[tip.branch] is tip and parts[-1][4] == len(tip.at):
                parts[-1][2] = parts[-1][4] = None
            lines.append({"name": track.name, "role": track.role, "parts": parts})
        return lines

    def _timelines(self) -> list[dict[str, Any]]:
        """Each timeline: which one it leaves, and at which step; its last stretch, and the step at which
        that begins; the farthest step of its earlier stretches."""
        found = []
        for name, tip in self.paths.tips.items():
            mine = [stream for stream in self.streams if stream.stretch.branch == name]
            parent = mine[0].stretch.parent
            found.append({
                "name": name, "parent": parent and parent.branch, "control": tip.control,
                "start": min(stream.begins for stream in mine),
                "tip": self._ids[tip], "begins": self.streams[self._ids[tip]].begins,
                "far": max((s.last for s in mine if s.stretch is not tip), default=0),
            })  # fmt: skip
        return found

    def _rule(self) -> None:
        """How to smooth the loss and where its axis ends, by the rules of `plots/timelines.py`: a view
        gets the numbers."""
        reach = reach_of(self.streams[0].first)
        keep = keep_of(max(stream.last for stream in self.streams))
        if (keep, reach) != (self.curve.get("keep"), self.curve.get("reach")):
            self.curve = {"keep": keep, "cap": cap_of(reach), "reach": reach}
            self.curve |= {"spike": SPIKE, "room": ROOM}

    def _smooth(self) -> list[np.ndarray]:
        """The smoothed losses of each stream."""
        found, held = [], []
        for stream in self.streams:
            begins = (0.0, 0.0)
            if stream.root and stream.root[1]:
                begins = tuple(held[stream.root[0]][stream.root[1] - 1])
            losses = np.asarray(stream.losses, float)
            means, after = smoothed(losses, self.curve["keep"], self.curve["cap"], begins)
            found.append(means)
            held.append(after)
        return found

    # -- taking events in ----------------------------------------------------------------------

    def _take(self, event: Event, at: Place) -> None:
        """All but steps and measurements of weights."""
        if isinstance(event, Applied):
            left = self.paths.stretches[at[0]].left if at[1] == 0 else None
            from_step = event.step if left is None else self.paths.step(*left)
            note = _note(event, at, event.command, from_step) | {"text": done(event), "ok": True}
            note |= {"before": event.trainable_before, "after": event.trainable_after}
            if isinstance(event.command, Rewind) and left is not None:
                note |= {"from_step": from_step, "from_branch": left[0].branch}
            self.notes.append(note)
            again = isinstance(event.command, Rewind | Branch)
            if again and self._seconds is not None:  # a run that was over goes on
                self._began, self._seconds = perf_counter() - self._seconds, None
            last, rates = (
                self.rates[-1],
                _rates(event.tick, event.step, event.branch, event.lrs, at),
            )
            if again or (last["branch"], last["lrs"]) != (rates["branch"], rates["lrs"]):
                self.rates.append(rates)
        elif isinstance(event, Refused):
            text = asked(event.command.to_json())
            note = _note(event, at, event.command, event.step) | {"marked": False, "steers": False}
            self.notes.append(note | {"text": text, "ok": False, "reason": event.reason})
        elif isinstance(event, Evaluated | Metered):
            self.evals.append(_measured(event, at))
        elif isinstance(event, Warned):
            warned = {"kind": "warned", "group": None, "command": {}, "code": "", "id": None}
            warned |= {"steers": False, "marked": False, "text": event.text, "ok": True}
            self.notes.append(_when(event, at) | warned)
        elif isinstance(event, Saved):
            self._marks[event.name] = at
        elif isinstance(event, Finished):
            self._seconds = event.seconds
        elif isinstance(event, Failed):
            self.error = {"message": event.error, "traceback": event.traceback}

    def _turn(self, event: Norms, at: Place) -> None:
        """Rates that a schedule has changed: worth a point once one is off by 1/50 of the highest."""
        now, last = event.lrs or {}, self.rates[-1]["lrs"]
        far = max(now.values(), default=0.0) / 50
        if any(abs(rate - last.get(name, 0.0)) > far for name, rate in now.items()):
            self.rates.append(_rates(event.tick, event.step, event.branch, now, at))

    def _fasten(self, movement: dict[str, Any]) -> None:
        """Credit a movement to the last command of its tick that can have caused it."""
        self.movement = movement
        for at in range(len(self.notes) - 1, -1, -1):
            note = self.notes[at]
            if note["ok"] and note["tick"] == movement["since"] and note["steers"]:
                note["moved"] = movement["moved"]
                movement["note"] = at
                return

    def _keep(self, norms: dict[int, dict[str, Any]]) -> None:
        self.norms += norms.values()
        if len(self.norms) > NORMS_KEPT:  # every other one of what is past: the shape stays
            self.norms = self.norms[(len(self.norms) - 1) % 2 :: 2]

    def _bookmarks(self) -> list[dict[str, Any]]:
        return [
            {"name": mark.name, "branch": mark.branch, "step": mark.step, "mb": mark.mb,
             "at": self._marks.get(mark.name)}
            for mark in self.run.bookmarks
        ]  # fmt: skip

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


# -- as JSON ---------------------------------------------------------------------------------------


def _seen(run: Steerable) -> dict[str, Any]:
    """What can change without an event."""
    return {"status": run.status, "twin": run.twin, "player": _player(run)}


def _player(run: Any) -> dict[str, Any] | None:
    """speed, playing, at, length of a recording that plays; None for a run that trains."""
    plays = getattr(run, "player", None)
    return None if plays is None else dict(plays)


def _groups(run: Steerable) -> list[dict[str, Any]]:
    return [
        {
            "name": g.name, "parameters": g.parameters, "trainable": g.trainable, "lr": g.lr,
            "kind": g.kind, "stats": g.stats, "scale": g.scale,
        }
        for g in run.groups
    ]  # fmt: skip


def _when(event: Event, at: Place) -> dict[str, Any]:
    return {"tick": event.tick, "step": event.step, "branch": event.branch, "at": at}


def _note(event: Applied | Refused, at: Place, command: Command, step: int) -> dict[str, Any]:
    """What was asked for, with the code that asks for it again."""
    return _when(event, at) | {
        "kind": command.kind,
        "group": getattr(command, "group", None),
        "steers": isinstance(command, STEERING),
        "marked": isinstance(command, MARKED),
        "command": command.to_json(),
        "code": f"run.at({step}, {code(command)})",
        "id": event.id,
    }


def _measured(event: Evaluated | Metered, at: Place) -> dict[str, Any]:
    """A meter's reading stands as the accuracy of a split "meter" with a name."""
    if isinstance(event, Metered):
        value = _number(event.value)
        reading = {"split": "meter", "name": event.name, "accuracy": value, "loss": None}
        return _when(event, at) | reading
    accuracy, loss = _number(event.accuracy), _number(event.loss)
    return _when(event, at) | {"split": event.split, "accuracy": accuracy, "loss": loss}


def _movement(event: Moved) -> dict[str, Any]:
    return {"since": event.since, "tick": event.tick, "moved": _finite(event.moved), "note": None}


def _norms(event: Norms, at: Place) -> dict[str, Any]:
    return _when(event, at) | {"grad": _finite(event.grad), "moved": _finite(event.moved)}


def _rates(tick: int, step: int, branch: str, lrs: dict[str, float], at: Place) -> dict[str, Any]:
    return {"tick": tick, "step": step, "branch": branch, "at": at, "lrs": dict(lrs)}


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
