"""What each command does to a run: it is checked in full first, then done. Refused means unchanged.

What is typed `State` acts on any run; what is typed `Training` only on a Session's.
"""

from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING

from tlcourse.errors import CommandError
from tlcourse.models.partition import can_train

from ..commands import (
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
    members,
)
from ..model.edits import plan_head, plan_lora
from ..model.groups import Levers
from .boundary import State

if TYPE_CHECKING:
    from .training import Training


@singledispatch
def apply(command: Command, t: State) -> None:
    """Do it, or raise CommandError with the reason before anything has changed."""
    raise CommandError(f"This engine does not know {type(command).__name__}.")


# -- rates and freezing ------------------------------------------------------------------------


@apply.register
def _(command: SetLR, t: State) -> None:
    levers = t.levers
    training = [name for name in _members(command.group, levers) if name not in levers.frozen]
    if not training:
        raise CommandError(
            f"{command.group} is frozen, so a rate would do nothing. "
            f"Unfreeze it with one: Unfreeze({command.group!r}, lr={command.lr:g})."
        )
    for name in training:
        levers.set_lr(name, command.lr)


@apply.register
def _(command: Freeze, t: State) -> None:
    levers = t.levers
    named = _members(command.group, levers)
    changing = [name for name in named if levers.can_freeze(name, command.stats)]
    if not changing:
        raise CommandError(f"{command.group} is frozen already.")
    if set(levers.frozen) | set(named) == set(levers.names):
        last = [name for name in levers.names if name not in levers.frozen]
        raise CommandError(
            f"Everything would be frozen and nothing could learn: of {', '.join(levers.names)} only "
            f"{', '.join(last)} {'trains' if len(last) == 1 else 'train'} now. "
            "Unfreeze another group first, or Stop."
        )
    for name in changing:
        levers.freeze(name, command.stats)


@apply.register
def _(command: Unfreeze, t: State) -> None:
    levers = t.levers
    named = _members(command.group, levers)
    frozen = [name for name in named if name in levers.frozen]
    if not frozen:
        rate = command.lr or levers.optimizer.rates[named[0]]
        raise CommandError(
            f"{command.group} is training already. "
            f"To change its rate: SetLR({command.group!r}, {rate:g})."
        )
    for name in frozen:
        if not all(map(can_train, levers.groups[name])):
            raise CommandError(
                f"{name} is stored as whole numbers, which cannot train; AddLoRA can."
            )
    for name in frozen:
        levers.unfreeze(name, command.lr)


# -- what is trained ---------------------------------------------------------------------------


@apply.register
def _(command: AddLoRA, t: State) -> None:
    levers = t.levers
    named = _members(command.group, levers)
    edit = plan_lora(
        levers.model,
        levers.groups,
        named,
        rank=command.rank,
        alpha=command.alpha,
        layers=command.layers,
        name=command.name,
        seed=t.seed,
    )
    rate = max(levers.lrs().values()) if command.lr is None else command.lr
    levers.edit(replace(edit, command=command), {command.name: rate})
    for name in named:
        if name not in levers.frozen:
            levers.freeze(name, stats=True)


@apply.register
def _(command: SetScale, t: State) -> None:
    scales = t.levers.scales
    if command.adapter not in scales:
        choices = f"There are: {', '.join(scales)}." if scales else "AddLoRA makes one."
        raise CommandError(f"No adapter {command.adapter!r}. {choices}")
    t.levers.set_scale(command.adapter, float(command.value))


@apply.register
def _(command: SwapHead, t: State) -> None:
    levers = t.levers
    turn = sum(edit.adapter is None for edit in levers.edits)
    edit = plan_head(levers.model, levers.groups, kind=command.head, seed=t.seed, turn=turn)
    rates = {} if command.lr is None else {levers.names[-1]: command.lr}
    levers.edit(replace(edit, command=command), rates)


# -- the loss, the data ------------------------------------------------------------------------


@apply.register(SetWeight)
def _(command: SetWeight, t: "Training") -> None:
    if command.term not in t.terms:
        choices = f"There are: {', '.join(t.terms)}." if t.terms else "Give Session terms={…}."
        raise CommandError(f"This loss has no further term {command.term!r}. {choices}")
    t.weights[command.term] = float(command.value)


@apply.register
def _(command: Augment, t: State) -> None:
    if t.augment is None:
        raise CommandError("These are numbers, not pictures: there is nothing to augment.")
    t.augment = float(command.strength)


# -- time --------------------------------------------------------------------------------------


@apply.register
def _(command: Save, t: State) -> None:
    t.time.save(t, command.name)


@apply.register
def _(command: Rewind, t: State) -> None:
    t.time.rewind(t, command)


@apply.register(Branch)
def _(command: Branch, t: "Training") -> None:
    t.time.fork(t, command)


@apply.register(Twin)
def _(command: Twin, t: "Training") -> None:
    if command.on:
        if t.time.twin:
            raise CommandError(f"{t.time.twin.branch} trains already; Twin(False) ends it.")
        if t.time.armed:
            raise CommandError("The next intervention gets a twin already.")
        t.time.armed = True
    else:
        if not t.time.twin and not t.time.armed:
            raise CommandError("There is no twin to end.")
        t.time.armed = False
        t.time.end_twin()


# -- the run itself ----------------------------------------------------------------------------


@apply.register(Evaluate)
def _(command: Evaluate, t: "Training") -> None:
    """Only checked here; the boundary measures, and says so with `Evaluated`."""
    if not t.has(command.split):
        raise CommandError(f"This data has no {command.split} split to evaluate on.")


@apply.register
def _(command: Pause, t: State) -> None:
    if t.paused:
        raise CommandError("The run is paused already; Resume goes on.")
    t.paused = True


@apply.register
def _(command: Resume, t: State) -> None:
    if not t.paused:
        raise CommandError("The run is not paused.")
    t.paused = False


@apply.register
def _(command: Stop, t: State) -> None:
    t.paused = False
    t.ending = "stopped"


def _members(group: str, levers: Levers) -> list[str]:
    return members(group, levers.names, levers.added)
