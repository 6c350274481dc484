"""Commands as a person would say that they have been done."""

from functools import singledispatch
from typing import Any

from tlcourse.session import (
    Applied,
    Augment,
    Command,
    Evaluate,
    Freeze,
    Pause,
    Resume,
    SetLR,
    Stop,
    Unfreeze,
)


def done(event: Applied) -> str:
    """What was applied: "unfroze stage4 at lr 1e-04"."""
    command = event.command
    if isinstance(command, Unfreeze) and command.lr is None and command.group in event.lrs:
        command = Unfreeze(command.group, event.lrs[command.group])
    return say(command)


def asked(command: Any) -> str:
    """What was asked for and refused, from the command's JSON: "not done: set lr of head"."""
    if not isinstance(command, dict):
        return "not done"
    kind = str(command.get("kind"))
    verb = {"set_lr": "set lr of"}.get(kind, kind)
    return " ".join(["not done:", verb, *([str(command["group"])] if "group" in command else [])])


@singledispatch
def say(command: Command) -> str:
    return command.kind.replace("_", " ")


@say.register
def _(command: SetLR) -> str:
    return f"lr of {command.group} set to {show(command.lr)}"


@say.register
def _(command: Freeze) -> str:
    drift = "" if command.stats else ", its BatchNorm statistics go on moving"
    return f"froze {command.group}{drift}"


@say.register
def _(command: Unfreeze) -> str:
    rate = "" if command.lr is None else f" at lr {show(command.lr)}"
    return f"unfroze {command.group}{rate}"


@say.register
def _(command: Augment) -> str:
    return f"augmentation {command.strength:g}" if command.strength else "augmentation off"


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


def show(lr: float) -> str:
    """0.0003 → "3e-4", as the cockpit's own fields show it."""
    if 0.001 <= lr < 1000:
        return f"{lr:.3g}"
    digits, power = f"{lr:.2e}".split("e")
    return f"{float(digits):g}e{int(power)}"
