"""What a checkpoint of somebody's optimizer remembers of the steering, so that resuming loses nothing.

A checkpoint of an optimizer says nothing about what was frozen, and lists its parameters by number.
So a group that was unfrozen on the way is frozen again after resuming, silently, or the numbers do not
fit. Here `optimizer.state_dict()` also says which groups trained, at which factors, and which
parameters came late; loading it takes those in and asks for the rest by commands, which are answered
by events like any other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from ..commands import Command, SetLR, Unfreeze

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from ..model.groups import Levers
    from .optimizer import GivenOptimizer

KEY = "tlcourse"


def wanted(
    levers: "Levers", training: Iterable[str], factors: Mapping[str, float]
) -> Iterator[Command]:
    """What brings back how a checkpoint was trained: its groups train again, at its rates. Nothing is
    frozen by it: a load must not undo what a hand has done since."""
    given = levers.optimizer
    for name in training:
        if name in levers.groups and given.knows(name):
            lr = given.base(name) * factors[name]
            if name in levers.frozen:
                yield Unfreeze(name, lr or None)
            elif lr and factors[name] != given.factors[name]:
                yield SetLR(name, lr)


class Memory:
    """Writes into the checkpoints of a `GivenOptimizer`, and reads from them."""

    def __init__(
        self,
        given: "GivenOptimizer",
        model: nn.Module,
        loaded: Callable[[list[str], dict[str, float]], None],
    ):
        self._given, self._model, self._loaded = given, model, loaded
        self._read: Mapping[str, Any] | None = None

    def hooks(self) -> list["RemovableHandle"]:
        torch = self._given.torch
        return [
            torch.register_state_dict_pre_hook(lambda _: self._given._restore()),
            torch.register_state_dict_post_hook(self._write),
            torch.register_load_state_dict_pre_hook(self._fit),
            torch.register_load_state_dict_post_hook(self._tell),
        ]

    def _write(self, _: Any, state_dict: dict[str, Any]) -> None:
        given = self._given
        names = {p: name for name, p in self._model.named_parameters()}
        state_dict[KEY] = {
            "training": list(given.training),
            "factors": dict(given.factors),
            "late": [
                [names.get(p, "") for p in given.late_of(home)] for home in range(len(given.own))
            ],
        }

    def _fit(self, _: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Make the numbers of a checkpoint fit what is held now. state_dict: a shallow copy."""
        self._given._restore()
        self._read = read = state_dict.pop(KEY, None)
        saved, own = state_dict["param_groups"], self._given.own
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
            there = {None, *self._given.late_of(home)}
            for p in (p for p in number if p not in there):
                self._given.take_in(p, home)
            held = self._given.late_of(home)
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

    def _tell(self, _: Any) -> None:
        self._given.begin_anew()
        if read := self._read:
            self._loaded(list(read["training"]), dict(read["factors"]))
        self._read = None
