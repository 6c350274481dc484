"""What a cockpit needs of a run, to draw and to steer it, whoever owns the run's loop."""

from dataclasses import dataclass
from typing import Protocol

from .commands import Command
from .eventlog import EventLog
from .state import GroupState, RunState


@dataclass(frozen=True, slots=True)
class TimelineState:
    """One timeline. parent, start: where it began (None, 0 for the first); step: how far it has come;
    control: an untouched twin."""

    name: str
    parent: str | None
    start: int
    step: int
    control: bool = False


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A moment with a name. mb: memory that its snapshot alone holds, in 10⁶ bytes."""

    name: str
    branch: str
    step: int
    mb: float


class Steerable(Protocol):
    """A `Session`, a loop of one's own under `steer`, or a recording that plays. Everything may be read
    from any thread during the run."""

    events: EventLog  # append only
    began: RunState  # before the first step
    viewed: bool  # whether a cockpit shows it; set by that

    @property
    def status(self) -> str:
        """ready, running, paused, finished, stopped, failed."""

    @property
    def step(self) -> int: ...

    @property
    def steps(self) -> int | None:
        """Steps planned in all; None if nobody knows."""

    @property
    def branch(self) -> str:
        """The timeline that trains now."""

    @property
    def can(self) -> frozenset[str]:
        """Kinds of the commands that this run can ever take: what a cockpit offers."""

    @property
    def groups(self) -> tuple[GroupState, ...]: ...

    @property
    def timelines(self) -> tuple[TimelineState, ...]:
        """In order of their beginning; twins too."""

    @property
    def bookmarks(self) -> tuple[Bookmark, ...]: ...

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each further term of the loss; empty if there is none."""

    @property
    def augment(self) -> float | None:
        """Strength of augmentation now, 0 … 1; None where nothing can be augmented."""

    @property
    def twin(self) -> str | None:
        """The twin that trains now; "armed" if the next intervention gets one; else None."""

    @property
    def memory(self) -> dict[str, float]:
        """In 10⁶ bytes: "process", "snapshots", and on a GPU "gpu" (allocated) and "gpu_total"."""

    def send(self, command: Command, id: str | None = None) -> None: ...

    def start(self) -> object:
        """Begin, where the run does not wait for a loop to begin it. A second call does nothing."""
