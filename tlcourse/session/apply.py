"""What each command does to a run: checked in full first, then done; refused means nothing changed."""

from functools import singledispatch

from tlcourse.errors import CommandError

from .commands import (
    Augment,
    Command,
    Evaluate,
    Freeze,
    Pause,
    Resume,
    SetLR,
    Stop,
    Unfreeze,
    members,
)
from .training import Training


@singledispatch
def apply(command: Command, t: Training) -> None:
    """Do it, or raise CommandError with the reason before anything has changed."""
    raise CommandError(f"This engine does not know {type(command).__name__}.")


@apply.register
def _(command: SetLR, t: Training) -> None:
    asked = members(command.group, t.names)
    training = [name for name in asked if name not in t.frozen]
    if not training:
        raise CommandError(
            f"{command.group} is frozen, so a rate would do nothing. "
            f"Unfreeze it with one: Unfreeze({command.group!r}, lr={command.lr:g})."
        )
    for name in training:
        t.set_lr(name, command.lr)


@apply.register
def _(command: Freeze, t: Training) -> None:
    asked = members(command.group, t.names)
    changing = [name for name in asked if t.frozen.get(name) != command.stats]
    if not changing:
        raise CommandError(f"{command.group} is frozen already.")
    if set(t.frozen) | set(asked) == set(t.names):
        last = [name for name in t.names if name not in t.frozen]
        raise CommandError(
            f"Everything would be frozen and nothing could learn: of {', '.join(t.names)} only "
            f"{', '.join(last)} {'trains' if len(last) == 1 else 'train'} now. "
            "Unfreeze another group first, or Stop."
        )
    for name in changing:
        t.freeze(name, command.stats)


@apply.register
def _(command: Unfreeze, t: Training) -> None:
    frozen = [name for name in members(command.group, t.names) if name in t.frozen]
    if not frozen:
        rate = command.lr or t.lr(members(command.group, t.names)[0])
        raise CommandError(
            f"{command.group} is training already. "
            f"To change its rate: SetLR({command.group!r}, {rate:g})."
        )
    for name in frozen:
        t.unfreeze(name, command.lr)


@apply.register
def _(command: Augment, t: Training) -> None:
    if not t.batches.pictures:
        raise CommandError("These are numbers, not pictures: there is nothing to augment.")
    t.batches.strength = float(command.strength)


@apply.register
def _(command: Evaluate, t: Training) -> None:
    """Only checked here: the engine measures, and says so with `Evaluated`."""
    split = getattr(t.data, command.split)
    if split is None or len(split.y) == 0:
        raise CommandError(f"This data has no {command.split} split to evaluate on.")


@apply.register
def _(command: Pause, t: Training) -> None:
    if t.paused:
        raise CommandError("The run is paused already; Resume goes on.")
    t.paused = True


@apply.register
def _(command: Resume, t: Training) -> None:
    if not t.paused:
        raise CommandError("The run is not paused.")
    t.paused = False


@apply.register
def _(command: Stop, t: Training) -> None:
    t.paused = False
    t.ending = "stopped"
