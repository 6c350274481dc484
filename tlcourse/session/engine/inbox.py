"""Where commands wait, sent to act at once or planned for a step; and questions to the model."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Condition
from typing import TYPE_CHECKING

from ..commands import Command, Stop

if TYPE_CHECKING:
    from .questions import Question


@dataclass(frozen=True, slots=True)
class Envelope:
    command: Command
    id: str | None = None


@dataclass(slots=True)
class Inbox:
    """Any thread puts, the training thread takes. Once shut it accepts nothing more, so that no command
    is left without an answer."""

    sent: deque[Envelope] = field(default_factory=deque)
    planned: list[tuple[int, int, Envelope]] = field(default_factory=list)
    waiting: deque["Question"] = field(default_factory=deque)
    alone: bool = False  # nobody will send anything: it is a replay, with plans for ticks
    shut: bool = False
    _change: Condition = field(default_factory=Condition)
    _order: int = 0
    _put: int = 0
    _taken: int = 0

    def put(self, envelope: Envelope) -> bool:
        """Apply it as soon as possible. Stop goes before all others. False if the inbox is shut."""
        with self._change:
            if not self.shut:
                add = (
                    self.sent.appendleft if isinstance(envelope.command, Stop) else self.sent.append
                )
                add(envelope)
                self._put += 1
                self._change.notify()
            return not self.shut

    def plan(self, step: int, envelope: Envelope) -> bool:
        """Apply it at `step`; plans for one step keep their order. False if the inbox is shut."""
        with self._change:
            if not self.shut:
                self._order += 1
                heapq.heappush(self.planned, (step, self._order, envelope))
                self._change.notify()
            return not self.shut

    def due(self, step: int, tick: int) -> Iterator[Envelope]:
        """What waits for this step boundary, plans first. No more than waits now, so that a flood of
        commands cannot hold up training. Costs nothing while nothing waits."""
        if not self.sent and not self.planned:
            return
        now = tick if self.alone else step
        for _ in range(len(self.sent) + len(self.planned)):
            with self._change:
                if self.planned and self.planned[0][0] <= now:
                    envelope = heapq.heappop(self.planned)[2]
                elif self.sent:
                    envelope = self.sent.popleft()
                    self._taken += 1
                else:
                    return
            yield envelope
            if isinstance(envelope.command, Stop):
                return  # what still waits is refused when the inbox is shut

    def wait(self, step: int, tick: int, timeout_s: float | None = None) -> bool:
        """Sleep until something is due, or for `timeout_s`. False if nothing can come any more."""
        now = tick if self.alone else step
        with self._change:
            while not self._news and not (self.planned and self.planned[0][0] <= now):
                if self.alone:
                    return False
                if not self._change.wait(timeout_s):
                    break
        return True

    def linger(self, seconds: float) -> None:
        """Sleep for so long, or until somebody waits for an answer."""
        with self._change:
            if not self._news:
                self._change.wait(timeout=seconds)

    # -- questions -----------------------------------------------------------------------------

    def ask(self, question: "Question") -> None:
        """It is answered once the commands sent before it have been applied."""
        with self._change:
            question.after = self._put
            self.waiting.append(question)
            self._change.notify()

    def withdraw(self, question: "Question") -> bool:
        """Take it back. False if it does not wait any more."""
        with self._change:
            waits = question in self.waiting
            if waits:
                self.waiting.remove(question)
            return waits

    def questions(self) -> Iterator["Question"]:
        """The questions that wait now; each is taken out when its turn comes."""
        for _ in range(len(self.waiting)):
            with self._change:
                if not self.waiting or self.waiting[0].after > self._taken:
                    return
                question = self.waiting.popleft()
            yield question

    @property
    def _news(self) -> bool:
        return bool(self.sent or self.waiting)

    # -- the end -------------------------------------------------------------------------------

    def shut_down(self) -> list[Envelope]:
        """Accept nothing more. Returns what was sent and not taken; plans are dropped."""
        with self._change:
            self.shut = True
            left = list(self.sent)
            self.sent.clear()
            self._taken = self._put
            if not self.alone:
                self.planned.clear()
        return left

    def reopen(self) -> None:
        with self._change:
            self.shut = False

    def all(self) -> list[Envelope]:
        """What waits, sent or planned."""
        with self._change:
            return [*self.sent, *(envelope for _, _, envelope in self.planned)]
