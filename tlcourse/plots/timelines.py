"""Which points of a run belong to which line: the timeline that trained last with its past, the others,
the twin, and what was given up. For figures; the cockpit's `lines.js` says the same of a live run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tlcourse.session.commands import Rewind
from tlcourse.session.events import Applied, Branched, Evaluated, Event, Metered, Saved, StepDone


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
    told = _Told(limit)
    for event in events:
        told.take(event)
    return told.course()


def keep_of(steps: int) -> float:
    """How much of the past stays in the smoothed loss of a run that came so far: as in the cockpit."""
    return 1 - 1 / min(max(steps / 80, 4), 100)


@dataclass(slots=True)
class _Stream:
    """Losses in order of arrival. A cut (index, step): what came before `index` after `step` is gone.
    order: when it began, among all events."""

    parent: str | None = None
    start: int = 0
    control: bool = False
    order: int = 0
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)

    def pieces(self) -> list[tuple[int, int, bool]]:
        """(from, to, gone) in which steps rise, in order of arrival."""
        steps = np.asarray(self.steps)
        edges = [0, *(index for index, _ in self.cuts), len(steps)]
        found = []
        for k, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            limit = min((step for _, step in self.cuts[k:]), default=np.inf)
            live = low + int(np.searchsorted(steps[low:high], limit, side="right"))
            found += [
                (a, b, gone) for a, b, gone in ((low, live, False), (live, high, True)) if a < b
            ]
        return found

    def before(self, step: float, end: int) -> int:
        """Index of the last point at `step` or earlier among those before `end`, in the latest piece
        that has one; -1 if there is none."""
        edges = [0, *(index for index, _ in self.cuts if index < end), end]
        for low, high in reversed(list(zip(edges[:-1], edges[1:], strict=True))):
            if low < high and self.steps[low] <= step:
                return low + int(np.searchsorted(self.steps[low:high], step, side="right")) - 1
        return -1


def _apart(
    measured: Sequence[Evaluated | Metered],
) -> tuple[tuple[Evaluated, ...], tuple[Metered, ...]]:
    return (
        tuple(e for e in measured if isinstance(e, Evaluated)),
        tuple(e for e in measured if isinstance(e, Metered)),
    )


class _Told:
    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.streams: dict[str, _Stream] = {}
        self.now: str | None = None
        self.step = 0
        self.measured: list[tuple[int, Evaluated | Metered]] = []  # with the order of arrival
        self.hands: list[tuple[int, Applied]] = []
        self.back: list[tuple[int, Applied, int]] = []  # and when its bookmark was set
        self.rewinds: list[tuple[int, int, str]] = []
        self.bookmarks: list[Saved] = []
        self.named: dict[str, int] = {}
        self.order = 0

    def take(self, event: Event) -> None:
        self.order += 1
        if isinstance(event, StepDone):
            stream = self.streams.setdefault(event.branch, _Stream())
            stream.steps.append(event.step)
            stream.losses.append(event.loss)
            if not stream.control:
                self.now, self.step = event.branch, event.step
        elif isinstance(event, Evaluated | Metered):
            self.measured.append((self.order, event))
        elif isinstance(event, Branched):
            self.streams[event.branch] = _Stream(
                event.parent, event.step, event.control, self.order
            )
            if not event.control:
                self.now, self.step = event.branch, event.step
        elif isinstance(event, Saved):
            self.bookmarks.append(event)
            self.named[event.name] = self.order
        elif isinstance(event, Applied):
            self.hands.append((self.order, event))
            if isinstance(event.command, Rewind):
                self._rewind(event)

    def _rewind(self, event: Applied) -> None:
        self.back.append((self.order, event, self.named.get(event.command.to, 0)))
        self.rewinds.append((self.step, event.step, event.branch))
        stream = self.streams.setdefault(event.branch, _Stream())
        if stream.steps and stream.steps[-1] > event.step:
            stream.cuts.append((len(stream.steps), event.step))
        self.now, self.step = event.branch, event.step

    # -- sorting -------------------------------------------------------------------------------

    def course(self) -> Course:
        now = self.now or "main"
        reach = self._reach(now)
        twin = self._twin(reach)
        smooth = self._smooth()
        role = self._roles(reach, twin)
        path: list[tuple[str, int, int]] = []
        rest: list[Line] = []
        evaluated = [(order, e, role(order, e)) for order, e in self.measured]

        def line(name: str, kind: str, at: list[int], hangs: bool) -> Line:
            stream, steps = self.streams[name], np.asarray(self.streams[name].steps)[at]
            mine = tuple(
                e
                for _, e, r in evaluated
                if r == kind
                and e.branch == name
                and (kind != "gone" or steps[0] <= e.step <= steps[-1])
            )
            start = self._start(name, at[0], smooth) if hangs else None
            losses, calm = np.asarray(stream.losses)[at], smooth[name][at]
            return Line(name, kind, steps, losses, calm, *_apart(mine), start)

        for name, stream in self.streams.items():
            left: list[int] = []
            until = reach.get(name, -np.inf)
            for low, high, gone in stream.pieces():
                if gone or (stream.control and name != twin):
                    rest.append(line(name, "gone", list(range(low, high)), True))
                    continue
                steps = np.asarray(stream.steps[low:high])
                shared = low + int(np.searchsorted(steps, until, side="right"))
                if shared > low:
                    path.append((name, low, shared))
                left += range(shared, high)
            if left:
                rest.append(line(name, "twin" if stream.control else "other", left, True))
        path.sort(key=lambda part: self.streams[part[0]].steps[part[1]])
        lines = [self._path(now, path, smooth, evaluated), *rest]
        tip = max((max(s.steps, default=s.start) for s in self.streams.values()), default=0)
        hands = tuple((e, role(order, e, arriving=True)) for order, e in self.hands)
        return Course(
            now,
            tuple(lines),
            hands,
            tuple(self.rewinds),
            tuple(self.bookmarks),
            max(tip, self.step),
        )

    def _path(self, now: str, path: list, smooth: dict, evaluated: list) -> Line:
        """The present timeline from the first step on."""

        def joined(values: Callable[[str], Sequence[float]]) -> np.ndarray:
            parts = [np.asarray(values(name)[low:high], float) for name, low, high in path]
            return np.concatenate(parts) if parts else np.zeros(0)

        made, readings = _apart([e for _, e, r in evaluated if r == "now"])
        mine = {e.step: e for e in made if e.split == "valid"}
        others = [e for e in made if e.split != "valid"]
        read = {(e.name, e.step): e for e in readings}
        return Line(
            now,
            "now",
            joined(lambda n: self.streams[n].steps),
            joined(lambda n: self.streams[n].losses),
            joined(lambda n: smooth[n]),
            tuple(sorted((*mine.values(), *others), key=lambda e: e.step)),
            tuple(sorted(read.values(), key=lambda e: e.step)),
        )

    def _twin(self, reach: dict[str, float]) -> str | None:
        """The last control, if what it goes without is still part of the present timeline."""
        controls = [(name, stream) for name, stream in self.streams.items() if stream.control]
        if not controls:
            return None
        name, twin = controls[-1]
        undone = any(
            order > twin.order
            and back.branch in reach
            # A bookmark may be of the same step, and of a moment after it.
            and (back.step < twin.start or (back.step == twin.start and bookmarked < twin.order))
            for order, back, bookmarked in self.back
        )
        return name if not undone and reach.get(twin.parent, -np.inf) > twin.start else None

    def _reach(self, now: str) -> dict[str, float]:
        """How far each timeline is part of the present one's past."""
        reach, limit, stream = {now: np.inf}, np.inf, self.streams.get(now)
        while stream and stream.parent is not None and stream.parent not in reach:
            limit = min(limit, stream.start)
            reach[stream.parent] = limit
            stream = self.streams.get(stream.parent)
        return reach

    def _roles(self, reach: dict[str, float], twin: str | None) -> Callable[..., str]:
        def role(order: int, event: Event, arriving: bool = False) -> str:
            """arriving: what was done at a step is given up by a rewind to that very step."""
            stream = self.streams.get(event.branch)
            rewound = any(
                at > order
                and back.branch == event.branch
                and (back.step < event.step or (arriving and back.step == event.step))
                for at, back, _ in self.back
            )
            if isinstance(getattr(event, "command", None), Rewind):
                return "now"
            if rewound:
                return "gone"
            if stream and stream.control:
                return "twin" if event.branch == twin else "gone"
            limit = reach.get(event.branch, -np.inf)
            own = limit == np.inf
            return (
                "now"
                if own or event.step < limit or (not arriving and event.step == limit)
                else "other"
            )

        return role

    # -- smoothing -----------------------------------------------------------------------------

    def _smooth(self) -> dict[str, np.ndarray]:
        """Exponential means, looking back only: a centred one would show an intervention's effect
        before the intervention. After a rewind, and at the start of a branch, they go on from what they
        were there."""
        keep = keep_of(max((max(s.steps, default=0) for s in self.streams.values()), default=0))
        means: dict[str, np.ndarray] = {}
        weights: dict[str, np.ndarray] = {}
        for name, stream in self.streams.items():
            mean, weight = np.full(len(stream.steps), np.nan), np.zeros(len(stream.steps))
            means[name], weights[name] = mean, weight
            begins = {0, *(index for index, _ in stream.cuts)}
            total = held = 0.0
            for i, loss in enumerate(stream.losses):
                if i in begins:
                    owner, at = self._previous(name, i)
                    held = weights[owner][at] if owner else 0.0
                    total = held * np.nan_to_num(means[owner][at]) if owner else 0.0
                if np.isfinite(loss):
                    counted = min(loss, self.limit)
                    total, held = keep * total + (1 - keep) * counted, keep * held + (1 - keep)
                    mean[i] = total / held
                weight[i] = held
        return means

    def _previous(self, name: str | None, index: int) -> tuple[str | None, int]:
        """The point that comes before the one at `index`, which begins a piece."""
        stream = self.streams[name]
        step = stream.steps[index] - 1
        while name is not None:
            at = stream.before(step, index)
            if at >= 0:
                return name, at
            step, name = min(step, stream.start), stream.parent
            if name not in self.streams:
                return None, -1
            stream = self.streams[name]
            index = len(stream.steps)
        return None, -1

    def _start(self, name: str, index: int, smooth: dict) -> tuple[float, float] | None:
        stream = self.streams[name]
        if index and stream.steps[index - 1] == stream.steps[index] - 1:
            owner, at = name, index - 1
        else:
            owner, at = self._previous(name, index)
        if owner is None or not np.isfinite(smooth[owner][at]):
            return None
        return float(self.streams[owner].steps[at]), float(smooth[owner][at])
