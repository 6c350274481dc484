"""Which points of a run belong to which line: the timeline that trained last with its past, the others,
the twin, and what was given up, after the rule of time in `session/timelines/paths.py`. For figures; the
cockpit's `lines.js` says the same of a live run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlcourse.session.commands import Rewind
from tlcourse.session.events import Applied, Branched, Evaluated, Event, Metered, Saved, StepDone
from tlcourse.session.timelines.paths import Paths, Stretch


@dataclass(frozen=True, slots=True)
class Line:
    """role: "now" (the timeline that trained last, with its past in others), "other", "twin" (the last
    control, while what it goes without is part of "now") or "gone" (given up by a rewind, or another
    control).

    steps, losses, smooth: (n,) in rising steps; evaluations, readings: those made on it, and what the
    meters read. A line that leaves
    another one begins with the point where it leaves (start), which is not counted in `losses`.
    """

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
    """lines: the present one first; hands: what was applied, with the role of the line on which it was;
    rewinds: (from step, to step, branch); tip: the last step that was ever taken."""

    now: str
    lines: tuple[Line, ...]
    hands: tuple[tuple[Applied, str], ...]
    rewinds: tuple[tuple[int, int, str], ...]
    bookmarks: tuple[Saved, ...]
    tip: int

    def of(self, role: str) -> list[Line]:
        return [line for line in self.lines if line.role == role]


def course_of(events: Sequence[Event], limit: float = np.inf) -> Course:
    """Sort the events of one run. limit: a loss above it counts as that in the smoothed curve, so that
    one explosion does not lift all that follows."""
    return _Sorted(events, limit).course()


def keep_of(steps: int) -> float:
    """How much of the past stays in the smoothed loss of a run that came so far: as in the cockpit."""
    return 1 - 1 / min(max(steps / 80, 4), 100)


class _Sorted:
    """The stretches of a run, each with its points, and which of them belong to what."""

    def __init__(self, events: Sequence[Event], limit: float) -> None:
        self.events, self.limit = events, limit
        first = next((e.branch for e in events if isinstance(e, StepDone | Evaluated)), "main")
        self.paths = Paths(events, first)
        self.points = {
            s: [k for k, at in enumerate(s.at) if isinstance(events[at], StepDone)]
            for s in self.paths.stretches
        }
        self.smooth = self._smooth()

    def course(self) -> Course:
        paths = self.paths
        present = dict(paths.line(paths.now))
        twin = self._twin(present)
        lines: list[tuple[int, Line]] = []  # each with the index of its first event

        def add(name: str, role: str, parts: list[tuple[Stretch, int, int]]) -> None:
            if begun := [s.at[own[0]] for s, *ends in parts if (own := self._between(s, *ends))]:
                lines.append((begun[0], self._part(name, role, parts)))

        covered, others = dict(present), set()
        for name, tip in paths.tips.items():
            if tip.control:
                continue
            parts = [(s, covered.get(s, 0), count) for s, count in paths.line(name)]
            add(name, "other", parts)
            for stretch, low, high in parts:
                others.update(stretch.at[low:high])
                covered[stretch] = max(low, high)
        for stretch in paths.stretches:
            low = 0 if stretch.control else covered.get(stretch, 0)
            part = (stretch, low, len(stretch.at))
            add(stretch.branch, "twin" if stretch is twin else "gone", [part])
        now = {at for stretch, count in present.items() for at in stretch.at[:count]}

        def role(at: int, event: Applied) -> str:
            if at in now or isinstance(event.command, Rewind):
                return "now"
            return "other" if at in others else "gone"

        events = self.events
        hands = [(e, role(at, e)) for at, e in enumerate(events) if isinstance(e, Applied)]
        rewinds, step = [], 0
        for event in events:
            if isinstance(event, Applied) and isinstance(event.command, Rewind):
                rewinds.append((step, event.step, event.branch))
            control = event.branch in paths.tips and paths.tips[event.branch].control
            if isinstance(event, StepDone | Applied | Branched) and not control:
                step = event.step
        tip = max((e.step for e in events), default=0)
        bookmarks = tuple(e for e in events if isinstance(e, Saved))
        first = self._line(paths.now, "now", list(present.items()))
        rest = [line for _, line in sorted(lines, key=lambda one: one[0])]
        return Course(paths.now, (first, *rest), tuple(hands), tuple(rewinds), bookmarks, tip)

    def _twin(self, present: dict[Stretch, int]) -> Stretch | None:
        """The last control, if what it goes without is still part of the present timeline."""
        controls = [s for s in self.paths.stretches if s.control]
        if not controls:
            return None
        last = controls[-1]
        return last if present.get(last.parent, 0) > last.root else None

    def _between(self, stretch: Stretch, low: int, high: int) -> list[int]:
        return [k for k in self.points[stretch] if low <= k < high]

    def _line(self, name: str, role: str, way: list[tuple[Stretch, int]]) -> Line:
        line = self._part(name, role, [(stretch, 0, count) for stretch, count in way])
        mine = {e.step: e for e in line.evaluations if e.split == "valid"}
        others = [e for e in line.evaluations if e.split != "valid"]
        read = {(e.name, e.step): e for e in line.readings}
        return replace(
            line,
            start=None,
            evaluations=tuple(sorted((*mine.values(), *others), key=lambda e: e.step)),
            readings=tuple(sorted(read.values(), key=lambda e: e.step)),
        )

    def _part(self, name: str, role: str, parts: list[tuple[Stretch, int, int]]) -> Line:
        """A line of what lies between two places of each stretch."""
        at = [
            (stretch, k) for stretch, low, high in parts for k in self._between(stretch, low, high)
        ]
        made = [self.events[i] for stretch, low, high in parts for i in stretch.at[low:high]]
        steps = [self.events[stretch.at[k]] for stretch, k in at]
        return Line(
            name,
            role,
            np.asarray([e.step for e in steps], float),
            np.asarray([e.loss for e in steps], float),
            np.asarray([self.smooth[stretch.at[k]][0] for stretch, k in at], float),
            tuple(e for e in made if isinstance(e, Evaluated)),
            tuple(e for e in made if isinstance(e, Metered)),
            self._start(*at[0]) if at else None,
        )

    # -- smoothing -----------------------------------------------------------------------------

    def _smooth(self) -> dict[int, tuple[float, float]]:
        """Index of each step → its exponential mean, and the mean's weight. It looks back only: a
        centred one would show an intervention's effect before the intervention. A stretch goes on
        from what the mean was where it begins."""
        keep = keep_of(max((e.step for e in self.events if isinstance(e, StepDone)), default=0))
        smooth: dict[int, tuple[float, float]] = {}
        for stretch in self.paths.stretches:
            before = self._before(stretch, 0)
            mean, weight = (0.0, 0.0) if before is None else smooth[before]
            total = weight * np.nan_to_num(mean)
            for k in self.points[stretch]:
                loss, mean = self.events[stretch.at[k]].loss, np.nan
                if np.isfinite(loss):
                    counted = min(loss, self.limit)
                    total, weight = keep * total + (1 - keep) * counted, keep * weight + (1 - keep)
                    mean = total / weight
                smooth[stretch.at[k]] = (mean, weight)
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
        if before is None or not np.isfinite(self.smooth[before][0]):
            return None
        return float(self.events[before].step), float(self.smooth[before][0])
