"""The optimizer of somebody else's loop: how it is found, and what its checkpoints say of the steering.

A checkpoint of an optimizer says nothing about what was frozen, and lists its parameters by number.
So after resuming, a group that was unfrozen on the way is silently frozen again, or the numbers do not
fit. Here `optimizer.state_dict()` also says which groups trained, at which factors, and which
parameters came late. Loading it takes those in and asks for the rest by commands, which are answered
by events like any other.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from tlcourse.errors import SessionError

from ..commands import Command, SetLR, Unfreeze
from ..model.groups import Levers
from ..model.user_optimizer import UserOptimizer, why_not_steerable

KEY = "tlcourse"


def commands_of(
    levers: Levers, training: Iterable[str], factors: Mapping[str, float]
) -> Iterator[Command]:
    """What brings back how a checkpoint was trained: its groups train again, at its rates. Nothing is
    frozen by it: a load must not undo what was done since."""
    optimizer = levers.optimizer
    for name in training:
        if name in levers.groups and optimizer.knows(name):
            lr = optimizer.base(name) * factors[name]
            if name in levers.frozen:
                yield Unfreeze(name, lr or None)
            elif lr and factors[name] != optimizer.factors[name]:
                yield SetLR(name, lr)


class Checkpoints:
    """Writes into the checkpoints of an optimizer, and reads from them.

    model: names the parameters; loaded: called with (groups that trained, factors, parameters that the
    model lacks) of a checkpoint that was loaded into the optimizer.
    """

    def __init__(
        self,
        optimizer: UserOptimizer,
        model: nn.Module,
        loaded: Callable[[list[str], dict[str, float], list[str]], None],
    ):
        self._of, self._model, self._loaded = optimizer, model, loaded
        self._read: Mapping[str, Any] | None = None
        torch = optimizer.torch
        self._handles = [
            torch.register_state_dict_pre_hook(lambda _: optimizer.undivide()),
            torch.register_state_dict_post_hook(self._write),
            torch.register_load_state_dict_pre_hook(self._fit),
            torch.register_load_state_dict_post_hook(self._finish),
        ]

    def release(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _write(self, _: Any, state_dict: dict[str, Any]) -> None:
        of = self._of
        names = {p: name for name, p in self._model.named_parameters()}
        state_dict[KEY] = {
            "training": list(of.training),
            "factors": dict(of.factors),
            "late": [[names.get(p, "") for p in of.late_of(home)] for home in range(len(of.own))],
        }

    def _fit(self, _: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Make the numbers of a checkpoint fit what is held now. state_dict: a shallow copy."""
        self._of.undivide()
        self._read = read = state_dict.pop(KEY, None)
        saved, own = state_dict["param_groups"], self._of.own
        if len(saved) != len(own):
            return state_dict  # torch refuses that, and says why
        named = dict(self._model.named_parameters())
        if read is None and all(
            len(group["params"]) == len(mine["params"])
            for group, mine in zip(saved, own, strict=True)
        ):
            return state_dict  # written by something that speaks of all that is held now
        late = (read or {}).get("late") or [[] for _ in saved]
        fitted = []
        for home, group in enumerate(saved):
            numbers = list(group["params"])
            split = len(numbers) - len(late[home])
            number = {named.get(n): k for n, k in zip(late[home], numbers[split:], strict=True)}
            known = {None, *self._of.late_of(home)}
            for p in (p for p in number if p not in known):
                self._of.take_in(p, home)
            held = self._of.late_of(home)
            kept = numbers[:split]
            for p in held:
                if p in number:
                    kept.append(number[p])
                else:  # it came after that checkpoint: it begins with an empty state
                    kept.append(f"late {home}.{len(kept)}")
            fitted.append(group | {"params": kept})
        wanted = {n for group in fitted for n in group["params"]}
        state = {n: kept for n, kept in state_dict["state"].items() if n in wanted}
        return state_dict | {"param_groups": fitted, "state": state}

    def _finish(self, _: Any) -> None:
        self._of.begin_anew()
        if read := self._read:
            named = dict(self._model.named_parameters())
            lacks = [name for late in read["late"] for name in late if name and name not in named]
            self._loaded(list(read["training"]), dict(read["factors"]), lacks)
        self._read = None


class AwaitedOptimizer:
    """Stands for an optimizer that does not exist yet; nothing trains before it does."""

    torch, scheduled = None, True

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.state: dict[Parameter, dict[str, Any]] = {}

    def register(self, groups: Mapping[str, list[Parameter]]) -> None:
        self.rates = dict.fromkeys(groups, 0.0)

    def hold(self, groups: Mapping[str, list[Parameter]], frozen: Collection[str]) -> None: ...

    def base(self, name: str) -> float:
        return 0.0

    def position(self) -> None:
        return None

    def go_to(self, position: None) -> None: ...

    def release(self) -> None: ...


def torch_optimizer_of(optimizer: Any) -> Optimizer:
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
    if reason := why_not_steerable(optimizer):
        raise SessionError(reason)
    return optimizer
