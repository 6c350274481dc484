"""The losses of one stretch of training: as they come in, as they travel, and thinned for keeping."""

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np

from tlcourse.session.events import Event, StepDone
from tlcourse.session.timelines.paths import Stretch

_loss = attrgetter("loss")


@dataclass(slots=True)
class Stream:
    """Losses in order. Steps count up by one except where `jumps` says (index, step), so a loss travels
    as four bytes.

    root: the last point before this stretch, as (its stream, how many of that one's points are shared);
    None at the beginning of the run. begins: the step there. seen: how many of the stretch's events were
    read. first: the first loss that is a number; lost: the step since which the loss is not a number, if
    it still is; done: the last step.
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
    done: StepDone | None = None

    def take(self, events: Sequence[Event]) -> None:
        """Read what the stretch has got since the last call. events: all of the run."""
        fresh = self.stretch.at[self.seen :]
        if not fresh:
            return
        part = events[fresh[0] : fresh[-1] + 1]
        if len(part) != len(fresh):  # another stretch grew beside this one: a twin
            part = [events[index] for index in fresh]
        n, others = len(self.losses), self.stretch.others
        odd = [k - self.seen for k in others[bisect_left(others, self.seen) :]]
        if odd:
            for low, high in zip([0, *(k + 1 for k in odd)], [*odd, len(part)], strict=True):
                if low < high:
                    self._steps(part[low:high])
        else:
            self._steps(part)
        self.seen += len(fresh)
        new = self.losses[n:]
        if not math.isfinite(sum(new)):
            self._lose(n)
        elif new:
            self.lost = None
        if math.isnan(self.first):
            self.first = next(filter(math.isfinite, new), math.nan)

    def _steps(self, done: list[StepDone]) -> None:
        """Steps in a row; as they rise, the first and the last tell whether one is missing."""
        n, first = len(self.losses), self.last + 1
        if self.last < 0 or done[0].step != first or done[-1].step != first + len(done) - 1:
            for k, (before, step) in enumerate(pairwise([self.last, *(e.step for e in done)])):
                if step != before + 1 or before < 0:
                    self.jumps.append((n + k, step))
        self.losses.extend(map(_loss, done))
        self.done, self.last = done[-1], done[-1].step

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
