"""Events: what really happened, in the order in which it happened. Never edited, only appended.

`tick` counts the steps taken and never goes back; `step` is the position in training, and goes back on
a rewind; `branch` names the timeline. A command applied at tick t acts before step t + 1. A twin's
events carry the tick of the step that they accompany, and the twin's own step and branch.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .commands import Command
from .state import RunState


class Event:
    __slots__ = ()
    kind: ClassVar[str]
    tick: int
    step: int
    branch: str

    def to_json(self) -> dict[str, Any]:
        values = {k: v for k, v in asdict(self).items() if k != "command"}  # type: ignore[call-overload]
        if (done := getattr(self, "command", None)) is not None:
            values["command"] = done.to_json()
        return {"kind": self.kind} | values


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """One optimizer step was taken. loss: the batch's mean training loss, before the step, without the
    further terms; terms: the value of each term that counts (weight above 0), unweighted."""

    kind: ClassVar[str] = "step_done"
    tick: int
    step: int
    branch: str
    loss: float
    terms: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Evaluated(Event):
    """The run was measured on a split, in eval mode. metrics: name → value; of a classification
    "accuracy", 0 … 1, and "loss", the mean over the split."""

    kind: ClassVar[str] = "evaluated"
    tick: int
    step: int
    branch: str
    split: str
    metrics: dict[str, float]

    @property
    def accuracy(self) -> float:
        """0 … 1; NaN for what has no accuracy."""
        return self.metrics.get("accuracy", math.nan)

    @property
    def loss(self) -> float:
        return self.metrics.get("loss", math.nan)


@dataclass(frozen=True, slots=True)
class Metered(Event):
    """A meter of the session's was read, in eval mode. value: a finite number, in the meter's unit."""

    kind: ClassVar[str] = "metered"
    tick: int
    step: int
    branch: str
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Applied(Event):
    """A command was applied; tick, step and branch are those after it (a `Rewind` has the step
    where the run now is), and so is the state, whole: nobody has to work out what a command does.
    trainable_*: number of parameters that train."""

    kind: ClassVar[str] = "applied"
    tick: int
    step: int
    branch: str
    command: Command
    id: str | None
    trainable_before: int
    trainable_after: int
    state: RunState

    @property
    def lrs(self) -> dict[str, float]:
        """The rate of each group that trains."""
        return self.state.lrs

    @property
    def frozen(self) -> tuple[str, ...]:
        return self.state.frozen


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """Did it bite? How far each group's weights went since tick `since`: ‖w − w₀‖ / ‖w₀‖."""

    kind: ClassVar[str] = "moved"
    tick: int
    step: int
    branch: str
    since: int
    moved: dict[str, float]


@dataclass(frozen=True, slots=True)
class Norms(Event):
    """How hard each group is pulled, and how far it has come. grad: ‖g‖₂ of the last step's gradient, of
    the groups that train; moved: ‖w − w₀‖ / ‖w₀‖ since the beginning of the run (for what was added
    later: since then); lrs: rates now, told where a schedule of somebody else's turns them. Measured as
    often as half a percent of the run's time allows."""

    kind: ClassVar[str] = "norms"
    tick: int
    step: int
    branch: str
    grad: dict[str, float]
    moved: dict[str, float]
    lrs: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Saved(Event):
    """A bookmark was set here. mb: memory that its snapshot alone holds, in 10⁶ bytes."""

    kind: ClassVar[str] = "saved"
    tick: int
    step: int
    branch: str
    name: str
    mb: float


@dataclass(frozen=True, slots=True)
class Branched(Event):
    """A timeline begins at `step` of `parent`: a branch that is trained from here on, or (control) an
    untouched twin that trains beside."""

    kind: ClassVar[str] = "branched"
    tick: int
    step: int
    branch: str  # the new timeline
    parent: str
    control: bool


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A command was refused, for this reason; nothing changed."""

    kind: ClassVar[str] = "refused"
    tick: int
    step: int
    branch: str
    command: Command
    id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The run is over. reason: "done" (all steps taken) or "stopped". seconds: spent in all."""

    kind: ClassVar[str] = "finished"
    tick: int
    step: int
    branch: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """Training raised. error: one line; traceback: the whole."""

    kind: ClassVar[str] = "failed"
    tick: int
    step: int
    branch: str
    error: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something that does not stop the run, and that somebody should know. text: one sentence."""

    kind: ClassVar[str] = "warned"
    tick: int
    step: int
    branch: str
    text: str


EVENTS = {
    event.kind: event
    for event in (
        StepDone, Evaluated, Metered, Applied, Moved, Norms, Saved, Branched, Refused, Finished,
        Failed, Warned,
    )
}  # fmt: skip
