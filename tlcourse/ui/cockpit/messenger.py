"""The thread that sends updates of a run to its views; nothing else sends anything.

It sends ten times a second while there is news, and within milliseconds while a click awaits its answer.
It ends when the run is over and everything is sent, and starts again when a view says hello.
"""

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from ..looking_thread import LookingThread
from .story import OVER, Story

BEAT_S = 0.1  # between two deltas
EAGER_S = 0.004  # between two checks while a command awaits its answer
PATIENCE_S = 2.0  # how long to check that often
HEARTBEAT_S = 2.0  # longest silence, so that a view can tell busy from gone
SAVE_S = 1.0  # between two writes of the trait for late views and saved notebooks

Send = Callable[[dict[str, Any], list[bytes]], None]


class Messenger(LookingThread):
    """send(content, buffers): to every view. save(state): what a view without a kernel will show.
    headless(story): called once, at the end of a run that never had a view."""

    NAME = "tlcourse-cockpit"

    def __init__(
        self,
        story: Story,
        send: Send,
        save: Callable[[dict[str, Any]], None],
        headless: Callable[[Story], None],
    ) -> None:
        super().__init__()
        self.story = story
        self._send, self._save, self._headless = send, save, headless
        self._inbox: deque[dict[str, Any]] = deque()
        self._viewed = self._ended = False
        self._waiting: dict[str, float] = {}  # id of a sent command → until when to check often
        self._spoke = self._saved = 0.0
        self._sent = 0  # messages told to views: each knows by it whether it has missed one
        self._attending = False
        self._news = True

    def attend(self, on: bool) -> None:
        """While a cell runs, keep watching even if the run is over: the cell may rewind it. Does
        nothing if there has never been a view."""
        if self._viewed:
            self._attending = on
            self.wake()

    def post(self, message: dict[str, Any]) -> None:
        """hello (a view wants everything), expect (a command was sent), refused (one was not)."""
        self._inbox.append(message)
        self.wake()

    def _rest(self) -> float:
        soon = min(self._waiting.values(), default=0.0) > monotonic()
        return EAGER_S if soon else BEAT_S

    def _turn(self) -> bool:
        """Check the run and the inbox once. False if the thread may end."""
        over, now = self.story.run.status in OVER, monotonic()
        if over or now - self._spoke >= BEAT_S or (self._waiting and self.story.answers_wait()):
            self._tell(now, over)
        while self._inbox:
            self._hear(self._inbox.popleft())
        if over != self._ended or (self._news and now - self._saved >= SAVE_S):
            self._save(self.story.compact())
            self._saved, self._news = now, False
        if over and not self._ended and not self._viewed:
            self._headless(self.story)
        self._ended = over
        with self._lock:
            waits = any(until > now for until in self._waiting.values())
            if over and not (self._inbox or self._attending or waits):
                self._thread = None
                return False
        return True

    def _tell(self, now: float, over: bool) -> None:
        news = self.story.read()
        if news is None and not over and now - self._spoke >= HEARTBEAT_S:
            news = self.story.delta()
        if news is None:
            return
        content, losses = news
        notes = content["notes"] if content["type"] == "delta" else content["state"]["notes"]
        answered = {note["id"] for note in notes}
        self._waiting = {
            id: until for id, until in self._waiting.items() if id not in answered and until > now
        }
        self._spoke, self._news = now, True
        self._speak(content, losses)

    def _speak(self, content: dict[str, Any], losses: list[bytes]) -> None:
        """Send to every view. `seq` counts the deltas; a snapshot holds everything up to its own."""
        if self._viewed:
            self._sent += content["type"] == "delta"
            self._send({**content, "seq": self._sent}, losses)

    def _hear(self, message: dict[str, Any]) -> None:
        story = self.story
        if message["type"] == "hello":
            self._viewed = story.run.viewed = True
            if message in self._inbox:  # repeated while the kernel was busy: answer once
                return
            content, losses = story.snapshot()
            self._speak({**content, "view": message["view"]}, losses)
        elif message["type"] == "expect":
            self._waiting[message["id"]] = monotonic() + PATIENCE_S
        elif message["type"] == "refused":
            note = story.refuse(message["command"], message["id"], message["reason"])
            self._speak(*story.delta(notes=[note]))
