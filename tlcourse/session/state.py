"""What a run is at a moment, apart from its weights: its groups, its loss terms, its augmentation."""

from dataclasses import asdict, dataclass, field, fields
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
    """groups: input first, none if nobody knows (in a record of format 1); weights: of each further term
    of the loss; augment: strength of augmentation, 0 … 1, None where nothing can be augmented."""

    groups: tuple[GroupState, ...]
    weights: dict[str, float] = field(default_factory=dict)
    augment: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "groups": [asdict(group) for group in self.groups],
            "weights": dict(self.weights),
            "augment": self.augment,
        }

    @property
    def lrs(self) -> dict[str, float]:
        """The rate of each group that trains."""
        return {group.name: group.lr for group in self.groups if group.trainable}

    @property
    def frozen(self) -> tuple[str, ...]:
        return tuple(group.name for group in self.groups if not group.trainable)


def state_from_json(values: dict[str, Any]) -> RunState:
    """The state that `to_json` took apart; what it does not know is left out."""
    names = [field.name for field in fields(GroupState)]
    groups = tuple(
        GroupState(**{name: group[name] for name in names}) for group in values["groups"]
    )
    return RunState(groups, dict(values["weights"]), values["augment"])
