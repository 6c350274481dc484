"""What commands change in a model: which groups train, how fast, with which adapters and head.

A Session and a loop of somebody else have the same levers; they may differ in the optimizer.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from math import nan
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from tlcourse.models.partition import Part

from ..state import GroupState
from .edits import Edit, Groups
from .optimizer import SteeredOptimizer, clone_state

_NORMS = (nn.modules.batchnorm._NormBase,)  # everything that keeps running statistics


class Levers:
    """groups: each group's parameters, input to output, adapters before the head, which is last.
    scalable: layers whose scale can be set, of adapters that came with the model (`model.scalable`).
    frozen: name → whether its BatchNorm statistics stand still. A frozen parameter is never written to
    in place: snapshots and twins share it, and unfreezing gives it memory of its own."""

    def __init__(
        self, model: nn.Module, modules: Mapping[str, nn.Module | Part], optimizer: SteeredOptimizer
    ):
        self.model, self.optimizer = model, optimizer
        self.groups: Groups = {name: list(m.parameters()) for name, m in modules.items()}
        self.norms = {
            name: [m for m in module.modules() if isinstance(m, _NORMS)]
            for name, module in modules.items()
        }
        self.frozen: dict[str, bool] = {}
        self.edits: list[Edit] = []
        brought: Mapping[str, Sequence[nn.Module]] = getattr(model, "scalable", {})
        self.scalable = {name: tuple(at) for name, at in brought.items() if name in self.groups}
        now: Mapping[str, float] = getattr(model, "scales", {})
        self.scales: dict[str, float] = {name: now.get(name, 1.0) for name in self.scalable}
        self.numbers: dict[str, int | float | None] = {}  # of its modules, as in the last snapshot
        self.origin: dict[Parameter, Was] = {}  # what each weight was when it came

    @property
    def names(self) -> list[str]:
        return list(self.groups)

    @property
    def added(self) -> set[str]:
        """The adapters that came by a command. One that the model brought is a group like the others."""
        return set(self.scales) - set(self.scalable)

    # -- to move -------------------------------------------------------------------------------

    def can_freeze(self, name: str, stats: bool) -> bool:
        """Whether freezing would change anything: weights, or BatchNorm's statistics."""
        have = bool(self.norms.get(name))
        return name not in self.frozen or (have and self.frozen[name] != stats)

    def freeze(self, name: str, stats: bool) -> None:
        for parameter in self.groups[name]:
            parameter.requires_grad_(False)
            parameter.grad = None
        self.frozen[name] = stats
        self.hold_what_trains()
        self.set_modes()

    def unfreeze(self, name: str, lr: float | None) -> None:
        for parameter in self.groups[name]:
            self._own(parameter)
            parameter.requires_grad_(True)
        self.frozen.pop(name, None)
        if lr is not None:
            self.optimizer.rates[name] = lr
        self.hold_what_trains()
        self.set_modes()

    def set_lr(self, name: str, lr: float) -> None:
        self.optimizer.rates[name] = lr
        self.hold_what_trains()

    def edit(self, edit: Edit, rates: Mapping[str, float]) -> None:
        """Do a planned edit. rates: of groups that are new or have another rate now."""
        self.groups = edit.do()
        self.edits.append(edit)
        if edit.adapter:
            self.scales[edit.adapter] = 1.0
        self.optimizer.rates.update(rates)
        self._obey_frozen()
        self.remember_origin()

    def remember_origin(self) -> None:
        """Measure movement in all from here, for parameters that are new."""
        for name, parameters in self.groups.items():
            for p in parameters:
                if p not in self.origin:
                    self.origin[p] = Was.of(p, frozen=name in self.frozen)

    def set_scale(self, adapter: str, value: float) -> None:
        self.scales[adapter] = value
        for layer in self.scalable.get(adapter, ()):
            layer.set_scale(adapter, value)
        for edit in self.edits:
            if edit.adapter == adapter:
                for layer in edit.layers:
                    layer.set_scale(adapter, value)

    def set_modes(self) -> None:
        """Train mode, except BatchNorm in frozen groups whose statistics stand still."""
        self.model.train()
        for name, stats in self.frozen.items():
            if stats:
                for module in self.norms.get(name, ()):
                    module.eval()

    def hold_what_trains(self) -> None:
        self.optimizer.hold(self.groups, self.frozen)

    # -- to go back ----------------------------------------------------------------------------

    def restructure(self, edits: tuple[Edit, ...]) -> None:
        """The structure with exactly these edits, which share their beginning with the present ones."""
        same = 0
        while same < min(len(edits), len(self.edits)) and edits[same] is self.edits[same]:
            same += 1
        for edit in reversed(self.edits[same:]):
            self.groups = edit.undo()
        for edit in edits[same:]:
            self.groups = edit.do()
        self.edits = list(edits)

    def restore(
        self, frozen: Mapping[str, bool], rates: Mapping[str, float], scales: Mapping[str, float]
    ) -> None:
        self.frozen, self.optimizer.rates = dict(frozen), dict(rates)
        self.scales = {}
        for adapter, value in scales.items():
            self.set_scale(adapter, value)
        self._obey_frozen()

    def fork(self) -> "Levers":
        """A copy that trains by itself. What is frozen is shared; it cannot be unfrozen there."""
        memo: dict[int, Any] = {}
        for name in self.frozen:
            for p in self.groups[name]:
                memo[id(p)] = Parameter(p.detach(), requires_grad=False)
        made = copy(self)
        made.model = deepcopy(self.model, memo)
        made.groups = {name: [memo[id(p)] for p in ps] for name, ps in self.groups.items()}
        made.norms = {name: [memo[id(m)] for m in ms] for name, ms in self.norms.items()}
        made.frozen, made.scales, made.edits = dict(self.frozen), dict(self.scales), []
        made.scalable = {name: tuple(memo[id(m)] for m in ms) for name, ms in self.scalable.items()}
        everything = [p for ps in self.groups.values() for p in ps]
        made.origin = {memo[id(p)]: self.origin[p] for p in everything}
        made.optimizer = self.optimizer.fork({p: memo[id(p)] for p in everything})
        made.hold_what_trains()
        return made

    def _own(self, parameter: Parameter) -> None:
        """Memory of its own before it is written to: snapshots and twins may share what was frozen."""
        parameter.data = parameter.data.clone()
        if parameter in self.optimizer.state:
            self.optimizer.state[parameter] = clone_state(self.optimizer.state[parameter])

    def _obey_frozen(self) -> None:
        for name, parameters in self.groups.items():
            for parameter in parameters:
                parameter.requires_grad_(name not in self.frozen)
                parameter.grad = None
        self.hold_what_trains()
        self.set_modes()

    # -- what is so now ------------------------------------------------------------------------

    def trainable(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def sizes(self) -> dict[str, int]:
        """Number of parameters of every group there is or was."""
        versions = [groups for edit in self.edits for groups in (edit.before, edit.after)]
        return {
            name: sum(p.numel() for p in parameters)
            for groups in (*versions, self.groups)
            for name, parameters in groups.items()
        }

    def lrs(self) -> dict[str, float]:
        return {n: self.optimizer.rates[n] for n in self.groups if n not in self.frozen}

    def states(self) -> tuple[GroupState, ...]:
        return tuple(
            GroupState(
                name=name,
                parameters=sum(p.numel() for p in parameters),
                trainable=name not in self.frozen,
                lr=self.optimizer.rates[name],
                depth=depth,
                kind="adapter" if name in self.scales else "layers",
                stats=self.frozen.get(name, True) if self.norms.get(name) else None,
                scale=self.scales.get(name),
            )
            for depth, (name, parameters) in enumerate(list(self.groups.items()))
        )

    def weights(self) -> "Weights":
        """Every group's parameters with their values now, to measure movement from."""
        return {
            name: [(p, Was.of(p, frozen=name in self.frozen)) for p in parameters]
            for name, parameters in self.groups.items()
        }

    def moved(self, since: "Weights") -> dict[str, float]:
        """‖w − w₀‖ / ‖w₀‖ of every group since then, frozen ones too."""
        return {name: _or_nan(_distance, pairs) for name, pairs in since.items()}

    def moved_in_all(self) -> dict[str, float]:
        """The same since the beginning of the run."""
        return self.moved(
            {name: [(p, self.origin[p]) for p in ps] for name, ps in self.groups.items()}
        )

    def gradients(self) -> dict[str, float]:
        """‖g‖₂ of the last step's gradient, of every group that trains."""
        return {
            name: _or_nan(_norm, [p.grad for p in ps if p.grad is not None])
            for name, ps in self.groups.items()
            if name not in self.frozen
        }


SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Was:
    """A weight as it was. sample: of a frozen weight, whose memory is shared, about `SAMPLE` of its
    numbers: should something write to it all the same, they tell how far it moved."""

    values: Tensor
    sample: Tensor | None = None

    @classmethod
    def of(cls, p: Parameter, frozen: bool) -> "Was":
        return cls(p.detach(), _sample(p).clone()) if frozen else cls(p.detach().clone())

    def written(self, p: Tensor) -> bool:
        """Whether the weight has other memory now, or other numbers in it."""
        if self.sample is None or p.data_ptr() != self.values.data_ptr():
            return p.data_ptr() != self.values.data_ptr()
        return not torch.equal(_sample(p), self.sample)

    def squares(self, p: Parameter) -> tuple[float, float]:
        """(‖w − w₀‖², ‖w₀‖²), estimated by the sample where the memory is shared."""
        if self.sample is None or p.data_ptr() != self.values.data_ptr():
            return _squares(wide(p.detach()) - wide(self.values)), _squares(wide(self.values))
        was = wide(self.sample)
        share = p.numel() / max(1, was.numel())
        return share * _squares(wide(_sample(p)) - was), share * _squares(was)


Weights = dict[str, list[tuple[Parameter, Was]]]


def wide(values: Tensor) -> Tensor:
    """In float32 or wider: a sum of squares of halves overflows at 65,504."""
    if values.is_complex():
        values = torch.view_as_real(values.resolve_conj())
    return values if values.dtype == torch.float64 else values.float()


def _sample(p: Tensor) -> Tensor:
    flat = p.detach().reshape(-1)  # a view of what is contiguous
    return flat[:: max(1, flat.numel() // SAMPLE)]


def _squares(values: Tensor) -> float:
    return float(values.square().sum())


def _or_nan(measure: Callable[[list], float], of: list) -> float:
    """Measuring must not end a run: a dtype or layout that torch cannot add up gives NaN."""
    try:
        return measure(of)
    except (RuntimeError, NotImplementedError, TypeError):
        return nan


@torch.no_grad()
def _distance(pairs: list[tuple[Parameter, Was]]) -> float:
    squares = [was.squares(p) for p, was in pairs]
    gone, size = (sum(column) for column in zip(*squares, strict=True)) if squares else (0.0, 0.0)
    return (gone / size) ** 0.5 if size else float(gone > 0)


@torch.no_grad()
def _norm(gradients: list[Tensor]) -> float:
    if all(g.dtype == torch.float32 and not g.is_sparse for g in gradients):
        return float(nn.utils.get_total_norm(gradients))
    strided = (g.coalesce().values() if g.is_sparse else g for g in gradients)
    return sum(_squares(wide(g)) for g in strided) ** 0.5
