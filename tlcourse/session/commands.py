"""Commands: everything that a hand, a notebook line or a record can ask of a run.

    rates and freezing   SetLR, Freeze, Unfreeze
    what is trained      AddLoRA, SetScale, SwapHead
    the loss, the data   SetWeight, Augment
    time                 Save, Rewind, Branch, Twin
    the run itself       Evaluate, Pause, Resume, Stop

Each is declared once by `@command(kind)`: its fields are its JSON, and `check` refuses what can be
seen to be wrong without looking at the run. What each does is in `apply.py`.
"""

import re
import sys
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, dataclass_transform

from tlcourse.errors import CommandError

SPLITS = ("train", "valid", "test")
HEADS = ("linear", "mlp")
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


def check_moment(what: str, moment: object) -> None:
    if isinstance(moment, str):
        check_name("A bookmark", moment)
    elif isinstance(moment, bool) or not isinstance(moment, int) or moment < 0:
        raise CommandError(
            f"{what} goes to a step from 0 on or to a bookmark's name, not {moment!r}."
        )


@command("set_lr")
class SetLR(Command):
    """Set the learning rate of a training group. lr: > 0."""

    group: str
    lr: float

    def check(self) -> None:
        check_group(self.group)
        check_lr(self.lr, instead=f"To stop its training use Freeze({self.group!r}).")


@command("freeze")
class Freeze(Command):
    """Stop training a group. With `stats`, its BatchNorm running statistics stand still too;
    without, they go on following the batches, and the features drift."""

    group: str
    stats: bool = True

    def check(self) -> None:
        check_group(self.group)
        if not isinstance(self.stats, bool):
            raise CommandError(f"Freeze's stats is True or False, not {self.stats!r}.")


@command("unfreeze")
class Unfreeze(Command):
    """Train a frozen group. lr: > 0, or None for the rate that it had last."""

    group: str
    lr: float | None = None

    def check(self) -> None:
        check_group(self.group)
        if self.lr is not None:
            check_lr(self.lr, instead="Leave it out for the rate that the group had last.")


@command("add_lora")
class AddLoRA(Command):
    """Low-rank adapters beside the linear and convolution layers of a group, whose own weights freeze.

    They become a parameter group of their own, called `name`. rank: 1 … 256, at most; a smaller layer
    gets what fits. alpha: the update is scaled by alpha / rank; None is alpha = rank. lr: > 0, or None
    for the highest rate in use. layers: endings of layer names, comma-separated ("query,value"); None is
    every layer that can take one. The first forward pass is unchanged: B starts at zero.
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
    """

    group: str = "backbone"
    rank: int = 8
    alpha: float | None = None
    lr: float | None = None
    layers: str | None = None
    name: str = "lora"

    def check(self) -> None:
        check_group(self.group)
        check_name("An adapter", self.name)
        if (
            isinstance(self.rank, bool)
            or not isinstance(self.rank, int)
            or not 1 <= self.rank <= 256
        ):
            raise CommandError(f"A LoRA's rank is a whole number from 1 to 256, not {self.rank!r}.")
        if self.alpha is not None and (not is_number(self.alpha) or self.alpha <= 0):
            raise CommandError(f"A LoRA's alpha is a number above 0, not {self.alpha!r}.")
        if self.lr is not None:
            check_lr(self.lr, instead="Leave it out for the highest rate in use.")
        if self.layers is not None and not (isinstance(self.layers, str) and self.layers.strip()):
            raise CommandError(
                f"layers are endings of layer names such as 'query,value', not {self.layers!r}."
            )


@command("set_scale")
class SetScale(Command):
    """Turn an adapter up or down: its update is multiplied by value. 0 is without, 1 as trained."""

    adapter: str
    value: float

    def check(self) -> None:
        check_name("An adapter", self.adapter)
        if not is_number(self.value) or not -10 <= self.value <= 10:
            raise CommandError(f"An adapter's scale goes from -10 to 10, not {self.value!r}.")


@command("swap_head")
class SwapHead(Command):
    """Replace the head by a fresh one, drawn by the run's seed. head: "linear", or "mlp" with one
    hidden layer as wide as the features. lr: > 0, or None for the rate that the head had."""

    head: str = "linear"
    lr: float | None = None

    def check(self) -> None:
        if self.head not in HEADS:
            raise CommandError(f"No head {self.head!r}. Heads are: {', '.join(HEADS)}.")
        if self.lr is not None:
            check_lr(self.lr, instead="Leave it out for the rate that the head had.")


@command("set_weight")
class SetWeight(Command):
    """Weigh a term of the loss. value: ≥ 0; at 0 the term is not computed."""

    term: str
    value: float

    def check(self) -> None:
        check_name("A term", self.term)
        if not is_number(self.value) or self.value < 0:
            raise CommandError(f"A term's weight is a number from 0 on, not {self.value!r}.")


@command("augment")
class Augment(Command):
    """Vary the training pictures: crop, shift, rotate, mirror, light. strength: 0 (off) … 1."""

    strength: float

    def check(self) -> None:
        if not is_number(self.strength) or not 0 <= self.strength <= 1:
            raise CommandError(f"Augment's strength goes from 0 (off) to 1, not {self.strength!r}.")


@command("save")
class Save(Command):
    """Set a bookmark here: this very state is kept under a name until the session ends."""

    name: str

    def check(self) -> None:
        check_name("A bookmark", self.name)


@command("rewind")
class Rewind(Command):
    """Go back, bit for bit. to: a step (the state on arrival there, before what was done at it) or the
    name of a bookmark. branch: the timeline to go on with; None is the one that trains now. What came
    after on that timeline is given up."""

    to: int | str
    branch: str | None = None

    def check(self) -> None:
        check_moment("Rewind", self.to)
        if self.branch is not None:
            check_name("A branch", self.branch)


@command("branch")
class Branch(Command):
    """Begin another timeline and train on in it; the one left stays as it is. at: a step or a bookmark
    of the present timeline to begin from; None is here."""

    name: str
    at: int | str | None = None

    def check(self) -> None:
        check_name("A branch", self.name)
        if self.at is not None:
            check_moment("Branch", self.at)


@command("twin")
class Twin(Command):
    """With on, the next intervention gets an untouched control: a twin that from that moment trains
    beside, on the same batches with the same noise, without it. Costs a second step each step. Off
    ends the twin; so do a rewind and a branch."""

    on: bool = True

    def check(self) -> None:
        if not isinstance(self.on, bool):
            raise CommandError(f"Twin's on is True or False, not {self.on!r}.")


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


STEERING = (SetLR, Freeze, Unfreeze, AddLoRA, SetScale, SwapHead, SetWeight, Augment)
"""What changes how a run goes on: a timeline's history is the list of these."""

__all__ = [cls.__name__ for cls in kinds().values()] + [
    "HEADS", "SPLITS", "STEERING", "Command", "from_json", "kinds", "members", "unknown_group",
]  # fmt: skip
