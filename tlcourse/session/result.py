"""The result of a run, computed from its events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .events import Evaluated, Event, Finished, Metered, StepDone
from .timelines.paths import Paths

Series = list[tuple[int, float]]


@dataclass(frozen=True, slots=True, repr=False)
class Course:
    """One timeline from step 0 to its end, including its past on its parent, but not what rewinds
    discarded. losses: (steps,) float64; control: a twin without the intervention; meters: (step, value)
    pairs by name of meter."""

    losses: np.ndarray
    evaluations: tuple[Evaluated, ...]
    control: bool = False
    meters: dict[str, Series] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """On test data, 0 … 1; None if it was not measured."""
        return self._last("test")

    @property
    def valid_accuracy(self) -> float | None:
        return self._last("valid")

    def curve(self, split: str = "valid") -> tuple[np.ndarray, np.ndarray]:
        """(steps, accuracies) of a split, each (n,)."""
        points = [(e.step, e.accuracy) for e in self.evaluations if e.split == split]
        array = np.asarray(points, dtype=float).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def _last(self, split: str) -> float | None:
        return next((e.accuracy for e in reversed(self.evaluations) if e.split == split), None)

    def __repr__(self) -> str:
        test = self.accuracy
        last, split = (self.valid_accuracy, "validation") if test is None else (test, "test")
        shown = "" if last is None else f": {last:.1%} on {split} data"
        return f"<Course of {len(self.losses)} steps{', control' if self.control else ''}{shown}>"


@dataclass(frozen=True, slots=True)
class Result:
    """accuracy, valid_accuracy: 0 … 1 at the end, on test and validation data (None without such a
    split); steps, losses, evaluations: of the last trained timeline; seconds: total, evaluations
    included; timelines: every timeline by name, including twins; meters: (step, value) pairs by name of
    meter, on the last trained timeline."""

    accuracy: float | None
    valid_accuracy: float | None
    steps: int
    seconds: float
    reason: str
    losses: np.ndarray
    evaluations: tuple[Evaluated, ...]
    timelines: dict[str, Course] = field(default_factory=dict)
    meters: dict[str, Series] = field(default_factory=dict)

    def curve(self, split: str = "valid") -> tuple[np.ndarray, np.ndarray]:
        """(steps, accuracies) of a split, each (n,)."""
        return Course(self.losses, self.evaluations).curve(split)

    def __repr__(self) -> str:
        shown = "no test data" if self.accuracy is None else f"{self.accuracy:.1%} on test"
        return f"<Result {self.reason} after {self.steps} steps: {shown}>"


def courses(events: Sequence[Event]) -> dict[str, Course]:
    """Every timeline by name, without what rewinds discarded."""
    paths = Paths(events)
    made = {}
    for name, tip in paths.tips.items():
        line = list(paths.events(name))
        made[name] = Course(
            np.asarray([e.loss for e in line if isinstance(e, StepDone)], dtype=float),
            tuple(e for e in line if isinstance(e, Evaluated)),
            tip.control,
            _series(e for e in line if isinstance(e, Metered)),
        )
    return made


def _series(read: Iterable[Metered]) -> dict[str, Series]:
    made: dict[str, Series] = {}
    for event in read:
        made.setdefault(event.name, []).append((event.step, event.value))
    return made


def result_of(events: Sequence[Event], meters: Iterable[str] = ()) -> Result:
    """events: of a run that has ended. meters: names to include even without readings."""
    finished = next(e for e in reversed(events) if isinstance(e, Finished))
    timelines = courses(events)
    last = timelines[finished.branch]
    return Result(
        accuracy=last.accuracy,
        valid_accuracy=last.valid_accuracy,
        steps=len(last.losses),
        seconds=finished.seconds,
        reason=finished.reason,
        losses=last.losses,
        evaluations=last.evaluations,
        timelines=timelines,
        meters={name: [] for name in meters} | last.meters,
    )
