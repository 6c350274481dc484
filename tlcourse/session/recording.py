"""`Recording`: plays back a run that is over. It shows what the run showed, and trains nothing."""

import asyncio
import threading
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from tlcourse.errors import CommandError, RecordError

from .commands import Augment, Branch, Command, Rewind, Twin
from .eventlog import EventLog
from .events import Applied, Branched, Event, Failed, Finished, Saved, StepDone, Warned
from .record.record import Record
from .record.schema import recipe_of
from .replay import replay_at_hand
from .state import GroupState, RunState
from .steerable import Bookmark, Steerable, TimelineState

PACE = 60.0  # steps a second, if it is unknown how long the run took
FASTEST, SLOWEST = 1000.0, 0.01  # speeds
BEAT_S = 0.02


class Recording:
    """Plays a run's events at `speed` times the pace at which they happened.

        tl.Cockpit(tl.Recording.load("records/01.jsonl"))

    It can be paused, moved to any position, and played faster or slower, but not steered. A position is
    a number of steps taken (`tick`), since `step` decreases when the run rewinds. Going back replaces
    `events` by a shorter list; otherwise it is append-only, as in a run.
    """

    can: frozenset[str] = frozenset()
    memory: dict[str, float] = {}
    viewed = False

    def __init__(
        self, events: Sequence[Event], began: RunState, *, steps: int | None, pace: float = PACE
    ) -> None:
        """events: all that happened; began: the state before the first step; pace: steps a second."""
        self._all = events.head() if isinstance(events, EventLog) else EventLog(events)
        if not len(self._all.losses):
            raise RecordError("Nothing to play: this run has taken no step yet.")
        self.began, self.steps = began, steps
        self.length: int = self._all[-1].tick
        self._ticks = array("q", (event.tick for event in self._all))
        commands = [event.command for _, event in self._all.others if isinstance(event, Applied)]
        self._augments = began.augment or any(isinstance(one, Augment) for one in commands)
        self._pace, self._speed = pace, 1.0
        self._at, self._then = 0.0, perf_counter()
        self._playing = self._started = False
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.events = EventLog()
        self._now = _Shown(began)

    @classmethod
    def load(cls, path: str | Path) -> "Recording":
        """Load a saved record. Of a long run it holds every n-th loss; those between are interpolated.

        A record of format 1 does not hold the state of the groups after each command. If its model and
        data come with this package, it is run again once and saved as format 2, and the old file is kept
        beside it as NAME.format1.jsonl. Otherwise it plays without groups after the first command.
        """
        record, news = Record.load(path), None
        if record.losses_sha256 is None:
            raise RecordError(
                "This record holds no losses, so there is nothing to play; record a run to its end "
                "(run.record.save(…)), or run these commands with tl.replay."
            )
        if not record.complete:
            record, news = _completed(record, Path(path))
        events = record.events
        if news:
            events = EventLog([Warned(0, 0, "main", news), *events])
        pace = _pace(events, record.header.get("seconds"))
        return cls(events, record.began, steps=recipe_of(record.header).steps, pace=pace)

    @classmethod
    def of(cls, run: Steerable) -> "Recording":
        """A recording of what a run has done so far."""
        events = EventLog(run.events)
        return cls(events, run.began, steps=run.steps, pace=_pace(events))

    # -- playing -------------------------------------------------------------------------------

    def start(self) -> "Recording":
        """Play in a thread and return at once. A second call does nothing."""
        if not self._started:
            self.play()
        return self

    def play(self) -> None:
        """Play on; from the beginning, if it is at its end."""
        with self._lock:
            self._started = True
            if self._at >= self.length and len(self.events) == len(self._all):
                self._wind(0)
            self._playing = True
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="tlcourse-recording", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def pause(self) -> None:
        with self._lock:
            self._catch_up()
            self._playing = False

    def seek(self, at: float) -> None:
        """Go to the position after `at` steps; keep playing if it was playing."""
        if isinstance(at, bool) or not isinstance(at, int | float) or not at >= 0:
            raise CommandError(f"at is a number of steps from 0 to {self.length}, not {at!r}.")
        with self._lock:
            self._started = True
            self._wind(min(float(at), self.length))
            if self._at >= self.length:
                self._playing = False

    def speed(self, times: float) -> None:
        """1 is the pace of the run."""
        if (
            isinstance(times, bool)
            or not isinstance(times, int | float)
            or not SLOWEST <= times <= FASTEST
        ):
            raise CommandError(f"A speed must be from {SLOWEST:g} to {FASTEST:g}, not {times!r}.")
        with self._lock:
            self._catch_up()
            self._speed = float(times)
        self._wake.set()

    async def wait(self) -> None:
        """Wait until it has played to its end, starting it if necessary."""
        self.start()
        said = False
        while self.status not in ("finished", "stopped", "failed"):
            if not said and self.status == "paused":
                print(
                    "The recording is paused, so this cell waits. Press Play to go on.", flush=True
                )
                said = True
            await asyncio.sleep(0.05)

    def send(self, command: Command, id: str | None = None) -> None:
        """Always refused: what happened cannot be changed."""
        raise CommandError(
            f"This is a recording of a run that is over, so {type(command).__name__} cannot change it. "
            "Create a Session to steer a run."
        )

    def at(self, step: int, command: Command) -> None:
        self.send(command)

    # -- state ---------------------------------------------------------------------------------

    @property
    def player(self) -> dict[str, Any]:
        """speed; playing; at, length: in steps taken."""
        return {
            "speed": self._speed, "playing": self._playing, "at": int(self._at), "length": self.length
        }  # fmt: skip

    @property
    def status(self) -> str:
        if not self._started:
            return "ready"
        if len(self.events) < len(self._all):
            return "running" if self._playing else "paused"
        last = self._all[-1]
        if isinstance(last, Failed):
            return "failed"
        return "stopped" if isinstance(last, Finished) and last.reason == "stopped" else "finished"

    @property
    def step(self) -> int:
        return self._now.step

    @property
    def branch(self) -> str:
        return self._now.branch

    @property
    def groups(self) -> tuple[GroupState, ...]:
        return self._now.state.groups

    @property
    def timelines(self) -> tuple[TimelineState, ...]:
        return self._now.timelines()

    @property
    def bookmarks(self) -> tuple[Bookmark, ...]:
        return tuple(self._now.bookmarks.values())

    @property
    def weights(self) -> dict[str, float]:
        return dict(self._now.state.weights)

    @property
    def augment(self) -> float | None:
        """None for a run that never augmented."""
        return self._now.state.augment if self._augments else None

    @property
    def twin(self) -> str | None:
        return self._now.twin

    def __repr__(self) -> str:
        return f"<Recording {self.status}: {int(self._at)} of {self.length} steps>"

    # -- internals -----------------------------------------------------------------------------

    def _run(self) -> None:
        """Add events as they become due. Ends on a pause; `play` starts another thread."""
        self._then = perf_counter()
        while True:
            with self._lock:
                self._catch_up()
                if self._at >= self.length:
                    self._playing = False
                if not self._playing:
                    self._thread = None
                    return
            self._wake.wait(BEAT_S)
            self._wake.clear()

    def _catch_up(self) -> None:
        """Bring the position and the events up to date, if it is playing."""
        now = perf_counter()
        if self._playing and self._thread is not None:
            self._wind(min(self._at + (now - self._then) * self._pace * self._speed, self.length))
        self._then = now

    def _wind(self, at: float) -> None:
        """Show what had happened after `at` steps."""
        count = bisect_right(self._ticks, at)
        if count < len(self.events):  # back: readers may hold the old list, so make a new one
            now, past = _Shown(self.began), self._all.head(count)
            for event in past:
                now.take(event)
            self._now, self.events = now, past
        else:
            for event in self._all[len(self.events) : count]:
                self._now.take(event)
                self.events.append(event)
        self._at, self._then = at, perf_counter()


def _completed(record: Record, path: Path) -> tuple[Record, str]:
    """The record, completed if possible, and a sentence that says what was done."""
    again = replay_at_hand(record)
    if again is None or not again.agrees:
        return record, (
            "This record was made by an older version: it does not hold the state of the groups after "
            "each command, so they are not shown. tl.replay(…).run.record is complete."
        )
    whole, kept = again.run.record, path.with_name(f"{path.stem}.format1{path.suffix}")
    try:
        if not kept.exists():
            kept.write_bytes(path.read_bytes())
        whole.save(path)
    except (OSError, RecordError):
        return whole, "This record was made by an older version; it was run again to complete it."
    return whole, (
        "This record was made by an older version. It was run again and saved in full; the old file "
        f"is {kept.name}."
    )


def _pace(events: Sequence[Event], seconds: float | None = None) -> float:
    ends = (event.seconds for event in reversed(events) if isinstance(event, Finished))
    seconds = seconds or next(ends, None)
    return events[-1].tick / seconds if seconds and events[-1].tick else PACE


class _Shown:
    """The visible state of a run, computed from its events. began: the state before the first step."""

    def __init__(self, began: RunState) -> None:
        self.state = began
        self.step, self.branch, self.twin = 0, "main", None
        self.bookmarks = {"start": Bookmark("start", "main", 0, 0.0)}
        self._lines = {"main": TimelineState("main", None, 0, 0)}

    def timelines(self) -> tuple[TimelineState, ...]:
        return tuple(self._lines.values())

    def take(self, event: Event) -> None:
        if isinstance(event, StepDone):
            line = self._lines.get(event.branch) or TimelineState(event.branch, None, 0, 0)
            self._lines[event.branch] = replace(line, step=event.step)
            if not line.control:
                self.step, self.branch = event.step, event.branch
        elif isinstance(event, Applied):
            self._apply(event)
        elif isinstance(event, Branched):
            self._lines[event.branch] = TimelineState(
                event.branch, event.parent, event.step, event.step, event.control
            )
            if event.control:
                self.twin = event.branch
        elif isinstance(event, Saved):
            self.bookmarks[event.name] = Bookmark(event.name, event.branch, event.step, event.mb)
        elif isinstance(event, Finished):
            self._end_twin()

    def _apply(self, event: Applied) -> None:
        self.step, self.branch, self.state = event.step, event.branch, event.state
        command = event.command
        if isinstance(command, Twin):
            self.twin = "armed" if command.on else None
        elif isinstance(command, Rewind | Branch):
            self._end_twin()
        if isinstance(command, Rewind) and event.branch in self._lines:
            self._lines[event.branch] = replace(self._lines[event.branch], step=event.step)

    def _end_twin(self) -> None:
        if self.twin != "armed":
            self.twin = None
