"""What a command is: one frozen dataclass, declared once, JSON both ways, checked before it travels.

`commands.py` declares them all; what each does is in `apply.py`.
"""

import re
import sys
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, dataclass_transform

from tlcourse.errors import CommandError

_NAME = re.compile(r"[^\W_][\w .+@-]{0,39}")
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
        needed = [f.name for f in fields(cls) if f.default is MISSING]  # type: ignore[arg-type]
        missing = [name for name in needed if name not in arguments]
        raise CommandError(f"{cls.__name__} also needs {', '.join(missing)}.") from None
    made.check()
    return made


def is_number(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max


def check_lr(lr: Any, instead: str) -> None:
    if not is_number(lr) or lr <= 0:
        raise CommandError(f"A learning rate is a number above 0, not {lr!r}. {instead}")


def check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CommandError(
            f"{what} is a short name of letters, digits, spaces, - and _, such as 'warm', not {name!r}."
        )


def check_group(group: Any) -> None:
    if not isinstance(group, str) or not group:
        raise CommandError(f"A group is named by a string such as 'head', not {group!r}.")


def unknown_group(group: str, groups: list[str]) -> CommandError:
    near = get_close_matches(group, groups, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return CommandError(
        f"No parameter group {group!r}. This model has: {', '.join(groups)}; "
        f"'backbone' is all but {groups[-1]}, 'all' is everything.{hint}"
    )


def members(group: str, groups: list[str], adapters: Collection[str] = ()) -> list[str]:
    """The groups that a name stands for: itself; "head" (the last one); "backbone" (all but adapters and
    the last); "all"; or a common beginning, such as "layer" for "layer.0" and "layer.1"."""
    if group in groups:
        return [group]
    if group == "all":
        return list(groups)
    if group == "backbone" and len(groups) > 1:
        return [name for name in groups[:-1] if name not in adapters]
    within = [name for name in groups if name.startswith(f"{group}.")]
    if within or group == "head":
        return within or groups[-1:]
    raise unknown_group(group, groups)
