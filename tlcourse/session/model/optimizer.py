"""The optimizer of a session: it holds exactly what trains, at the rates that the commands set."""

from collections.abc import Iterable, Mapping
from copy import copy, deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter


class OwnOptimizer:
    """One optimizer for the whole run. Its state belongs to parameters, not to groups: what is frozen
    leaves and keeps its state, and what is unfrozen goes on where it stopped.

    rates: the rate of every group, also of those that are frozen.
    """

    def __init__(
        self,
        kind: str,
        weight_decay: float,
        everything: Iterable[Parameter],
        rates: Mapping[str, float],
    ):
        options: dict[str, Any] = {"lr": 1.0, "weight_decay": weight_decay, "fused": True}
        if kind == "adamw":
            self._make = partial(torch.optim.AdamW, **options)
        else:
            self._make = partial(torch.optim.SGD, momentum=0.9, **options)
        self.torch: torch.optim.Optimizer = self._make(everything)
        self._options = {k: v for k, v in self.torch.param_groups[0].items() if k != "params"}
        self.rates = dict(rates)
        self.step = self.torch.step

    def hold(self, training: Mapping[str, list[Parameter]]) -> None:
        """Exactly these groups, those of one rate together: one more optimizer group costs 15 µs a step.

        A group that the optimizer does not hold would not move, whatever its requires_grad says.
        """
        by_rate: dict[float, list[str]] = {}
        for name in training:
            by_rate.setdefault(self.rates[name], []).append(name)
        self.torch.param_groups[:] = [
            self._options
            | {"lr": rate, "names": names}
            | {"params": [p for name in names for p in training[name]]}
            for rate, names in by_rate.items()
        ]
        if (
            "momentum" in self._options
        ):  # fused SGD takes a group only if all of it has begun, or none
            for parameters in training.values():
                for p in parameters:
                    if self.torch.state[p].get("momentum_buffer") is None:
                        self.torch.state[p]["momentum_buffer"] = torch.zeros_like(p)

    def forget_gradients(self) -> None:
        """`zero_grad` without its hooks, which cost 15 µs a step."""
        for group in self.torch.param_groups:
            for p in group["params"]:
                p.grad = None

    @property
    def state(self) -> dict[Parameter, dict[str, Any]]:
        return self.torch.state

    def fork(self, other: Mapping[Parameter, Parameter]) -> "OwnOptimizer":
        """The same for a copy of the model. other: from each parameter to its copy."""
        made = copy(self)
        everything = [other[p] for group in self.torch.param_groups for p in group["params"]]
        made.torch = self._make(everything)
        made.torch.state.update(
            {other[p]: clone_state(kept) for p, kept in self.state.items() if p in other}
        )
        made.rates = dict(self.rates)
        made.step = made.torch.step
        return made


def clone_state(state: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.clone() if isinstance(v, Tensor) else deepcopy(v) for k, v in state.items()}
