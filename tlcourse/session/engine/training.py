"""The state of a Session's run, with its two acts: a training step and an evaluation.

Commands change it too, between steps, through its levers and its timelines. Nothing else does.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data, Split
from tlcourse.models.partition import Part, can_train
from tlcourse.rng import fold_in

from ..commands import Command
from ..events import Evaluated, Event
from ..model.groups import Levers
from ..model.optimizer import NamedOptimizer
from ..model.user_optimizer import (
    OptimizerFactory,
    SchedulerFactory,
    UserOptimizer,
    user_optimizer,
)
from ..recipe import Recipe
from ..state import RunState
from ..timelines.timelines import Timelines
from .apply import apply
from .batches import Batches
from .meters import Meters
from .processes import Ranks

if TYPE_CHECKING:
    from ..autosave.saver import Autosave

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a further term of the loss may look at. x, y: as the model got them; logits: (B, classes),
    with their graph; step: of the run, to draw other data by."""

    x: Tensor
    y: Tensor
    logits: Tensor
    step: int


Term = Callable[[nn.Module, Batch], Tensor]
"""A further term of the loss: (model, batch) → scalar."""


class Training:
    """Model, optimizer, batches and position of a run. Touched by the training thread alone."""

    def __init__(
        self,
        model: nn.Module,
        groups: Mapping[str, nn.Module | Part],
        data: Data,
        recipe: Recipe,
        loss: Loss = F.cross_entropy,
        device: torch.device | str = "cpu",
        terms: Mapping[str, Term] | None = None,
        keep_mb: float = 512,
        ranks: Ranks | None = None,
        *,
        optimizer: str | OptimizerFactory = "adamw",
        scheduler: SchedulerFactory | None = None,
        saved: bool = False,
    ):
        self.device, self.ranks = torch.device(device), ranks
        self.data, self.recipe, self.loss = data, recipe, loss
        self.terms, self.weights = dict(terms or {}), dict(recipe.weights)
        self.tick = self.step = 0
        self.branch = "main"
        self.paused = False
        self.pace: float | None = None  # steps a second at most, for a hand to follow
        self.ending: str | None = None  # why the run ends: "done" or "stopped"
        self.seconds = 0.0  # spent before `began`, by the clock of perf_counter
        self.began = 0.0
        self.autosave: Autosave | None = None
        self.meters = Meters({})
        self.batches = Batches(
            data.train.x,
            data.train.y,
            recipe.batch_size,
            recipe.seed,
            self.device,
            flips=getattr(data, "flips", False),
            layout=recipe.layout,
            ids=data.train.ids,
            workers=recipe.workers,
            kept=recipe.accumulate,
            rank=ranks.rank if ranks else 0,
            ranks=ranks.size if ranks else 1,
        )
        self.batches.strength = recipe.augment
        mine = (ranks.rank,) if ranks and ranks.rank else ()  # each rank drops out other units
        self._noise_key = fold_in(recipe.seed, "noise", *mine)
        self._noise = [torch.default_generator]
        if self.device.type == "cuda":
            torch.cuda.init()
            self._noise.append(torch.cuda.default_generators[self.device.index or 0])
        model = model.to(self.device)
        if recipe.layout == "channels_last":
            model = model.to(memory_format=torch.channels_last)
        held = {name: list(module.parameters()) for name, module in groups.items()}
        everything = [p for p in chain.from_iterable(held.values()) if can_train(p)]
        made: NamedOptimizer | UserOptimizer
        if isinstance(optimizer, str) and scheduler is None:
            made = NamedOptimizer(optimizer, recipe.weight_decay, everything, recipe.lr)
        else:
            held = {n: [p for p in own if can_train(p)] for n, own in held.items()}
            rest = (held, recipe.lr, recipe.weight_decay, recipe.steps, saved)
            made = user_optimizer(optimizer, scheduler, *rest)
        for parameter in everything:  # from here on, `freeze` alone says what is frozen
            parameter.requires_grad_(True)
        self.levers = Levers(model, groups, made)
        self.levers.hold_what_trains()
        self.levers.set_modes()
        for name in recipe.freeze:
            self.levers.freeze(name, recipe.freeze_stats)
        self.levers.remember_origin()
        self.time = Timelines(keep_mb)
        self.time.begin(self)

    @property
    def model(self) -> nn.Module:
        return self.levers.model

    @property
    def seed(self) -> int:
        return self.recipe.seed

    @property
    def augment(self) -> float | None:
        return self.batches.strength if self.batches.pictures else None

    @augment.setter
    def augment(self, strength: float | None) -> None:
        self.batches.strength = strength or 0.0

    def apply(self, command: Command) -> None:
        apply(command, self)

    # -- the two acts --------------------------------------------------------------------------

    def train_step(self) -> tuple[float, dict[str, float] | None]:
        """Forward, backward, update. Returns the batch's loss before the update, and the value of each
        further term that counts."""
        noise = (self._noise_key + self.step) & 0x7FFF_FFFF_FFFF_FFFF
        for generator in self._noise:  # dropout: the same at this step whoever draws besides
            generator.manual_seed(noise)
        optimizer, parts = self.levers.optimizer, self.recipe.accumulate
        optimizer.forget_gradients()
        if parts == 1:
            loss, terms = self._backward(self.step)
            value = loss.item()
        else:
            value, terms = 0.0, None
            for part in range(parts):
                loss, terms = self._backward(self.step * parts + part, 1 / parts)
                value += loss.item() / parts
        if self.ranks:
            value, terms = self._averaged(value, terms or {})
        optimizer.step()
        self.tick += 1
        self.step += 1
        return value, terms

    def _backward(self, place: int, share: float = 1.0) -> tuple[Tensor, dict[str, float] | None]:
        x, y = self.batches.at(place)
        with self._cast():
            logits = self.model(x)
            loss = total = self.loss(logits, y)
            terms = None
            for name, weight in self.weights.items():
                if weight:
                    value = self.terms[name](self.model, Batch(x, y, logits, self.step))
                    total = total + weight * value
                    number = value.detach() if isinstance(value, Tensor) else value
                    terms = (terms or {}) | {name: float(number)}
        (total if share == 1.0 else total * share).backward()
        return loss.detach(), terms

    def _averaged(
        self, value: float, terms: Mapping[str, float]
    ) -> tuple[float, dict[str, float] | None]:
        """Gradients, loss and terms of the whole batch, which all ranks share."""
        levers = self.levers
        training = [p for n, ps in levers.groups.items() if n not in levers.frozen for p in ps]
        moving = (
            buffer
            for module in self.model.modules()
            if module.training
            for buffer in module.buffers(recurse=False)
            if buffer.is_floating_point()
        )
        value, *means = self.ranks.average(training, moving, [value, *terms.values()])
        return value, dict(zip(terms, means, strict=True)) or None

    def _cast(self) -> torch.autocast | nullcontext:
        if self.recipe.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def evaluate(self, split: Split, batch_size: int = 64) -> dict[str, float]:
        """Accuracy and mean loss on a split in eval mode; leaves the modes as they were."""
        correct, total = 0, 0.0
        self.model.eval()
        try:
            with torch.no_grad(), self._cast():
                for x, y in self.batches.all_of(split, batch_size):
                    logits = self.model(x)
                    correct += int((logits.argmax(1) == y).sum())
                    total += float(self.loss(logits, y)) * len(y)
        finally:
            self.levers.set_modes()
        return {"accuracy": correct / len(split.y), "loss": total / len(split.y)}

    def has(self, split: str) -> bool:
        part = getattr(self.data, split, None)
        return part is not None and len(part.y) > 0

    def evaluated(self, split: str) -> Iterator[Evaluated]:
        """The run and its twin on a split, if the data have it."""
        for one in (self, self.time.twin):
            if one is not None and self.has(split):
                metrics = one.evaluate(getattr(self.data, split))
                yield Evaluated(self.tick, one.step, one.branch, split, metrics)

    def measured(self, split: str) -> Iterator[Event]:
        """The same, and the meters."""
        yield from self.evaluated(split)
        yield from self.meters.read(self)

    def state(self) -> RunState:
        return RunState(self.levers.states(), dict(self.weights), self.augment)

    def fork(self, branch: str) -> "Training":
        """A copy that goes on by itself, on the same batches and with the same noise."""
        made = copy(self)
        made.levers = self.levers.fork()
        made.batches = copy(self.batches)
        made.weights = dict(self.weights)
        made.branch = branch
        return made
