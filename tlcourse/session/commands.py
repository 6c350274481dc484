"""Commands: everything that a hand, a notebook line or a record can ask of a run.

    rates and freezing   SetLR, Freeze, Unfreeze
    what is trained      AddLoRA, SetScale, SwapHead
    the loss, the data   SetWeight, Augment
    time                 Save, Rewind, Branch, Twin
    the run itself       Evaluate, Pause, Resume, Stop

Each is declared once by `@command(kind)`: its fields are its JSON, and `check` refuses what can be
seen to be wrong without looking at the run. What each does is in `apply.py`.
"""

from tlcourse.errors import CommandError

from .command import (
    Command,
    check_group,
    check_lr,
    check_name,
    command,
    from_json,
    is_number,
    kinds,
    members,
    unknown_group,
)

SPLITS = ("train", "valid", "test")
HEADS = ("linear", "mlp")


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


def check_moment(what: str, moment: object) -> None:
    if isinstance(moment, str):
        check_name("A bookmark", moment)
    elif isinstance(moment, bool) or not isinstance(moment, int) or moment < 0:
        raise CommandError(
            f"{what} goes to a step from 0 on or to a bookmark's name, not {moment!r}."
        )


STEERING = (SetLR, Freeze, Unfreeze, AddLoRA, SetScale, SwapHead, SetWeight, Augment)
"""What changes how a run goes on: a timeline's history is the list of these."""

__all__ = [cls.__name__ for cls in kinds().values()] + [
    "HEADS", "SPLITS", "STEERING", "Command", "from_json", "kinds", "members", "unknown_group",
]  # fmt: skip
