"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass

MARKS = {"ok": "✓", "warning": "!", "blocks": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and, if it is in the way, what to do.

    id: the stable key in `tlcourse doctor --json`. blocks: the course cannot run as things are.
    """

    id: str
    what: str
    seen: str
    cure: str | None = None
    blocks: bool = False

    @property
    def status(self) -> str:
        return "blocks" if self.blocks else "warning" if self.cure else "ok"

    def line(self) -> str:
        """For a person: a mark, what, seen, and the cure."""
        return f"{MARKS[self.status]} {self.what:<12} {self.seen}" + (
            f": {self.cure}" if self.cure else ""
        )

    def row(self) -> dict[str, str | None]:
        """For a program."""
        return {
            "id": self.id,
            "what": self.what,
            "status": self.status,
            "seen": self.seen,
            "cure": self.cure,
        }
