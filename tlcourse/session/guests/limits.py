"""What a loop of one's own takes, and what it refuses, with the reason; and what any run refuses."""

from collections.abc import Iterable
from typing import Any

import torch

from tlcourse.errors import CommandError, SessionError

from ..commands import STEERING, AddLoRA, Command, SetLR, SwapHead, Unfreeze, members
from ..engine.boundary import refused
from ..engine.inbox import Envelope, Inbox
from ..events import Refused
from ..model.groups import Levers

CAN = frozenset(
    "set_lr freeze unfreeze add_lora set_scale swap_head save rewind pause resume stop".split()
)
CANNOT = {
    "branch": "Branch would train another past again, and your loop cannot be made to repeat itself.",
    "twin": "Twin would take every step twice, and the steps are yours.",
    "augment": "Augment would change the batches, and they come from your loader.",
    "set_weight": "SetWeight would change the loss, and that is computed by your own code.",
    "evaluate": "Evaluate needs data to measure on; measure in your loop and tell it with "
    "steering.log(accuracy=…).",
}


def check(command: object, levers: Levers, waiting: Iterable[Envelope]) -> None:
    """Raises CommandError for what can be seen to be wrong before the loop comes to it."""
    if isinstance(command, Command) and command.kind not in CAN:
        reason = CANNOT.get(command.kind, f"Your loop cannot {type(command).__name__}.")
        raise CommandError(f"{reason} A Session can do it.")
    check_itself(command, levers, waiting, "steering")


def check_itself(
    command: object, levers: Levers, waiting: Iterable[Envelope], sender: str = "run"
) -> None:
    """The same for any run: is it a command, are its arguments good, is there such a group?"""
    if not isinstance(command, Command):
        raise CommandError(
            f"{command!r} is not a command. Write for instance {sender}.send(tl.Freeze('backbone'))."
        )
    command.check()
    group = getattr(command, "group", None)
    coming = {e.command.name for e in waiting if isinstance(e.command, AddLoRA)}
    if group and group not in coming:
        members(group, levers.names, levers.added)


def why_not(command: Command, levers: Levers, over: bool) -> str | None:
    """What comes too late (over: all steps are taken), and what the schedule refuses: a rate cannot be
    set while it multiplies by 0."""
    if over and isinstance(command, STEERING):
        return "The loop has taken all its steps, so nothing would train with this."
    if not isinstance(command, SetLR | Unfreeze | AddLoRA | SwapHead) or command.lr is None:
        return None
    group = levers.names[-1] if isinstance(command, SwapHead) else command.group
    try:
        asked = members(group, levers.names, levers.added)
    except CommandError as unknown:
        return str(unknown)
    still = [name for name in asked if not levers.optimizer.base(name)]
    if not still:
        return None
    later = "" if isinstance(command, SetLR) else ", or without lr"
    return (
        f"Your schedule holds the rate of {', '.join(still)} at 0 at this step (in a warm-up, or at "
        f"its end), and no factor makes {command.lr:g} of 0. Send it again some steps later{later}."
    )


def never_came(t: Any, inbox: Inbox) -> list[Refused]:
    """What was planned for steps that the loop has not reached."""
    return [
        refused(t, envelope, f"The loop ended at step {t.step}, before step {step} came.")
        for step, _, envelope in sorted(inbox.planned, key=lambda plan: plan[:2])
    ]


def too_late(command: Command, status: str) -> CommandError:
    return CommandError(
        f"The loop is {status}, so {type(command).__name__} comes too late; run it again and it takes "
        "commands."
    )


def refuse_several() -> None:
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if several and torch.distributed.get_world_size() > 1:
        raise SessionError(
            "A loop of your own is steered in one process: in several, a layer that is unfrozen live "
            "would not be averaged between them. A Session can be steered under accelerate launch."
        )
