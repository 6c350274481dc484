"""`Recording`: a run that is over, and plays again. It shows what a run shows, without training."""

import asyncio
import threading
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from tlcourse.errors import CommandError, RecordError

from ..command import Command
from ..commands import Augment
from ..events import Event, Failed, Finished, StepDone
from ..state import GroupState, RunState
from ..steerable import Bookmark, Steerable, TimelineState
from .header import printable, recipe_of
from .record import Record
from .retelling import began_of, retell
from .retold import Retold

PACE = 60.0  # steps a second, where nobody knows how long the run took
FASTEST, SLOWEST = 1000.0, 0.01  # speeds
BEAT_S = 0.02


class Recording:
    """Plays a run's events at `speed` times the pace at which they happened.

        tl.Cockpit(tl.Recording.load("records/01.jsonl"))

    It can be paused, wound to any place, played faster or slower, and not steered. A place is a number
    of steps taken (`tick`), since `step` goes back where the run was rewound. Winding back puts another,
    shorter list into `events`; else they are append only, as a run's are.
    """

    can: frozenset[str] = frozenset()
    memory: dict[str, float] = {}

    def __init__(
        self, told: Sequence[Event], began: RunState, *, steps: int | None, pace: float = PACE
    ) -> None:
        """told: all that happened; began: the state before the first step; pace: steps a second."""
        if not any(isinstance(event, StepDone) for event in told):
            raise RecordError("Nothing to play: this run has taken no step yet.")
        self.began, self.steps = began, steps
        self.length: int = told[-1].tick
        self._told = list(told)
        self._ticks = [event.tick for event in told]
        self._augments = began.augment or any(
            isinstance(getattr(event, "command", None), Augment) for event in told
        )
        self._pace, self._speed = pace, 1.0
        self._at = 0.0
        self._playing = self._started = False
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self.events: list[Event] = []
        self._now = Retold(began)

    @classmethod
    def load(cls, path: str | Path) -> "Recording":
        """A saved record. Of a long run it holds every n-th loss; those between are interpolated."""
        record = Record.load(path)
        try:
            told = retell(record)
        except CommandError as error:
            raise RecordError(
                printable(f"A command of this record cannot be played: {error}")
            ) from None
        pace = _pace(told, record.header.get("seconds"))
        began = began_of(record.header)
        return cls(told, began, steps=recipe_of(record.header).steps, pace=pace)

    @classmethod
    def of(cls, run: Steerable) -> "Recording":
        """What a run has done so far, with all that it told."""
        told = list(run.events)
        seconds = next((e.seconds for e in reversed(told) if isinstance(e, Finished)), None)
        return cls(told, run.began, steps=run.steps, pace=_pace(told, seconds))

    # -- to play -------------------------------------------------------------------------------

    def start(self) -> "Recording":
        """Play in a thread and return at once. A second call does nothing."""
        if not self._started:
            self.play()
        return self

    def play(self) -> None:
        """Go on; from the beginning, if it is at its end."""
        with self._lock:
            self._started = True
            if self._at >= self.length and len(self.events) == len(self._told):
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
        """Go to where `at` steps had been taken; plays on if it was playing."""
        if isinstance(at, bool) or not isinstance(at, int | float) or not at >= 0:
            raise CommandError(f"A place is a number of steps from 0 to {self.length}, not {at!r}.")
        with self._lock:
            self._started = True
            self._wind(min(float(at), self.length))
            if self._at >= self.length:
                self._playing = False

    def speed(self, times: float) -> None:
        """1 is the pace at which the run went."""
        if (
            isinstance(times, bool)
            or not isinstance(times, int | float)
            or not SLOWEST <= times <= FASTEST
        ):
            raise CommandError(f"A speed goes from {SLOWEST:g} to {FASTEST:g}, not {times!r}.")
        with self._lock:
            self._catch_up()
            self._speed = float(times)
        self._wake.set()

    async def wait(self) -> None:
        """Wait until it has been played to its end, starting it if need be."""
        self.start()
        while self.status not in ("finished", "stopped", "failed"):
            await asyncio.sleep(0.05)

    def send(self, command: Command, id: str | None = None) -> None:
        """Always refused: what happened cannot be changed."""
        raise CommandError(
            f"This is a recording of a run that is over, so {type(command).__name__} can change nothing "
            "in it. Make a Session to steer one."
        )

    def at(self, step: int, command: Command) -> None:
        self.send(command)

    # -- to look -------------------------------------------------------------------------------

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
        if len(self.events) < len(self._told):
            return "running" if self._playing else "paused"
        last = self._told[-1]
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

    # -- inside --------------------------------------------------------------------------------

    def _run(self) -> None:
        """While it plays, tell what is due. Ends with the pause, and begins anew with `play`."""
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
        """Bring `at` and the events to now, if it plays."""
        now = perf_counter()
        if self._playing and self._thread is not None:
            self._wind(min(self._at + (now - self._then) * self._pace * self._speed, self.length))
        self._then = now

    def _wind(self, at: float) -> None:
        """Show what had happened when `at` steps were taken."""
        count = bisect_right(self._ticks, at)
        if count < len(self.events):  # back: readers hold the old list, so it gets a new one
            now, told = Retold(self.began), self._told[:count]
            for event in told:
                now.take(event)
            self._now, self.events = now, told
        else:
            for event in self._told[len(self.events) : count]:
                self._now.take(event)
                self.events.append(event)
        self._at, self._then = at, perf_counter()


def _pace(told: Sequence[Event], seconds: float | None) -> float:
    return told[-1].tick / seconds if seconds and told[-1].tick else PACE
