"""The thread that tells views what happens in a run. All that leaves the kernel leaves from here.

Ten times a second while there is news; within milliseconds while a click waits for its answer. It
ends when the run is over and all is told, and comes back for a view that says hello later.
"""

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from .story import OVER, Story

BEAT_S = 0.1  # between two deltas
EAGER_S = 0.004  # between two looks while a command waits for its answer
PATIENCE_S = 2.0  # how long to look so often
HEARTBEAT_S = 2.0  # a word at least so often, so that a view can tell busy from gone
SAVE_S = 1.0  # between two writes of the trait that late views and notebooks keep

Send = Callable[[dict[str, Any], list[bytes]], None]


class Messenger:
    """send(content, buffers): to every view. save(state): what a view without a kernel will see.
    headless(story): once, at the end of a run that no view has watched."""

    def __init__(
        self,
        story: Story,
        send: Send,
        save: Callable[[dict[str, Any]], None],
        headless: Callable[[Story], None],
    ) -> None:
        self.story = story
        self._send, self._save, self._headless = send, save, headless
        self._inbox: deque[dict[str, Any]] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._viewed = self._ended = False
        self._waiting: dict[str, float] = {}  # id of a command sent → until when to be eager
        self._spoke = self._saved = 0.0

    def wake(self) -> None:
        """Have the thread running. Any thread may call this."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._live, name="tlcourse-cockpit", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def post(self, message: dict[str, Any]) -> None:
        """hello (a view wants all), expect (a command was sent), refused (one was not)."""
        self._inbox.append(message)
        self.wake()

    def _live(self) -> None:
        try:
            while self._turn():
                soon = min(self._waiting.values(), default=0.0) > monotonic()
                self._wake.wait(EAGER_S if soon else BEAT_S)
                self._wake.clear()
        except BaseException:  # shown by threading's hook; the next message starts a new thread
            with self._lock:
                self._thread = None
            raise

    def _turn(self) -> bool:
        """One look at the run, one at the inbox. False when all is told and the thread has ended."""
        over, now = self.story.run.status in OVER, monotonic()
        if over or now - self._spoke >= BEAT_S or (self._waiting and self.story.answers_wait()):
            self._tell(now)
        while self._inbox:
            self._hear(self._inbox.popleft())
        if over != self._ended or now - self._saved >= SAVE_S:
            self._save(self.story.compact())
            self._saved = now
        if over and not self._ended and not self._viewed:
            self._headless(self.story)
        self._ended = over
        with self._lock:
            if over and not self._inbox:
                self._thread = None
                return False
        return True

    def _tell(self, now: float) -> None:
        start = len(self.story.losses)
        delta = self.story.read()
        if delta is None and now - self._spoke >= HEARTBEAT_S:
            delta = self.story.delta(start)
        if delta is None:
            return
        answered = {note["id"] for note in delta["notes"]}
        self._waiting = {
            id: until for id, until in self._waiting.items() if id not in answered and until > now
        }
        self._spoke = now
        if self._viewed:
            self._send(delta, [self.story.losses[start:].tobytes()])

    def _hear(self, message: dict[str, Any]) -> None:
        story = self.story
        if message["type"] == "hello":
            self._viewed = True
            content = {"type": "snapshot", "view": message["view"], "state": story.snapshot()}
            self._send(content, [story.losses.tobytes()])
        elif message["type"] == "expect":
            self._waiting[message["id"]] = monotonic() + PATIENCE_S
        elif message["type"] == "refused":
            note = story.refuse(message["command"], message["id"], message["reason"])
            self._send(story.delta(len(story.losses), notes=[note]), [b""])
