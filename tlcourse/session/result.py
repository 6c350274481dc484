"""What came out of a run, gathered from its events."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .events import Evaluated, Event, Finished, StepDone


@dataclass(frozen=True, slots=True)
class Result:
    """accuracy, valid_accuracy: 0 … 1 at the end, on test and validation data (None without such a
    split); losses: (steps,) float64; evaluations: in order; seconds: in all, evaluations included."""

    accuracy: float | None
    valid_accuracy: float | None
    steps: int
    seconds: float
    reason: str
    losses: np.ndarray
    evaluations: tuple[Evaluated, ...]

    def curve(self, split: str = "valid") -> tuple[np.ndarray, np.ndarray]:
        """(steps, accuracies) of a split, each (n,)."""
        points = [(e.step, e.accuracy) for e in self.evaluations if e.split == split]
        array = np.asarray(points, dtype=float).reshape(-1, 2)
        return array[:, 0], array[:, 1]

    def __repr__(self) -> str:
        shown = "no test data" if self.accuracy is None else f"{self.accuracy:.1%} on test"
        return f"<Result {self.reason} after {self.steps} steps: {shown}>"


def result_of(events: list[Event]) -> Result:
    """events: of a run that has finished."""
    finished = next(e for e in reversed(events) if isinstance(e, Finished))
    evaluations = tuple(e for e in events if isinstance(e, Evaluated))
    last = {e.split: e.accuracy for e in evaluations}
    losses: Any = [e.loss for e in events if isinstance(e, StepDone)]
    return Result(
        accuracy=last.get("test"),
        valid_accuracy=last.get("valid"),
        steps=len(losses),
        seconds=finished.seconds,
        reason=finished.reason,
        losses=np.asarray(losses, dtype=float),
        evaluations=evaluations,
    )
