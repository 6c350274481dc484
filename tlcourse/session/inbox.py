"""Where commands wait: those sent by a hand (as soon as possible) and those planned for a step."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from threading import Condition

from .commands import Command


@dataclass(frozen=True, slots=True)
class Envelope:
    command: Command
    id: str | None = None


@dataclass(slots=True)
class Inbox:
    """Any thread puts, the training thread takes. Once shut it takes nothing more, so that no command
    is ever left without an answer."""

    sent: deque[Envelope] = field(default_factory=deque)
    planned: list[tuple[int, int, Envelope]] = field(default_factory=list)
    alone: bool = False  # nobody will send anything: a replay
    shut: bool = False
    _change: Condition = field(default_factory=Condition)
    _order: int = 0

    def put(self, envelope: Envelope) -> bool:
        """As soon as possible. False if the inbox is shut."""
        with self._change:
            if not self.shut:
                self.sent.append(envelope)
                self._change.notify()
            return not self.shut

    def plan(self, step: int, envelope: Envelope) -> bool:
        """For `step`; those of one step keep their order. False if the inbox is shut."""
        with self._change:
            if not self.shut:
                self._order += 1
                heapq.heappush(self.planned, (step, self._order, envelope))
                self._change.notify()
            return not self.shut

    def take(self, step: int) -> Envelope | None:
        """The next command due at this step, or None. Costs nothing while nothing waits."""
        if not self.sent and not self.planned:
            return None
        with self._change:
            if self.planned and self.planned[0][0] <= step:
                return heapq.heappop(self.planned)[2]
            return self.sent.popleft() if self.sent else None

    def wait(self, step: int) -> bool:
        """Sleep until something is due. False if nothing can come any more."""
        with self._change:
            while not self.sent and not (self.planned and self.planned[0][0] <= step):
                if self.alone:
                    return False
                self._change.wait()
        return True

    def shut_down(self) -> list[Envelope]:
        """Take nothing more; what was sent and not taken is returned, plans are dropped."""
        with self._change:
            self.shut = True
            left = list(self.sent)
            self.sent.clear()
            self.planned.clear()
        return left
