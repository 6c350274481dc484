"""One display for many fetches: a row for each card under way and one for all, or plain lines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tlcourse.supply.estimate import Need
from tlcourse.supply.many import Outcome
from tlcourse.supply.progress import Progress
from tlcourse.supply.show import VERBS, size
from tlcourse.supply.transport import BLOCK

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

Tell = Callable[[str, Progress], None]
Done = Callable[[Outcome], None]


def announcement(lacking: Sequence[Need], free: int, home: str) -> str:
    """What is about to come, in one line: `Fetching 2 cards: 25.1 MB to come, 67.2 GB free in …`."""
    what = "1 card" if len(lacking) == 1 else f"{len(lacking)} cards"
    about = "" if all(need.exact for need in lacking) else "about "
    come = size(sum(need.to_come for need in lacking))
    return f"Fetching {what}: {about}{come} to come, {size(free)} free in {home}"


def line(outcome: Outcome) -> str:
    """How one card ended, for a log."""
    if outcome.error is None:
        return f"{outcome.card.name}: fetched, every byte verified · {outcome.folder}"
    return f"{outcome.card.name}: not fetched. {outcome.error}"


@contextmanager
def board(lacking: Sequence[Need]) -> Iterator[tuple[Tell, Done]]:
    """Show what is told until the block ends; each outcome's line goes to stdout or stderr."""
    if sys.stderr.isatty():
        outcomes: list[Outcome] = []
        with _bars(lacking, outcomes.append) as pair:
            yield pair
        for outcome in outcomes:
            _say(outcome)
        return

    def tell(name: str, progress: Progress) -> None:
        if progress.step == "note":
            print(f"{name}: {progress.what}", file=sys.stderr, flush=True)

    yield tell, _say


def _say(outcome: Outcome) -> None:
    print(line(outcome), file=sys.stderr if outcome.error else sys.stdout, flush=True)


@contextmanager
def _bars(lacking: Sequence[Need], keep: Done) -> Iterator[tuple[Tell, Done]]:
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

        def done(outcome: Outcome) -> None:
            rows.done(outcome)
            keep(outcome)

        yield tell, done


@dataclass
class _Rows:
    """The rows of the display, told from several threads; the first one counts for all cards."""

    bars: Bars
    lacking: Sequence[Need]
    tasks: dict[str, int] = field(default_factory=dict)
    got: dict[str, _Got] = field(default_factory=dict)
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
                self.got.setdefault(name, _Got()).tell(progress)
                self._count()

    def done(self, outcome: Outcome) -> None:
        with self.lock:
            self.good, self.failed = (
                self.good + (not outcome.error),
                self.failed + bool(outcome.error),
            )
            mark, word = ("[red]✗[/]", "failed") if outcome.error else ("[green]✓[/]", "verified")
            name = outcome.card.name
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
        got = sum(one.bytes for one in self.got.values())
        whole = self.good + self.failed == len(self.lacking)
        total = got if whole else max(self.expected, got)  # an estimate may be too low, or too high
        mark = "·" if not whole else "[red]✗[/]" if self.failed else "[green]✓[/]"
        self.bars.update(
            self.all, description=self._title(), completed=got, total=total or None, mark=mark
        )

    def _title(self) -> str:
        return f"{f'{self.good} of {len(self.lacking)} cards':<{self.width + 12}}"


@dataclass
class _Got:
    """What came for one card in this call, through all its downloads. (A resume begins above 0.)"""

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
            return  # it was counted as it came; out of a mirror's folder it comes as it is unpacked
        if progress.what != self.what or progress.done < self.done:
            self.earlier = self.bytes
            # The first block has come already: what lay there before it is not known exactly.
            self.began = 0 if unpacked else max(0, progress.done - BLOCK)
            self.step, self.what = progress.step, progress.what
        self.done = progress.done
