"""What commands change in a model: which groups train, how fast, with which adapters and head.

A Session and a loop of somebody else have the same levers; they may differ in the optimizer.
"""

from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
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
        self.origin: dict[Parameter, Tensor] = {}  # what each weight was when it came

    @property
    def names(self) -> list[str]:
        return list(self.groups)

    @property
    def added(self) -> set[str]:
        """The adapters that came by a command. One that the model brought is a group like the others."""
        return set(self.scales) - set(self.scalable)

    # -- to move -------------------------------------------------------------------------------

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
                    self.origin[p] = p.detach() if name in self.frozen else p.detach().clone()

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

    def weights(self) -> dict[str, list[tuple[Parameter, Tensor]]]:
        """Every group's parameters with their values now, to measure movement from."""
        return {
            name: [
                (p, p.detach() if name in self.frozen else p.detach().clone()) for p in parameters
            ]
            for name, parameters in self.groups.items()
        }

    def moved(self, since: Mapping[str, list[tuple[Parameter, Tensor]]]) -> dict[str, float]:
        """‖w − w₀‖ / ‖w₀‖ of every group since then."""
        return {name: _distance(pairs) for name, pairs in since.items()}

    def moved_in_all(self) -> dict[str, float]:
        """The same since the beginning of the run."""
        pairs = {name: [(p, self.origin[p]) for p in ps] for name, ps in self.groups.items()}
        return self.moved(pairs)

    def gradients(self) -> dict[str, float]:
        """‖g‖₂ of the last step's gradient, of every group that trains."""
        return {
            name: float(nn.utils.get_total_norm([p.grad for p in ps if p.grad is not None]))
            for name, ps in self.groups.items()
            if name not in self.frozen
        }


@torch.no_grad()
def _distance(pairs: list[tuple[Parameter, Tensor]]) -> float:
    gone = size = 0.0
    for now, was in pairs:
        size += float(was.square().sum())
        if now.data_ptr() != was.data_ptr():
            gone += float((now - was).square().sum())
    return (gone / size) ** 0.5 if size else float(gone > 0)
