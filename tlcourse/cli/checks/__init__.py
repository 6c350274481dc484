"""The checks of `tlcourse doctor`: each returns findings, and a finding says what to do."""

from __future__ import annotations

from dataclasses import dataclass

MARKS = {"ok": "✓", "warning": "!", "blocks": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was checked, what was found, and, if it is a problem, what to do.

    id: the stable key in `tlcourse doctor --json`. blocks: the course cannot run at all.
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
        """For a terminal: a mark, what, seen, and the cure."""
        return f"{MARKS[self.status]} {self.what:<12} {self.seen}" + (
            f": {self.cure}" if self.cure else ""
        )

    def row(self) -> dict[str, str | None]:
        """For `--json`."""
        return {
            "id": self.id,
            "what": self.what,
            "status": self.status,
            "seen": self.seen,
            "cure": self.cure,
        }
