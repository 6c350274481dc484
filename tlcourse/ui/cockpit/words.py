"""Commands as log entries in words, and as code that repeats them."""

from dataclasses import MISSING, fields
from functools import singledispatch
from typing import Any

from tlcourse.session.commands import (
    AddLoRA,
    Augment,
    Branch,
    Command,
    Evaluate,
    Freeze,
    Pause,
    Resume,
    Rewind,
    Save,
    SetLR,
    SetScale,
    SetWeight,
    Stop,
    SwapHead,
    Twin,
    Unfreeze,
)
from tlcourse.session.events import Applied


def done(event: Applied) -> str:
    """An applied command: "unfroze stage4 at lr 1e-04"."""
    command = event.command
    if isinstance(command, Unfreeze) and command.lr is None and command.group in event.lrs:
        command = Unfreeze(command.group, event.lrs[command.group])
    return say(command)


_ASKED = {
    "set_lr": "set lr of {group}",
    "add_lora": "add LoRA to {group}",
    "set_scale": "set scale of {adapter}",
    "swap_head": "swap head",
    "set_weight": "set weight of {term}",
    "save": "bookmark {name}",
    "rewind": "rewind to {to}",
    "branch": "branch {name}",
}


def asked(command: Any) -> str:
    """A refused command, from its JSON: "not done: set lr of head"."""
    if not isinstance(command, dict):
        return "not done"
    kind = str(command.get("kind"))
    try:
        words = _ASKED[kind].format(**command)
    except (KeyError, IndexError):  # an unknown kind, or a missing field
        words = " ".join([kind, *([str(command["group"])] if "group" in command else [])])
    return f"not done: {words}"


def code(command: Command) -> str:
    """Code for this command, such as "tl.SetLR('head', 0.001)"."""
    arguments = []
    for field in fields(command):  # type: ignore[arg-type]
        value = getattr(command, field.name)
        if field.default is MISSING:
            arguments.append(repr(value))
        elif value != field.default:
            arguments.append(f"{field.name}={value!r}")
    return f"tl.{type(command).__name__}({', '.join(arguments)})"


@singledispatch
def say(command: Command) -> str:
    return command.kind.replace("_", " ")


@say.register
def _(command: SetLR) -> str:
    return f"lr of {command.group} set to {show(command.lr)}"


@say.register
def _(command: Freeze) -> str:
    drift = "" if command.stats else ", its BatchNorm statistics keep updating"
    return f"froze {command.group}{drift}"


@say.register
def _(command: Unfreeze) -> str:
    return f"unfroze {command.group}{_at(command.lr)}"


@say.register
def _(command: AddLoRA) -> str:
    name = "" if command.name == "lora" else f" as {command.name}"
    return f"added LoRA of rank {command.rank} to {command.group}{name}{_at(command.lr)}"


@say.register
def _(command: SetScale) -> str:
    return f"scale of {command.adapter} set to {command.value:g}"


@say.register
def _(command: SwapHead) -> str:
    return f"put in a fresh {command.head} head{_at(command.lr)}"


@say.register
def _(command: SetWeight) -> str:
    return f"weight of {command.term} set to {command.value:g}"


@say.register
def _(command: Augment) -> str:
    return f"augmentation {command.strength:g}" if command.strength else "augmentation off"


@say.register
def _(command: Save) -> str:
    return f"set bookmark {command.name}"


@say.register
def _(command: Rewind) -> str:
    branch = f" of {command.branch}" if command.branch else ""
    return f"rewound to {command.to}{branch}"


@say.register
def _(command: Branch) -> str:
    return f"began branch {command.name}" + ("" if command.at is None else f" at {command.at}")


@say.register
def _(command: Twin) -> str:
    return "armed a twin" if command.on else "ended the twin"


@say.register
def _(command: Evaluate) -> str:
    return f"evaluated on {command.split}"


@say.register
def _(command: Pause) -> str:
    return "paused"


@say.register
def _(command: Resume) -> str:
    return "resumed"


@say.register
def _(command: Stop) -> str:
    return "stopped"


def _at(lr: float | None) -> str:
    return "" if lr is None else f" at lr {show(lr)}"


def show(lr: float) -> str:
    """0.0003 → "3e-4", as the cockpit's fields show it."""
    if 0.001 <= lr < 1000:
        return f"{lr:.3g}"
    digits, power = f"{lr:.2e}".split("e")
    return f"{float(digits):g}e{int(power)}"
