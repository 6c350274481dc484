"""Showing a fetch: a bar where there is a terminal, one line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tlcourse.cards import Card
from tlcourse.supply.progress import Progress, Tell

VERBS = {"verify": "verifying", "download": "downloading", "unpack": "unpacking"}


def size(count: int) -> str:
    """Bytes for people, in powers of 1000 as disks are sold.

    >>> size(20983907)
    '21.0 MB'
    """
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def brief(sha256: str) -> str:
    """The beginning of a hash: enough to tell two apart in a sentence that a person reads.

    >>> brief("5d31" * 16)
    '5d315d315d31…'
    """
    return f"{sha256[:12]}…"


def summary(card: Card) -> str:
    """`1,440 files, 21.0 MB`."""
    plural = "s" if len(card.files) > 1 else ""
    return f"{len(card.files):,} file{plural}, {size(card.bytes)}"


@contextmanager
def shown(card: Card) -> Iterator[Tell]:
    """A `Tell` that shows what it hears on stderr, for as long as the block lasts.

    It begins with one line: what is fetched, and how much that is.
    """
    if sys.stderr.isatty():
        with _bar(card) as tell:
            yield tell
        return
    print(f"Fetching {card.name}: {card.title} ({summary(card)})", file=sys.stderr)
    yield _say


def _say(progress: Progress) -> None:
    if progress.step == "note":
        print(progress.what, file=sys.stderr)


@contextmanager
def _bar(card: Card) -> Iterator[Tell]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    console = Console(stderr=True, highlight=False)
    console.print(f"Fetching [bold]{card.name}[/]: {escape(card.title)} ({summary(card)})")
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[tuple[str, str], int] = {}

        def tell(progress: Progress) -> None:
            if progress.step == "note":
                console.print(f"[yellow]![/] {escape(progress.what)}")
                return
            # Files are verified by the thousand: one bar for all of them.
            what = "" if progress.step == "verify" else f" {_shorten(progress.what)}"
            key = (progress.step, what)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{VERBS[progress.step]}{what}", total=progress.total)
            bars.update(tasks[key], completed=progress.done, total=progress.total)

        yield tell


def _shorten(name: str, width: int = 22) -> str:
    return name if len(name) <= width else f"{name[: width - 8]}…{name[-7:]}"
