"""One timeline's losses as they come in, and thinned for keeping."""

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(slots=True)
class Stream:
    """Losses in order of arrival. Steps count up by one, but where `jumps` says (index, step), so that a
    loss travels as four bytes. A cut (index, step): the run was wound back, and what came before that
    index at that step or later is given up. after: so many notes had been taken when it began."""

    name: str
    parent: str | None = None
    start: int = 0
    control: bool = False
    after: int = 0
    losses: array = field(default_factory=lambda: array("f"))
    jumps: list[tuple[int, int]] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)
    last: int = -1

    def add(self, step: int, loss: float) -> None:
        if step != self.last + 1 or self.last < 0:
            self.jumps.append((len(self.losses), step))
        self.losses.append(loss)
        self.last = step

    def cut(self, step: int) -> None:
        """The run is wound back to `step`: what came after it is given up."""
        if self.losses and self.last > step:
            self.cuts.append((len(self.losses), step + 1))

    def mark(self) -> tuple[int, int, int]:
        """How long it is now; `told` tells what came after."""
        return len(self.losses), len(self.jumps), len(self.cuts)

    def told(self, since: tuple[int, int, int] = (0, 0, 0)) -> dict[str, Any]:
        """All but the losses, since a `mark`."""
        n, jumps, cuts = since
        return {
            **self.about(),
            "from": n,
            "jumps": self.jumps[jumps:],
            "cuts": [{"index": i, "step": s} for i, s in self.cuts[cuts:]],
        }

    def about(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "parent": self.parent,
            "start": self.start,
            "control": self.control,
            "after": self.after,
        }

    def bytes_from(self, n: int = 0) -> bytes:
        return self.losses[n:].tobytes()

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """(steps, losses), copies of the whole: float32, (N,)."""
        y = np.array(self.losses, dtype=np.float32)
        x = np.arange(len(y), dtype=np.float32)
        for index, step in self.jumps:
            x[index:] += step - x[index]  # steps count up by one from here
        return x, y

    def compact(self, points: int) -> dict[str, Any]:
        """In plain JSON, with at most about `points` points: those it goes on with, and those that were
        given up, each stretch for itself."""
        x, y = self.curve()
        edges = [0, *(index for index, _ in self.cuts), len(y)]
        keep = [
            low + thin(y[low:high], max(8, points * (high - low) // max(1, len(y))))
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]
        at = np.concatenate(keep) if keep else np.zeros(0, dtype=int)
        cuts = [{"index": int(np.searchsorted(at, i)), "step": s} for i, s in self.cuts]
        kept = [round_off(value) for value in y[at]]
        return {**self.about(), "x": x[at].astype(int).tolist(), "y": kept, "cuts": cuts}


def thin(y: np.ndarray, points: int) -> np.ndarray:
    """Indices of at most `points` of a curve: the lowest and highest of each stretch."""
    n = len(y)
    if n <= points:
        return np.arange(n)
    edges = np.linspace(0, n, points // 2 + 1).astype(int)
    keep: set[int] = {0, n - 1}
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        part = y[low:high]
        if np.isfinite(part).any():
            keep |= {low + int(np.nanargmin(part)), low + int(np.nanargmax(part))}
    return np.array(sorted(keep))


def round_off(value: float) -> float | None:
    """Four digits, or None: JSON has no NaN."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
