"""Somebody's optimizer, told what to train and how fast, without taking it out of their hands.

Its parameter groups belong to whoever made it: schedulers write rates into them, options such as weight
decay differ between them, checkpoints count on their number and order. So they stay as they are, and
each group of the model has a *factor*: what it trains at is what the schedule says, times that. Only
while `step()` runs does the optimizer see its groups divided by factor. With all factors at 1 nothing
is divided, and a step is bit for bit what it was.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from tlcourse.errors import SessionError

from .optimizer_checkpoint import Memory

Group = dict[str, Any]


class GivenOptimizer:
    """A `Holder` (see `levers.py`) around an optimizer that was made elsewhere.

    model: names its parameters in checkpoints; stepped: called after each step that was taken;
    loaded: called with (groups that trained, rates) of a checkpoint that was loaded into the optimizer.

    What the optimizer never held is put to the end of the group that fits best once it trains: one that
    has its kind (matrices, or biases and norms), then one that has others of its group of the model.
    """

    def __init__(
        self,
        optimizer: Any,
        model: nn.Module,
        stepped: Callable[[], None] = lambda: None,
        loaded: Callable[[list[str], dict[str, float]], None] = lambda training, rates: None,
    ):
        self.torch = unwrapped(optimizer)
        self.stepped = stepped
        self.factors: dict[str, float] = {}
        self.training: list[str] = []
        self.late: list[list[Parameter]] = []  # for each of its groups, what came to it later
        self._group_of: dict[Parameter, str] = {}
        self._homes: dict[str, set[int]] = {}
        self._wanted: dict[str, float] = {}  # rates of groups that are about to come
        self._aside: list[Group] | None = None  # its own groups, while it sees divided ones
        self._inside = False
        self._plan: list[list[tuple[float, list[Parameter]]]] = []
        self._planned_for: tuple[Any, ...] | None = None
        self._rates = Rates(self)
        self._memory = Memory(self, model, loaded)
        self._handles = [
            self.torch.register_step_pre_hook(self._before),
            self.torch.register_step_post_hook(self._after),
            *self._memory.hooks(),
        ]

    # -- what levers use -----------------------------------------------------------------------

    @property
    def rates(self) -> MutableMapping[str, float]:
        """Rate of every group now. To set one sets its factor: it goes on following the schedule."""
        return self._rates

    @rates.setter
    def rates(self, rates: Mapping[str, float]) -> None:
        self._rates.update(rates)

    @property
    def state(self) -> dict[Parameter, dict[str, Any]]:
        return self.torch.state

    def hold(self, training: Mapping[str, list[Parameter]]) -> None:
        """Take in what it does not hold yet. A parameter that it does not hold would not move, whatever
        its requires_grad says; one without a gradient it leaves alone."""
        self.register(training)
        homes = self._home_of_all()
        now = {p for parameters in training.values() for p in parameters}
        for name, parameters in training.items():
            for p in parameters:
                if p not in homes:
                    self.take_in(p, self._find_home(p, name))
        for group in self.own:
            for p in group["params"]:
                if p not in now:
                    p.grad = None
        self.training = list(training)
        self._planned_for = None

    def fork(self, other: Mapping[Parameter, Parameter]) -> "GivenOptimizer":
        raise SessionError("A loop of your own cannot be trained twice; a Session can.")

    # -- its groups ----------------------------------------------------------------------------

    @property
    def own(self) -> list[Group]:
        """The groups as their owner knows them, also during a step."""
        return self.torch.param_groups if self._aside is None else self._aside

    def base(self, name: str) -> float:
        """What the schedule says for a group of the model: the highest of the optimizer's groups in
        which it lies."""
        own = self.own
        return max((float(own[home]["lr"]) for home in self._homes[name]), default=0.0)

    def knows(self, name: str) -> bool:
        return name in self._homes

    def names(self) -> list[str]:
        return [*self._homes, *self._wanted]

    def take_in(self, parameter: Parameter, home: int) -> None:
        group = self.own[home]
        group["params"].append(parameter)
        if "param_names" in group:
            group["param_names"].append(f"late.{len(group['params'])}")
        self.late_of(home).append(parameter)
        self._planned_for = None

    def late_of(self, home: int) -> list[Parameter]:
        self.late += [[] for _ in range(len(self.own) - len(self.late))]
        return self.late[home]

    def set_factors(self, factors: Mapping[str, float]) -> None:
        """Exactly these groups of the model, at these factors."""
        self.factors = dict(factors)
        self._homes = {name: at for name, at in self._homes.items() if name in factors}
        self._wanted = {name: lr for name, lr in self._wanted.items() if name in factors}

    def begin_anew(self) -> None:
        """Its groups are others now: a checkpoint was loaded."""
        self._planned_for = None

    def release(self) -> None:
        """Let go of the optimizer: it is as it was made, but for what it took in."""
        self._restore()
        for handle in self._handles:
            handle.remove()

    def options(self) -> list[Group]:
        """What an optimizer keeps in its groups besides parameters and rates."""
        kept = ("params", "lr", "initial_lr", "param_names")
        return [{k: v for k, v in group.items() if k not in kept} for group in self.own]

    def set_options(self, options: list[Group]) -> None:
        for group, kept in zip(self.own, options, strict=False):
            group.update(kept)

    def register(self, groups: Mapping[str, list[Parameter]]) -> None:
        """Know these groups of the model; what the optimizer does not hold yet is not taken in."""
        homes = self._home_of_all()
        for name, parameters in groups.items():
            known = name in self._homes
            for p in parameters:
                self._group_of[p] = name
            at = {homes[p] if p in homes else self._find_home(p, name) for p in parameters}
            self._homes[name] = at
            if not known:
                self.factors.setdefault(name, 1.0)
                if name in self._wanted:
                    self._rates[name] = self._wanted.pop(name)

    def _home_of_all(self) -> dict[Parameter, int]:
        return {p: n for n, group in enumerate(self.own) for p in group["params"]}

    def _find_home(self, parameter: Parameter, name: str) -> int:
        flat = parameter.ndim <= 1

        def fit(home: int) -> tuple[bool, bool, int]:
            there = self.own[home]["params"]
            alike = any((p.ndim <= 1) == flat for p in there)
            same = any(self._group_of.get(p) == name for p in there)
            return alike, same, sum(p.numel() for p in there)

        return max(range(len(self.own)), key=fit)

    # -- around a step -------------------------------------------------------------------------

    def _before(self, *_: Any) -> None:
        self._restore()  # a step that raised has left it divided
        self._inside = True
        if any(factor != 1.0 for factor in self.factors.values()):
            own = self.torch.param_groups
            divided = self._divided(own)
            self._aside, self.torch.param_groups = own, divided

    def _divided(self, own: list[Group]) -> list[Group]:
        divided: list[Group] = []
        for group, shares in zip(own, self._shares(own), strict=True):
            if len(shares) == 1 and shares[0][0] == 1.0:
                divided.append(group)
            else:
                divided += [
                    group | {"lr": group["lr"] * factor, "params": parameters}
                    for factor, parameters in shares
                ]
        return divided

    def _shares(self, own: list[Group]) -> list[list[tuple[float, list[Parameter]]]]:
        """For each of its own groups: which parameters go by which factor. Kept until that changes."""
        now = (tuple(self.factors.values()), *((id(g), len(g["params"])) for g in own))
        if now != self._planned_for:
            self._plan = []
            for group in own:
                by_factor: dict[float, list[Parameter]] = defaultdict(list)
                for p in group["params"]:
                    by_factor[self.factors.get(self._group_of.get(p, ""), 1.0)].append(p)
                self._plan.append(list(by_factor.items()) or [(1.0, [])])
            self._planned_for = now
        return self._plan

    def _after(self, *_: Any) -> None:
        if not self._inside:  # a step inside of a step: an optimizer that calls its parent's
            return
        self._restore()
        self._inside = False
        self.stepped()

    def _restore(self) -> None:
        if self._aside is None:
            return
        own, divided = self._aside, self.torch.param_groups
        for group, shares in zip(own, self._plan, strict=True):
            part = divided[0]
            if part is not group:  # some optimizers count in their groups: keep what they wrote
                group.update({k: v for k, v in part.items() if k not in ("lr", "params")})
            divided = divided[len(shares) :]
        self.torch.param_groups, self._aside = own, None


class Awaited:
    """Stands for an optimizer that is not there yet; nothing is trained before it is."""

    torch = None

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.factors: dict[str, float] = {}
        self.state: dict[Parameter, dict[str, Any]] = {}

    def register(self, groups: Mapping[str, list[Parameter]]) -> None:
        self.rates = dict.fromkeys(groups, 0.0)

    def hold(self, training: Mapping[str, list[Parameter]]) -> None: ...

    def set_factors(self, factors: Mapping[str, float]) -> None: ...

    def options(self) -> list[Group]:
        return []

    def release(self) -> None: ...


class Rates(MutableMapping[str, float]):
    """A group's rate is its factor times what the schedule says now."""

    def __init__(self, given: GivenOptimizer):
        self._given = given

    def __getitem__(self, name: str) -> float:
        if not self._given.knows(name):
            return self._given._wanted[name]
        return self._given.base(name) * self._given.factors[name]

    def __setitem__(self, name: str, lr: float) -> None:
        if not self._given.knows(name):
            self._given._wanted[name] = lr
        elif base := self._given.base(name):  # at 0 no factor gives a rate: it stays what it is
            self._given.factors[name] = lr / base

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._given.names())

    def __len__(self) -> int:
        return len(self._given.names())


def unwrapped(optimizer: Any) -> Optimizer:
    """The optimizer of torch within those of accelerate, Lightning and the like. Raises SessionError for
    one that cannot be steered."""
    for _ in range(8):
        inner = getattr(optimizer, "optimizer", None) or getattr(optimizer, "base_optimizer", None)
        if not isinstance(inner, Optimizer):
            break
        optimizer = inner
    if not isinstance(optimizer, Optimizer):
        raise SessionError(
            f"optimizer is a torch.optim.Optimizer such as AdamW, not {type(optimizer).__name__}."
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise SessionError(
            "LBFGS treats all its parameters as one vector, so none can be frozen or get a rate of its "
            "own; AdamW and SGD can be steered."
        )
    return optimizer
