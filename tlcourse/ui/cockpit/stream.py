"""The losses of one stretch of training: as they come in, as they travel, and thinned for keeping."""

import math
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tlcourse.session.eventlog import EventLog
from tlcourse.session.timelines.paths import Stretch


@dataclass(slots=True)
class Stream:
    """Losses in order. Steps count up by one except where `jumps` says (index, step), so a loss travels
    as four bytes.

    root: the last point before this stretch, as (its stream, how many of that one's points are shared);
    None at the beginning of the run. begins: the step there. seen: how many of the stretch's events were
    read. first: the first loss that is a number; lost: the step since which the loss is not a number, if
    it still is; done: the last step's index among the run's events.
    """

    id: int
    stretch: Stretch
    root: tuple[int, int] | None = None
    begins: int = 0
    losses: array = field(default_factory=lambda: array("f"))
    jumps: list[tuple[int, int]] = field(default_factory=list)
    seen: int = 0
    last: int = -1
    first: float = math.nan
    lost: int | None = None
    done: int | None = None

    def take(self, log: EventLog) -> None:
        """Read what the stretch has got since the last call. log: of the run."""
        stretch, n = self.stretch, len(self.losses)
        others = stretch.others[bisect_left(stretch.others, self.seen) :]
        for low, high in zip(
            [self.seen, *(k + 1 for k in others)], [*others, len(stretch.at)], strict=True
        ):
            if low < high:
                self._steps(*log.rows(stretch.at[low:high]))
                self.done = stretch.at[high - 1]
        self.seen = len(stretch.at)
        new = self.losses[n:]
        if not math.isfinite(sum(new)):
            self._lose(n)
        elif new:
            self.lost = None
        if math.isnan(self.first):
            self.first = next(filter(math.isfinite, new), math.nan)

    def _steps(self, steps: array, losses: array) -> None:
        """Steps in a row; as they rise, the first and the last tell whether one is missing."""
        n, first = len(self.losses), self.last + 1
        if self.last < 0 or steps[0] != first or steps[-1] != self.last + len(steps):
            for k, (before, step) in enumerate(pairwise([self.last, *steps])):
                if step != before + 1 or before < 0:
                    self.jumps.append((n + k, step))
        self.losses.extend(losses.tolist())
        self.last = steps[-1]

    def _lose(self, n: int) -> None:
        """Note from which step on the loss is not a number. n: losses that were looked at before."""
        x, y = self.curve()
        bad = ~np.isfinite(y)
        if not bad[-1]:
            self.lost = None
        elif self.lost is None or not bad[n:].all():
            self.lost = int(x[np.flatnonzero(~bad)[-1] + 1 if (~bad).any() else 0])

    def points(self, count: int) -> int:
        """How many of the stretch's first `count` events are steps."""
        return count - bisect_left(self.stretch.others, count)

    def mark(self) -> tuple[int, int]:
        """How long it is now; `told` tells what came after."""
        return len(self.losses), len(self.jumps)

    def told(self, since: tuple[int, int] | None = None) -> dict[str, Any]:
        """Everything but the losses: since a `mark`, or from the beginning."""
        n, jumps = since or (0, 0)
        news = {"id": self.id, "from": n, "jumps": self.jumps[jumps:]}
        return news if since else {**news, **self.about()}

    def about(self) -> dict[str, Any]:
        return {"branch": self.stretch.branch, "root": self.root, "control": self.stretch.control}

    def bytes_from(self, n: int = 0) -> bytes:
        return self.losses[n:].tobytes()

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """(steps, losses), copies of the whole: float32, (N,)."""
        y = np.array(self.losses, dtype=np.float32)
        x = np.arange(len(y), dtype=np.float32)
        for index, step in self.jumps:
            x[index:] += step - x[index]  # steps count up by one from here
        return x, y

    def kept(self, points: int, edges: set[int]) -> np.ndarray:
        """Indices of about `points` points worth keeping, each part between two edges thinned by
        itself, so that a line's first and last points stay."""
        n = len(self.losses)
        y = np.frombuffer(self.losses, dtype=np.float32) if n else np.zeros(0, np.float32)
        cuts = sorted({0, n, *(edge for edge in edges if 0 < edge < n)})
        keep = [
            low + thin(y[low:high], max(8, points * (high - low) // max(1, n)))
            for low, high in zip(cuts[:-1], cuts[1:], strict=True)
        ]
        return np.concatenate(keep) if keep else np.zeros(0, dtype=int)


def thin(y: np.ndarray, points: int) -> np.ndarray:
    """Indices of at most `points` of a curve: the lowest and highest of each bin."""
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


def rounded(values: np.ndarray) -> list[float | None]:
    """Four digits, or None: JSON has no NaN."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]
