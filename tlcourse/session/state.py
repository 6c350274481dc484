"""What a run is at a moment, apart from its weights: its groups, its loss terms, its augmentation."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class GroupState:
    """One parameter group. parameters: how many; lr: its rate (a frozen group's is the one it gets when
    it is unfrozen); depth: 0 at the input; kind: "layers" or "adapter" (a LoRA, then scale is its
    scale); stats: whether its BatchNorm statistics stand still when frozen, None without BatchNorm."""

    name: str
    parameters: int
    trainable: bool
    lr: float
    depth: int
    kind: str = "layers"
    stats: bool | None = True
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """groups: input first; weights: of each further term of the loss; augment: strength of augmentation,
    0 … 1, None where nothing can be augmented."""

    groups: tuple[GroupState, ...]
    weights: dict[str, float] = field(default_factory=dict)
    augment: float | None = None

    @property
    def lrs(self) -> dict[str, float]:
        """The rate of each group that trains."""
        return {group.name: group.lr for group in self.groups if group.trainable}

    @property
    def frozen(self) -> tuple[str, ...]:
        return tuple(group.name for group in self.groups if not group.trainable)


def state_from_json(values: dict[str, Any]) -> RunState:
    """The state that `dataclasses.asdict` took apart. Raises KeyError or TypeError for anything else."""
    groups = tuple(GroupState(**group) for group in values["groups"])
    return RunState(groups, dict(values["weights"]), values["augment"])


def state_from_rates(lrs: dict[str, float], frozen: list[str]) -> RunState:
    """Of an autosave from before `Applied` carried the state: rates and names, and no more is known."""
    groups = [GroupState(name, 0, True, lr, depth) for depth, (name, lr) in enumerate(lrs.items())]
    return RunState((*(GroupState(name, 0, False, 0.0, 0) for name in frozen), *groups))
