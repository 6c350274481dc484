"""An optimizer that the user made, with a schedule of its own: steered without taking it from them.

Its parameter groups belong to whoever made it: schedulers write rates into them, options such as weight
decay differ between them, checkpoints count on their number and order. So they stay as they are, and
each group of the model has a *factor*: it trains at the rate that the schedule says, times the factor.
The optimizer sees its groups divided by factor only while `step()` runs. With all factors at 1 nothing
is divided, and a step is bit for bit what it was. So a schedule needs no change when a command sets a
rate, unfreezes a group or adds parameters.
"""

import inspect
import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from copy import deepcopy
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from tlcourse.errors import CommandError

from .optimizer import begin_momentum, clone_state, named_optimizer

Group = dict[str, Any]
OptimizerFactory = Callable[[list[Group]], Optimizer]
"""From parameter groups, each {"params", "lr", "name"}, to an optimizer of torch."""
SchedulerFactory = Callable[[Optimizer], LRScheduler]
Make = Callable[[Mapping[Parameter, Parameter]], tuple[Optimizer, LRScheduler | None]]


class UserOptimizer:
    """A `SteeredOptimizer` around an optimizer of torch that was made elsewhere.

    schedule: the scheduler that `step` steps; None where a loop of somebody else steps its own.
    make: makes both once more, for a copy of the model; None where they cannot be made again.
    stepping, stepped: called before and after each step.

    A parameter that the optimizer never held joins the group that fits best once it trains: one with
    parameters of its kind (matrices, or biases and norms), then one with others of its model group.
    """

    scheduled = True

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: LRScheduler | None = None,
        make: Make | None = None,
        stepped: Callable[[], None] = lambda: None,
        stepping: Callable[[], None] = lambda: None,
    ):
        self.torch, self.schedule = optimizer, schedule
        self.stepped, self.stepping = stepped, stepping
        self._make = make
        self.factors: dict[str, float] = {}
        self.training: list[str] = []
        self.late: list[list[Parameter]] = []  # for each of its groups, what joined it later
        self._group_of: dict[Parameter, str] = {}
        self._homes: dict[str, set[int]] = {}
        self._wanted: dict[str, float] = {}  # rates of groups that are about to come
        self._aside: list[Group] | None = None  # its own groups, while it sees divided ones
        self._inside = False
        self._plan: list[list[tuple[float, list[Parameter]]]] = []
        self._planned_for: tuple[Any, ...] | None = None
        self._held: set[Parameter] = set()
        self._held_for: tuple[Any, ...] | None = None
        self._rates = Rates(self)
        self._handles = [
            self.torch.register_step_pre_hook(self._before),
            self.torch.register_step_post_hook(self._after),
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

    def hold(self, groups: Mapping[str, list[Parameter]], frozen: Collection[str]) -> None:
        """Take in what trains and is not held yet. A parameter that is not held would not move, whatever
        its requires_grad says; one without a gradient stays as it is."""
        self.register(groups)
        homes = self._home_of_all()
        self.training = [name for name in groups if name not in frozen]
        now = {p for name in self.training for p in groups[name]}
        for name in self.training:
            for p in groups[name]:
                if p not in homes:
                    self.take_in(p, self._find_home(p, name))
        for group in self.own:
            for p in group["params"]:
                if p not in now:
                    p.grad = None
        begin_momentum(self.torch)
        self._planned_for = None

    def step(self) -> None:
        """One step, then one of the schedule."""
        self.torch.step()
        if self.schedule is not None:
            self.schedule.step()

    def forget_gradients(self) -> None:
        for group in self.own:
            for p in group["params"]:
                p.grad = None

    # -- to go back ----------------------------------------------------------------------------

    def position(self) -> dict[str, Any]:
        """Factors, the options in its groups, and the schedule's own state. A loop of somebody else
        keeps its rates and its schedule, which go on."""
        position: dict[str, Any] = {"factors": dict(self.factors), "options": self._options()}
        if self.schedule is not None:
            position["schedule"] = deepcopy(self.schedule.state_dict())
        return position

    def go_to(self, position: Mapping[str, Any]) -> None:
        """Exactly these groups of the model, at these factors."""
        for group, options in zip(self.own, position["options"], strict=False):
            group.update(deepcopy(options))
        if self.schedule is not None:
            self.schedule.load_state_dict(deepcopy(position["schedule"]))
        self.factors = dict(position["factors"])
        self._homes = {name: at for name, at in self._homes.items() if name in self.factors}

    def fork(self, other: Mapping[Parameter, Parameter]) -> "UserOptimizer":
        if self._make is None:
            raise CommandError("A loop of your own cannot be trained twice; a Session can.")
        optimizer, schedule = self._make(other)
        if len(optimizer.param_groups) != len(self.own):
            raise CommandError(
                f"A twin needs the optimizer once more, and its function made {len(self.own)} groups "
                f"at first and {len(optimizer.param_groups)} now. Let it make the same ones each time."
            )
        for mine, copied in zip(self.own, optimizer.param_groups, strict=True):
            copied["params"] = [other[p] for p in mine["params"] if p in other]
        optimizer.state.clear()
        optimizer.state.update(
            {other[p]: clone_state(s) for p, s in self.state.items() if p in other}
        )
        made = UserOptimizer(optimizer, schedule, self._make)
        made._group_of = {other[p]: name for p, name in self._group_of.items() if p in other}
        made._homes = {name: set(at) for name, at in self._homes.items()}
        made.go_to(self.position())
        return made

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

    def begin_anew(self) -> None:
        """Its groups are others now: a checkpoint was loaded."""
        self._planned_for = None

    def release(self) -> None:
        """Let go of the optimizer: it is as it was made, except for what joined it."""
        self.undivide()
        for handle in self._handles:
            handle.remove()

    def _options(self) -> list[Group]:
        """What an optimizer keeps in its groups besides parameters; rates only if they can go back."""
        others = {"params", "param_names"}
        if self._make is None:
            others |= {"lr", "initial_lr"}
        return [deepcopy({k: v for k, v in g.items() if k not in others}) for g in self.own]

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

    def holds(self) -> set[Parameter]:
        """All that it has in its groups."""
        now = tuple((id(group), len(group["params"])) for group in self.own)
        if now != self._held_for:
            self._held = {p for group in self.own for p in group["params"]}
            self._held_for = now
        return self._held

    def _home_of_all(self) -> dict[Parameter, int]:
        return {p: n for n, group in enumerate(self.own) for p in group["params"]}

    def _find_home(self, parameter: Parameter, name: str) -> int:
        flat = parameter.ndim <= 1

        def fit(home: int) -> tuple[bool, bool, int]:
            held = self.own[home]["params"]
            alike = any((p.ndim <= 1) == flat for p in held)
            same = any(self._group_of.get(p) == name for p in held)
            return alike, same, sum(p.numel() for p in held)

        return max(range(len(self.own)), key=fit)

    # -- around a step -------------------------------------------------------------------------

    def _before(self, *_: Any) -> None:
        self.undivide()  # a step that raised has left it divided
        if not self._inside:
            self.stepping()
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
        self.undivide()
        self._inside = False
        self.stepped()

    def undivide(self) -> None:
        if self._aside is None:
            return
        own, divided = self._aside, self.torch.param_groups
        for group, shares in zip(own, self._plan, strict=True):
            part = divided[0]
            if part is not group:  # some optimizers count in their groups: keep what they wrote
                group.update({k: v for k, v in part.items() if k not in ("lr", "params")})
            divided = divided[len(shares) :]
        self.torch.param_groups, self._aside = own, None


class Rates(MutableMapping[str, float]):
    """A group's rate is its factor times what the schedule says now."""

    def __init__(self, optimizer: UserOptimizer):
        self._of = optimizer

    def __getitem__(self, name: str) -> float:
        if not self._of.knows(name):
            return self._of._wanted[name]
        return self._of.base(name) * self._of.factors[name]

    def __setitem__(self, name: str, lr: float) -> None:
        if not self._of.knows(name):
            self._of._wanted[name] = lr
        elif base := self._of.base(name):  # at 0 no factor gives a rate: it stays what it is
            self._of.factors[name] = lr / base

    def __delitem__(self, name: str) -> None:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._of.names())

    def __len__(self) -> int:
        return len(self._of.names())


def user_optimizer(
    optimizer: str | OptimizerFactory,
    scheduler: SchedulerFactory | None,
    groups: Mapping[str, list[Parameter]],
    rates: Mapping[str, float],
    weight_decay: float,
    steps: int,
    saved: bool,
) -> UserOptimizer:
    """The optimizer and schedule that these functions make. weight_decay: of a named optimizer; saved:
    whether an autosave must hold their state.

    Raises CommandError for what cannot be steered, or does not hold the model's parameters.
    """

    def make(other: Mapping[Parameter, Parameter]) -> tuple[Optimizer, LRScheduler | None]:
        handed = [
            {"params": [other.get(p, p) for p in own], "lr": rates[name], "name": name}
            for name, own in groups.items()
        ]
        if isinstance(optimizer, str):
            made = named_optimizer(optimizer, weight_decay, handed)
        else:
            made = _called("optimizer", optimizer, handed, "the run's parameter groups")
            _check_optimizer(made)
        if scheduler is None:
            return made, None
        schedule = _called("scheduler", scheduler, made, "the optimizer")
        _check_scheduler(schedule, made, steps)
        return made, schedule

    made, schedule = make({})
    _check_held(made, groups)
    found = UserOptimizer(made, schedule, make)
    found.register(groups)
    if saved:
        _check_saving(found.position())
    return found


def pack_schedule(position: Mapping[str, Any]) -> Tensor:
    """`UserOptimizer.position` as bytes, for an autosave."""
    file = io.BytesIO()
    torch.save(position, file)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


def unpack_schedule(packed: Tensor) -> dict[str, Any]:
    """What `pack_schedule` packed: numbers, texts, tensors and containers; a file cannot run code."""
    return torch.load(io.BytesIO(packed.cpu().numpy().tobytes()), weights_only=True)


def _check_saving(position: Mapping[str, Any]) -> None:
    try:
        unpack_schedule(pack_schedule(position))
    except Exception as error:
        raise CommandError(
            "autosave= cannot hold the state of this optimizer or scheduler, since it has more than "
            f"numbers, texts and tensors in it: {str(error).splitlines()[0]}"
        ) from error


def why_not_steerable(optimizer: Optimizer) -> str | None:
    """Why groups of an optimizer cannot be frozen, or get rates of their own; None if they can."""
    if isinstance(optimizer, LBFGS):
        return (
            "LBFGS treats all its parameters as one vector, so none can be frozen or get a rate of its "
            "own; AdamW and SGD can be steered."
        )
    for number, group in enumerate(optimizer.param_groups):
        if not isinstance(group.get("lr"), Real | Tensor):
            return (
                f"Group {number} of {type(optimizer).__name__} has no rate (lr={group.get('lr')!r}), so "
                "there is none to steer; give it one."
            )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        return (
            f"{type(optimizer).__name__}.step needs a closure that computes the loss again, and a step "
            "is taken without one here; AdamW and SGD can be steered."
        )
    return None


def _called(argument: str, function: Callable[[Any], Any], value: Any, described: str) -> Any:
    try:
        return function(value)
    except Exception as error:
        raise CommandError(
            f"{argument}= is a function that is called with {described}, and it raised "
            f"{type(error).__name__}: {error}"
        ) from error


def _check_optimizer(made: Any) -> None:
    if not isinstance(made, Optimizer):
        raise CommandError(
            f"optimizer= is a function that returns a torch.optim.Optimizer, and it returned "
            f"{type(made).__name__}. Write for instance optimizer=lambda groups: SGD(groups, lr=0.1)."
        )
    if reason := why_not_steerable(made):
        raise CommandError(reason)


def _check_held(made: Optimizer, groups: Mapping[str, list[Parameter]]) -> None:
    held = {p for group in made.param_groups for p in group["params"]}
    if dropped := [name for name, own in groups.items() if not held.issuperset(own)]:
        raise CommandError(
            f"The optimizer does not hold all of {', '.join(dropped)}, which then could never train. "
            "Let its function pass every group on; freeze=… says what starts frozen."
        )
    if foreign := len(held - {p for own in groups.values() for p in own}):
        raise CommandError(
            f"The optimizer holds {foreign} parameters that are not the model's, and Rewind could not "
            "bring them back. Put them into the model, or train them in a loop under tl.steer."
        )


def _check_scheduler(schedule: Any, made: Optimizer, steps: int) -> None:
    if isinstance(schedule, ReduceLROnPlateau):
        raise CommandError(
            "ReduceLROnPlateau needs a metric at each step, and a schedule here is a function of the "
            "step alone, so that Rewind can repeat it. Take another, or send SetLR when the loss stalls."
        )
    if not isinstance(schedule, LRScheduler):
        raise CommandError(
            f"scheduler= is a function that returns a scheduler of torch.optim.lr_scheduler, and it "
            f"returned {type(schedule).__name__}."
        )
    if schedule.optimizer is not made:
        raise CommandError(
            "The scheduler must schedule the optimizer that its function is called with, and it has "
            "another one. Write for instance scheduler=lambda optimizer: StepLR(optimizer, 100)."
        )
    total = getattr(schedule, "total_steps", None)
    if total is not None and total < steps:
        raise CommandError(
            f"{type(schedule).__name__} ends after {total} steps and the run has {steps}; give it "
            f"total_steps={steps}, or the run steps={total}."
        )
