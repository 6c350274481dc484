"""The thread that redraws a model while it trains, and the rule for how often.

It ends when the run is over and the last picture is drawn, and starts again when needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from tlcourse.session import Applied

from ..cockpit.story import OVER
from ..looking_thread import LookingThread
from .images import Image, image_of

BEAT_S = 0.04  # between two checks for events
IDLE_S = 0.25  # the same, without a view
SHARE = 0.2  # largest share of the run's time spent on drawing
OWED_S = 5.0  # longest delay after many drawings in a row


@dataclass(slots=True)
class Turns:
    """When to redraw: every `every` seconds, but taking at most `SHARE` of the run's time. After a
    command at once, though with a pause at least as long as the last drawing took; that time is made
    up for later. All times in seconds, of one clock."""

    every: float
    _next: float = -inf
    _soonest: float = -inf
    _owed: float = -inf  # until then, drawing has used up its share

    def due(self, now: float, *, trained: bool, steered: bool) -> bool:
        return (steered and now >= self._soonest) or (trained and now >= self._next)

    def took(self, began: float, seconds: float, held_up: bool) -> None:
        """held_up: the run was training meanwhile."""
        ended = began + seconds
        cost = seconds if held_up else 0.0
        self._soonest = ended + cost
        self._owed = min(max(self._owed, began) + cost / SHARE, ended + max(OWED_S, cost / SHARE))
        self._next = max(began + self.every, self._owed)


@dataclass(frozen=True, slots=True)
class Seen:
    """image: None if drawing failed; error then says why."""

    step: int
    branch: str
    image: Image | None
    error: str = ""


class Watcher(LookingThread):
    """show(seen, viewed): called in this thread after each drawing. viewed: there has been a view."""

    NAME = "tlcourse-lens"

    def __init__(
        self,
        run: Any,
        draw: Callable[[Any], Any],
        every: float,
        show: Callable[[Seen, bool], None],
    ) -> None:
        super().__init__()
        self._run, self._draw, self._show = run, draw, show
        self._turns = Turns(every)
        self._events, self._read = run.events, 0
        self._trained = self._steered = False
        self._viewed = self._attending = False
        self._final = -1  # events at the last picture of a run that was over
        self._drawn = False

    def attend(self, on: bool) -> None:
        """While a cell runs, keep watching even if the run is over: the cell may rewind it."""
        self._attending = on and self._viewed
        self.wake()

    def view(self) -> None:
        """A view has appeared."""
        self._viewed = True
        self.wake()

    def finish(self, timeout_s: float = 10.0) -> None:
        """Without a view, wait for the last picture of a run that is over: the program that executes
        the notebook may exit after this cell."""
        thread = self._thread
        if thread and not self._viewed and self._run.status in OVER:
            thread.join(timeout_s)

    def _rest(self) -> float:
        return BEAT_S if self._viewed else IDLE_S

    def _turn(self) -> bool:
        over = self._run.status in OVER  # read before the events: once over, they are complete
        self._listen()
        if over:
            if self._final != self._read:
                self._final = self._read
                self._look()
        elif self._viewed and (not self._drawn or self._due()):
            self._look()
        with self._lock:
            if over and not self._attending:
                self._thread = None
                return False
        return True

    def _due(self) -> bool:
        return self._turns.due(monotonic(), trained=self._trained, steered=self._steered)

    def _listen(self) -> None:
        events = self._run.events
        if events is not self._events or len(events) < self._read:
            self._events, self._read, self._final = events, 0, -1
        until = len(events)
        for _, part in events.parts(self._read, until):
            self._trained |= isinstance(part, range)  # steps
            self._steered |= isinstance(part, Applied)
        self._read = until

    def _look(self) -> None:
        """Draw, and show the result. Events from now on lead to another drawing."""
        self._trained = self._steered = False
        spent = 0.0
        began = monotonic()

        def ask(model: Any) -> Any:
            nonlocal spent
            at, then = (self._run.step, self._run.branch), monotonic()
            try:
                return (*at, self._draw(model), "")
            except Exception as error:
                return (*at, None, _told(error))
            finally:
                spent = monotonic() - then

        step, branch, drawn, wrong = self._run.look(ask)
        held_up, then, image = self._run.status == "running", monotonic(), None
        if not wrong:
            try:
                image = image_of(drawn)
            except Exception as error:
                wrong = _told(error)
        self._turns.took(began, spent + monotonic() - then, held_up)
        self._drawn = True
        self._show(Seen(step, branch, image, wrong), self._viewed)


def _told(error: Exception) -> str:
    said = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
