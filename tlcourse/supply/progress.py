"""What a fetch reports while it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes (None: unknown) of `what`. A "note" has only its text, in `what`."""

    step: Literal["verify", "download", "unpack", "note"]
    what: str
    done: int = 0
    total: int | None = None


Tell = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report nothing."""
