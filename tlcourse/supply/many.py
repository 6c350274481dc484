"""Fetching many cards at once: few connections, and a card that fails stops no other."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlcourse.cards import Card
from tlcourse.errors import TLCourseError
from tlcourse.supply.bring import bring
from tlcourse.supply.progress import Progress
from tlcourse.supply.settings import Settings

CONNECTIONS = 4  # thirty learners make 120 at one server


@dataclass(frozen=True, slots=True)
class Outcome:
    """The folder with every byte verified, or the error that says why there is none."""

    card: Card
    folder: Path | None
    error: TLCourseError | None = None


class _Stopped(Exception):
    """Ends a thread that nobody waits for any more."""


def bring_all(
    cards: Sequence[Card],
    settings: Settings,
    tell: Callable[[str, Progress], None],
    done: Callable[[Outcome], None],
    *,
    connections: int = CONNECTIONS,
) -> list[Outcome]:
    """Fetch every card, `connections` at a time. Returns the outcomes in the order of `cards`.

    `tell` gets a card's name and progress, in the thread that fetches it; `done` gets each outcome,
    in the calling thread. Ctrl-C ends the wait at once; the next call resumes.
    """
    waiting = deque(cards)
    ended: queue.Queue[Outcome | BaseException] = queue.Queue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                card = waiting.popleft()
            except IndexError:
                return
            ended.put(_outcome(card, settings, tell, stop))

    for _ in range(min(connections, len(waiting))):
        # Daemons: a retry that sleeps must not delay the exit.
        threading.Thread(target=work, daemon=True, name="tlcourse-fetch").start()
    outcomes: dict[str, Outcome] = {}
    try:
        while len(outcomes) < len(cards):
            try:
                outcome = ended.get(timeout=0.5)  # Windows: no Ctrl-C in a wait without one
            except queue.Empty:
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes[outcome.card.name] = outcome
            done(outcome)
    finally:
        stop.set()
    return [outcomes[card.name] for card in cards]


def _outcome(
    card: Card,
    settings: Settings,
    tell: Callable[[str, Progress], None],
    stop: threading.Event,
) -> Outcome | BaseException:
    def relay(progress: Progress) -> None:
        if stop.is_set():
            raise _Stopped
        tell(card.name, progress)

    try:
        return Outcome(card, bring(card, settings, relay))
    except TLCourseError as error:
        return Outcome(card, None, error)
    except BaseException as error:  # a bug: raised in the calling thread
        return error
