"""Commands: everything that a hand, a notebook line or a record can ask of a run.

Each is one frozen dataclass, declared once by `@command(kind)`: its fields are its JSON, and `check`
refuses what can be seen to be wrong without looking at the run. What a command does is in `apply.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, dataclass_transform

from tlcourse.errors import CommandError

SPLITS = ("train", "valid", "test")

_BY_KIND: dict[str, type["Command"]] = {}


class Command:
    """Something to do between two steps. Compares by value, hashes, and survives JSON."""

    __slots__ = ()
    kind: ClassVar[str]

    def check(self) -> None:
        """Raise CommandError if no run could ever apply this."""

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


@dataclass_transform(frozen_default=True)
def command(kind: str) -> Callable[[type], Any]:
    def declare(cls: type) -> Any:
        cls.kind = kind
        made = dataclass(frozen=True, slots=True)(cls)
        _BY_KIND[kind] = made
        return made

    return declare


def kinds() -> dict[str, type[Command]]:
    """Every command by its kind, in the order of declaration."""
    return dict(_BY_KIND)


def from_json(message: dict[str, Any]) -> Command:
    """The command that `to_json` wrote. Raises CommandError with the choices for anything else."""
    if not isinstance(message, dict):
        raise CommandError(f"A command is an object with a kind, not {message!r}.")
    kind = message.get("kind")
    cls = _BY_KIND.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise CommandError(f"No command {kind!r}. Commands are: {', '.join(_BY_KIND)}.")
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    arguments = {key: value for key, value in message.items() if key != "kind"}
    if strange := sorted(set(arguments) - set(known)):
        takes = ", ".join(known) or "nothing"
        raise CommandError(f"{cls.__name__} has no {', '.join(strange)}; it takes {takes}.")
    try:
        made = cls(**arguments)
    except TypeError:
        missing = [name for name in known if name not in arguments]
        raise CommandError(f"{cls.__name__} also needs {', '.join(missing)}.") from None
    made.check()
    return made


@command("set_lr")
class SetLR(Command):
    """Set the learning rate of a training group. lr: > 0."""

    group: str
    lr: float

    def check(self) -> None:
        _check_group(self.group)
        _check_lr(self.lr, instead=f"To stop its training use Freeze({self.group!r}).")


@command("freeze")
class Freeze(Command):
    """Stop training a group. With `stats`, its BatchNorm running statistics stand still too;
    without, they go on following the batches, and the features drift."""

    group: str
    stats: bool = True

    def check(self) -> None:
        _check_group(self.group)
        if not isinstance(self.stats, bool):
            raise CommandError(f"Freeze's stats is True or False, not {self.stats!r}.")


@command("unfreeze")
class Unfreeze(Command):
    """Train a frozen group. lr: > 0, or None for the rate that it had last."""

    group: str
    lr: float | None = None

    def check(self) -> None:
        _check_group(self.group)
        if self.lr is not None:
            _check_lr(self.lr, instead="Leave it out for the rate that the group had last.")


@command("augment")
class Augment(Command):
    """Vary the training pictures: crop, shift, rotate, mirror, light. strength: 0 (off) … 1."""

    strength: float

    def check(self) -> None:
        if not _is_number(self.strength) or not 0 <= self.strength <= 1:
            raise CommandError(f"Augment's strength goes from 0 (off) to 1, not {self.strength!r}.")


@command("evaluate")
class Evaluate(Command):
    """Measure accuracy and loss on a split now."""

    split: str = "valid"

    def check(self) -> None:
        if self.split not in SPLITS:
            raise CommandError(f"No split {self.split!r}. Splits are: {', '.join(SPLITS)}.")


@command("pause")
class Pause(Command):
    """Hold the run before its next step. Other commands still apply."""


@command("resume")
class Resume(Command):
    """Go on after a pause."""


@command("stop")
class Stop(Command):
    """End the run here; the result is what was reached."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_lr(lr: Any, instead: str) -> None:
    if not _is_number(lr) or lr <= 0:
        raise CommandError(f"A learning rate is a number above 0, not {lr!r}. {instead}")


def _check_group(group: Any) -> None:
    if not isinstance(group, str) or not group:
        raise CommandError(f"A group is named by a string such as 'head', not {group!r}.")


def unknown_group(group: str, groups: list[str]) -> CommandError:
    near = get_close_matches(group, groups, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return CommandError(
        f"No parameter group {group!r}. This model has: {', '.join(groups)}; "
        f"'backbone' is all but {groups[-1]}, 'all' is everything.{hint}"
    )


def members(group: str, groups: list[str]) -> list[str]:
    """The groups that a name stands for: itself, all but the last ("backbone"), or "all"."""
    if group in groups:
        return [group]
    if group == "all":
        return list(groups)
    if group == "backbone" and len(groups) > 1:
        return groups[:-1]
    raise unknown_group(group, groups)
