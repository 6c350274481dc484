"""Showing fetches: on a terminal a row for each card, elsewhere plain lines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tlcourse.cards import Card
from tlcourse.supply.download.http import BLOCK
from tlcourse.supply.estimate import Need
from tlcourse.supply.many import Outcome
from tlcourse.supply.progress import Progress, Tell
from tlcourse.supply.readable import size, summary

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

VERBS = {"verify": "verifying", "download": "downloading", "unpack": "unpacking"}
TellOf = Callable[[str, Progress], None]  # a card's name, and its progress
Done = Callable[[Outcome], None]


@contextmanager
def shown(card: Card) -> Iterator[Tell]:
    """Show one card's fetch on stderr until the block ends; yields what takes its progress."""
    print(f"Fetching {card.name}: {card.title} ({summary(card)})", file=sys.stderr)
    if not sys.stderr.isatty():
        yield lambda progress: _note("", progress)
        return
    with _bars([Need(card)]) as (rows, tell):
        yield lambda progress: tell(card.name, progress)
        rows.done(card.name, True)


@contextmanager
def board(lacking: Sequence[Need]) -> Iterator[tuple[TellOf, Done]]:
    """Show many fetches until the block ends; yields what takes their progress and outcomes.

    Each outcome's line goes to stdout, or to stderr if the card was not fetched.
    """
    if not sys.stderr.isatty():
        yield lambda name, progress: _note(f"{name}: ", progress), _say
        return
    outcomes: list[Outcome] = []
    with _bars(lacking) as (rows, tell):

        def done(outcome: Outcome) -> None:
            rows.done(outcome.card.name, outcome.error is None)
            outcomes.append(outcome)

        yield tell, done
    for outcome in outcomes:
        _say(outcome)


def announcement(lacking: Sequence[Need], free: int, home: str) -> str:
    """One line before it begins: `Fetching 2 cards: 25.1 MB to come, 67.2 GB free in …`."""
    what = "1 card" if len(lacking) == 1 else f"{len(lacking)} cards"
    about = "" if all(need.exact for need in lacking) else "about "
    come = size(sum(need.to_come for need in lacking))
    return f"Fetching {what}: {about}{come} to come, {size(free)} free in {home}"


def line(outcome: Outcome) -> str:
    """How one card ended."""
    if outcome.error is None:
        return f"{outcome.card.name}: fetched, every byte verified · {outcome.folder}"
    return f"{outcome.card.name}: not fetched. {outcome.error}"


def _say(outcome: Outcome) -> None:
    print(line(outcome), file=sys.stderr if outcome.error else sys.stdout, flush=True)


def _note(prefix: str, progress: Progress) -> None:
    if progress.step == "note":
        print(f"{prefix}{progress.what}", file=sys.stderr, flush=True)


@contextmanager
def _bars(lacking: Sequence[Need]) -> Iterator[tuple[_Rows, TellOf]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.fields[mark]} {task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=console, redirect_stdout=False) as bars:
        rows = _Rows(bars, lacking)

        def tell(name: str, progress: Progress) -> None:
            if progress.step == "note":
                console.print(f"[yellow]![/] {name}: {escape(progress.what)}")
            else:
                rows.tell(name, progress)

        yield rows, tell


@dataclass
class _Rows:
    """The rows of the display; several threads update them. With many cards, the first is a total."""

    bars: Bars
    lacking: Sequence[Need]
    tasks: dict[str, int] = field(default_factory=dict)
    received: dict[str, _Received] = field(default_factory=dict)
    good: int = 0
    failed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.width = max(len(need.card.name) for need in self.lacking)
        self.expected = sum(need.to_come for need in self.lacking)
        self.all = None
        if len(self.lacking) > 1:
            self.all = self.bars.add_task(self._title(), total=self.expected or None, mark="·")

    def tell(self, name: str, progress: Progress) -> None:
        with self.lock:
            self.bars.update(
                self._task(name),
                description=f"{name:<{self.width}} {VERBS[progress.step]:<11}",
                completed=progress.done,
                total=progress.total,
            )
            if progress.step in ("download", "unpack"):
                self.received.setdefault(name, _Received()).tell(progress)
                self._count()

    def done(self, name: str, good: bool) -> None:
        with self.lock:
            self.good, self.failed = self.good + good, self.failed + (not good)
            mark, word = ("[green]✓[/]", "verified") if good else ("[red]✗[/]", "failed")
            task = self._task(name)
            self.bars.update(task, description=f"{name:<{self.width}} {word:<11}", mark=mark)
            self.bars.stop_task(task)
            self._count()

    def _task(self, name: str) -> int:
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task("", total=None, mark="·")
        return self.tasks[name]

    def _count(self) -> None:
        if self.all is None:
            return
        got = sum(one.bytes for one in self.received.values())
        complete = self.good + self.failed == len(self.lacking)
        total = got if complete else max(self.expected, got)  # the estimate may be too low or high
        mark = "·" if not complete else "[red]✗[/]" if self.failed else "[green]✓[/]"
        self.bars.update(
            self.all, description=self._title(), completed=got, total=total or None, mark=mark
        )

    def _title(self) -> str:
        return f"{f'{self.good} of {len(self.lacking)} cards':<{self.width + 12}}"


@dataclass
class _Received:
    """Bytes received for one card in this call, over all its downloads. (A resume begins above 0.)"""

    earlier: int = 0
    step: str = ""
    what: str = ""
    began: int = 0
    done: int = 0

    @property
    def bytes(self) -> int:
        return self.earlier + self.done - self.began

    def tell(self, progress: Progress) -> None:
        unpacked = progress.step == "unpack"
        if unpacked and (self.step, self.what) == ("download", progress.what):
            return  # counted as it was downloaded; only a mirror folder's archive was not
        if progress.what != self.what or progress.done < self.done:
            self.earlier = self.bytes
            # The first block is in `done` already, so where the download began is off by one block.
            self.began = 0 if unpacked else max(0, progress.done - BLOCK)
            self.step, self.what = progress.step, progress.what
        self.done = progress.done
