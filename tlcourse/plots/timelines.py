"""A run's events as lines to draw: which points lie on which line, how a loss is smoothed, how high the
axis of losses reaches, and which commands get a mark. Figures, the cockpit and its still picture share
these rules; which steps belong to which timeline is the rule of `session/timelines/paths.py`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, log2

import numpy as np

from tlcourse.session.commands import STEERING, Branch, Rewind, Stop
from tlcourse.session.events import Applied, Evaluated, Event, Metered, Saved, StepDone
from tlcourse.session.timelines.paths import Paths, Stretch, Track

MARKED = (*STEERING, Rewind, Branch, Stop)
"""Commands that change how a run goes on: each has a mark on the axis. A bookmark has its own."""
SPIKE = 1.6  # how far above the smooth curve a single loss may draw the axis
ROOM = 1.05


@dataclass(frozen=True, slots=True)
class Line:
    """role: as of a `Track`. steps, losses, smooth: (n,) in rising steps; evaluations, readings: made on
    this line. start: (step, smooth loss) of the point where it leaves another line; that point is not
    in `losses`."""

    name: str
    role: str
    steps: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    evaluations: tuple[Evaluated, ...]
    readings: tuple[Metered, ...]
    start: tuple[float, float] | None = None

    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """The smooth curve from where it leaves another."""
        if self.start is None:
            return self.steps, self.smooth
        return np.r_[self.start[0], self.steps], np.r_[self.start[1], self.smooth]


@dataclass(frozen=True, slots=True)
class Course:
    """lines: the present one first; hands: what was applied, with the role of the line it lies on;
    rewinds: (from step, to step, branch); tip: the last step ever taken; top: upper end of the loss's
    axis."""

    now: str
    lines: tuple[Line, ...]
    hands: tuple[tuple[Applied, str], ...]
    rewinds: tuple[tuple[int, int, str], ...]
    bookmarks: tuple[Saved, ...]
    tip: int
    top: float

    def of(self, role: str) -> list[Line]:
        return [line for line in self.lines if line.role == role]


# -- rules that everything shares that draws a loss ------------------------------------------------


def keep_of(steps: int) -> float:
    """How much of the past stays in the smoothed loss of a run that has come so far, 0 … 1.

    The window is about a hundredth of the run: a long curve is as calm as a short one, and follows an
    intervention. It grows in rungs, so that a live curve need not be smoothed anew at each step.
    """
    window = min(max(steps / 80, 4), 100)
    return 1 - 1 / (4 * 2 ** (floor(4 * log2(window / 4) + 1e-9) / 4))


def reach_of(first: float) -> float:
    """The highest loss worth showing in a run that began with the loss `first`: above it a run that
    explodes would press its own past flat."""
    return max(2.5 * first, 3.0) if np.isfinite(first) else 3.0


def cap_of(reach: float) -> float:
    """A higher loss counts as this in the smoothed curve, so that one explosion does not lift all that
    follows."""
    return 2 * reach


def ceiling(most: float, smooth_most: float, reach: float) -> float:
    """Upper end of the loss's axis. most: of what is drawn; smooth_most: of the smooth curves."""
    top = min(most, SPIKE * smooth_most, reach)
    return ROOM * top if top > 0 else 1.0


def smoothed(
    losses: np.ndarray, keep: float, cap: float, before: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """The exponential mean of (n,) losses. It looks back only: a centred mean would show an
    intervention's effect before the intervention.

    before: (mean, weight) of the point that this goes on from. Returns the means (n,), NaN where the
    loss is no number, and (n, 2) what to go on from after each point.
    """
    finite = np.isfinite(losses)
    mean, weight = before
    counted = np.minimum(np.asarray(losses, float)[finite], cap)
    weights = _fade(np.ones(len(counted)), keep, weight)
    found = _fade(counted, keep, mean * weight) / weights
    means = np.full(len(losses), np.nan)
    means[finite] = found
    last = np.cumsum(finite)
    return means, np.stack([np.r_[mean, found][last], np.r_[weight, weights][last]], axis=1)


def _fade(values: np.ndarray, keep: float, before: float) -> np.ndarray:
    from scipy.signal import lfilter  # a third of a second to load

    if not len(values):
        return values
    return lfilter([1 - keep], [1, -keep], values, zi=[keep * before])[0]


# -- from events to lines --------------------------------------------------------------------------


def course_of(run: Sequence[Event] | Paths) -> Course:
    """Sort the events of one run."""
    return _Sorted(run if isinstance(run, Paths) else Paths(run)).course()


class _Sorted:
    """The stretches of a run, each with its points."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.events = paths, paths.taken[: paths.count]
        self.points = {
            s: sorted(set(range(len(s.at))).difference(s.others)) for s in paths.stretches
        }
        root = paths.stretches[0]
        losses = (self.events[root.at[k]].loss for k in self.points[root])
        self.reach = reach_of(next(filter(np.isfinite, losses), np.nan))
        self.smooth = self._smooth()

    def course(self) -> Course:
        paths, events = self.paths, self.events
        first, *rest = paths.tracks()
        now = self._present(first)
        lines = (now, *(self._line(track) for track in rest if self._steps(track)))
        roles = {
            at: track.role
            for track in (first, *rest)
            for stretch, low, high in track.parts
            for at in stretch.at[low:high]
        }
        hands, rewinds = [], []
        left = {s.at[0]: s.left for s in paths.stretches if s.left is not None and s.at}
        for at, event in enumerate(events):
            if not isinstance(event, Applied):
                continue
            back = isinstance(event.command, Rewind)
            role = "now" if back else roles.get(at, "gone")
            hands.append((event, "gone" if role == "twin" else role))
            if back and (moment := left.get(at)):
                rewinds.append((paths.step(*moment), event.step, event.branch))
        tip = max((e.step for e in events), default=0)
        bookmarks = tuple(e for e in events if isinstance(e, Saved))
        return Course(
            paths.now, lines, tuple(hands), tuple(rewinds), bookmarks, tip, self._top(lines)
        )

    def _top(self, lines: Sequence[Line]) -> float:
        smooth = _most([line.smooth for line in lines if line.role != "gone"])
        return ceiling(max(_most([lines[0].losses]), smooth), smooth, self.reach)

    def _steps(self, track: Track) -> list[tuple[Stretch, int]]:
        return [(s, k) for s, low, high in track.parts for k in self._between(s, low, high)]

    def _between(self, stretch: Stretch, low: int, high: int) -> list[int]:
        return [k for k in self.points[stretch] if low <= k < high]

    def _present(self, track: Track) -> Line:
        """The present timeline: where it was measured twice at one step, the last one counts."""
        line = self._line(track)
        mine = {e.step: e for e in line.evaluations if e.split == "valid"}
        others = [e for e in line.evaluations if e.split != "valid"]
        read = {(e.name, e.step): e for e in line.readings}
        return replace(
            line,
            start=None,
            evaluations=tuple(sorted((*mine.values(), *others), key=lambda e: e.step)),
            readings=tuple(sorted(read.values(), key=lambda e: e.step)),
        )

    def _line(self, track: Track) -> Line:
        at = self._steps(track)
        made = [self.events[i] for stretch, low, high in track.parts for i in stretch.at[low:high]]
        steps = [self.events[stretch.at[k]] for stretch, k in at]
        return Line(
            track.name,
            track.role,
            np.asarray([e.step for e in steps], float),
            np.asarray([e.loss for e in steps], float),
            np.asarray([self.smooth[stretch.at[k]] for stretch, k in at], float),
            tuple(e for e in made if isinstance(e, Evaluated)),
            tuple(e for e in made if isinstance(e, Metered)),
            self._start(*at[0]) if at else None,
        )

    def _smooth(self) -> dict[int, float]:
        """Index of each step → its smoothed loss. A stretch goes on from what the mean was where it
        begins."""
        keep = keep_of(max((e.step for e in self.events if isinstance(e, StepDone)), default=0))
        smooth: dict[int, float] = {}
        held: dict[int | None, tuple[float, float]] = {None: (0.0, 0.0)}
        for stretch in self.paths.stretches:
            indices = [stretch.at[k] for k in self.points[stretch]]
            losses = np.asarray([self.events[i].loss for i in indices], float)
            begins = held[self._before(stretch, 0)]
            means, after = smoothed(losses, keep, cap_of(self.reach), begins)
            smooth |= dict(zip(indices, means.tolist(), strict=True))
            held |= dict(zip(indices, map(tuple, after.tolist()), strict=True))
        return smooth

    def _before(self, stretch: Stretch, count: int) -> int | None:
        """Index of the last step on the way to a place, among all events."""
        while True:
            if own := self._between(stretch, 0, count):
                return stretch.at[own[-1]]
            if stretch.parent is None:
                return None
            stretch, count = stretch.parent, stretch.root

    def _start(self, stretch: Stretch, k: int) -> tuple[float, float] | None:
        before = self._before(stretch, k)
        if before is None or not np.isfinite(self.smooth[before]):
            return None
        return float(self.events[before].step), self.smooth[before]


def _most(some: Sequence[np.ndarray]) -> float:
    """The highest number of all; 0 if there is none."""
    return max((float(y[np.isfinite(y)].max()) for y in some if np.isfinite(y).any()), default=0.0)
