"""The state that a run changes, and the two things that change it: one training step, one evaluation.

Commands change it too, through the methods under "levers"; nothing else does.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data, Split
from tlcourse.errors import CommandError

from .batches import Batches, to_float
from .commands import members
from .keys import fold_in

OPTIMIZERS = ("adamw", "sgd")
_NORMS = (nn.modules.batchnorm._NormBase,)  # everything that keeps running statistics


@dataclass(frozen=True, slots=True)
class Recipe:
    """What determines a run, together with model, data and record. All JSON-able."""

    steps: int
    lr: dict[str, float]  # a rate for every group, also for those that start frozen
    freeze: tuple[str, ...]
    freeze_stats: bool
    batch_size: int
    optimizer: str
    weight_decay: float
    augment: float
    eval_every: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"freeze": list(self.freeze)}


@dataclass(frozen=True, slots=True)
class GroupState:
    """One parameter group as it is now. depth: 0 at the input."""

    name: str
    parameters: int
    trainable: bool
    lr: float
    depth: int


class Training:
    """Model, optimizer, batches and position of a run. Touched by the training thread alone."""

    def __init__(
        self,
        model: nn.Module,
        groups: Mapping[str, nn.Module],
        data: Data,
        recipe: Recipe,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        device: torch.device | str = "cpu",
    ):
        self.device = torch.device(device)
        self.model, self.groups, self.data, self.recipe, self.loss = (
            model.to(self.device),
            dict(groups),
            data,
            recipe,
            loss,
        )
        self.names = list(groups)
        self.tick = self.step = 0
        self.branch = "main"
        self.paused = False
        self.pace: float | None = None  # steps a second at most, for a hand to follow
        self.ending: str | None = None  # why the run ends: "done" or "stopped"
        self.batches = Batches(
            data.train.x,
            data.train.y,
            recipe.batch_size,
            recipe.seed,
            self.device,
            flips=getattr(data, "flips", False),
        )
        self.batches.strength = recipe.augment
        self.frozen: dict[str, bool] = {}  # name → whether its statistics stand still
        self._noise_key = fold_in(recipe.seed, "noise")
        self._noise = [torch.default_generator]
        if self.device.type == "cuda":
            torch.cuda.init()
            self._noise.append(torch.cuda.default_generators[self.device.index or 0])
        self._make_optimizer()
        self.set_modes()
        for name in recipe.freeze:
            self.freeze(name, recipe.freeze_stats)

    # -- the two acts --------------------------------------------------------------------------

    def train_step(self) -> float:
        """Forward, backward, update. Returns the batch's loss before the update."""
        x, y = self.batches.at(self.step)
        noise = (self._noise_key + self.step) & 0x7FFF_FFFF_FFFF_FFFF
        for generator in self._noise:  # dropout: the same at this step whoever draws besides
            generator.manual_seed(noise)
        loss = self.loss(self.model(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.tick += 1
        self.step += 1
        return loss.item()

    def evaluate(self, split: Split, batch_size: int = 64) -> tuple[float, float]:
        """(accuracy, mean loss) on a split in eval mode; leaves the modes as they were."""
        correct, total = 0, 0.0
        self.model.eval()
        try:
            with torch.no_grad():
                for x, y in zip(split.x.split(batch_size), split.y.split(batch_size), strict=True):
                    logits = self.model(to_float(x.to(self.device)))
                    target = y.to(self.device)
                    correct += int((logits.argmax(1) == target).sum())
                    total += float(self.loss(logits, target)) * len(y)
        finally:
            self.set_modes()
        return correct / len(split.y), total / len(split.y)

    # -- levers --------------------------------------------------------------------------------

    def freeze(self, name: str, stats: bool) -> None:
        self.groups[name].requires_grad_(False)
        for parameter in self.groups[name].parameters():
            parameter.grad = None
        self.frozen[name] = stats
        self._hold_what_trains()
        self.set_modes()

    def unfreeze(self, name: str, lr: float | None) -> None:
        self.groups[name].requires_grad_(True)
        self.frozen.pop(name, None)
        self.set_lr(name, self._rates[name] if lr is None else lr)
        self.set_modes()

    def set_lr(self, name: str, lr: float) -> None:
        self._rates[name] = lr
        self._hold_what_trains()

    def set_modes(self) -> None:
        """Train mode, except BatchNorm in frozen groups whose statistics stand still."""
        self.model.train()
        for name, stats in self.frozen.items():
            if stats:
                for module in self.groups[name].modules():
                    if isinstance(module, _NORMS):
                        module.eval()

    # -- what is so now ------------------------------------------------------------------------

    def trainable(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def lr(self, name: str) -> float:
        return self._rates[name]

    def lrs(self) -> dict[str, float]:
        return {name: self.lr(name) for name in self.names if name not in self.frozen}

    def states(self) -> tuple[GroupState, ...]:
        return tuple(
            GroupState(
                name,
                sum(p.numel() for p in module.parameters()),
                name not in self.frozen,
                self.lr(name),
                depth,
            )
            for depth, (name, module) in enumerate(self.groups.items())
        )

    def weights(self) -> dict[str, list[Tensor]]:
        """A copy of every group's parameters, to measure movement from."""
        return {
            name: [p.detach().clone() for p in module.parameters()]
            for name, module in self.groups.items()
        }

    # -- the optimizer holds exactly what trains -----------------------------------------------

    def _make_optimizer(self) -> None:
        """One optimizer over everything. Its state belongs to parameters, not to groups: what is frozen
        leaves and keeps its state, and what is unfrozen goes on where it stopped."""
        options: dict[str, Any] = {"weight_decay": self.recipe.weight_decay, "fused": True}
        everything = [p for module in self.groups.values() for p in module.parameters()]
        if self.recipe.optimizer == "adamw":
            self.optimizer = torch.optim.AdamW(everything, lr=1.0, **options)
        else:
            self.optimizer = torch.optim.SGD(everything, lr=1.0, momentum=0.9, **options)
        self._options = {k: v for k, v in self.optimizer.param_groups[0].items() if k != "params"}
        self._rates = dict(self.recipe.lr)
        self._hold_what_trains()

    def _hold_what_trains(self) -> None:
        """The training groups, those of one rate together: one more optimizer group costs 15 µs a step.

        A group that the optimizer does not hold would not move, whatever its requires_grad says.
        """
        by_rate: dict[float, list[str]] = {}
        for name, rate in self.lrs().items():
            by_rate.setdefault(rate, []).append(name)
        self.optimizer.param_groups[:] = [
            self._options
            | {"lr": rate, "names": names}
            | {"params": [p for name in names for p in self.groups[name].parameters()]}
            for rate, names in by_rate.items()
        ]


def plan_freeze(names: list[str], freeze: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The groups that start frozen, in order. Refuses to freeze everything."""
    asked = [freeze] if isinstance(freeze, str) else list(freeze)
    frozen = {member for name in asked for member in members(name, names)}
    if frozen == set(names):
        raise CommandError(
            f"freeze={freeze!r} would freeze everything and nothing could learn; "
            f"leave at least one of {', '.join(names)} out."
        )
    return tuple(name for name in names if name in frozen)


def plan_lr(names: list[str], lr: float | Mapping[str, float]) -> dict[str, float]:
    """A rate for every group: from one number, or a mapping in which a group's own name
    comes before "backbone", and that before "all"."""
    if not isinstance(lr, Mapping):
        return dict.fromkeys(names, _checked_lr(lr))
    rates: dict[str, float] = {}
    for wide in (True, False):
        for group, rate in sorted(lr.items(), key=lambda item: item[0] != "all"):
            if (group not in names) == wide:
                rates |= dict.fromkeys(members(group, names), _checked_lr(rate))
    if missing := [name for name in names if name not in rates]:
        raise CommandError(
            f"lr has no rate for {', '.join(missing)}; add 'backbone' or 'all' for the rest."
        )
    return {name: rates[name] for name in names}


def _checked_lr(lr: Any) -> float:
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < float("inf"):
        raise CommandError(f"A learning rate is a number above 0, not {lr!r}.")
    return float(lr)
