"""Sizes and hashes as people read them."""

from __future__ import annotations

from tlcourse.cards import Card


def size(count: int) -> str:
    """Bytes in powers of 1000, as disks are sold.

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
    """The beginning of a hash: enough to tell two apart in a sentence.

    >>> brief("5d31" * 16)
    '5d315d315d31…'
    """
    return f"{sha256[:12]}…"


def summary(card: Card) -> str:
    """`1,440 files, 21.0 MB`."""
    plural = "s" if len(card.files) > 1 else ""
    return f"{len(card.files):,} file{plural}, {size(card.bytes)}"
