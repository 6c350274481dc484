"""What determines a run, together with model, data and record; planned and checked before it begins."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlcourse.errors import CommandError

from .commands import members

OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("float32", "bf16")
LAYOUTS = ("contiguous", "channels_last")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All JSON-able. steps: optimizer steps, each over `accumulate` batches of `batch_size` samples."""

    steps: int
    lr: dict[str, float]  # a rate for every group, also for those that start frozen
    freeze: tuple[str, ...]
    freeze_stats: bool
    batch_size: int
    optimizer: str
    weight_decay: float
    augment: float
    eval_every: int
    seed: int
    accumulate: int = 1
    precision: str = "float32"
    layout: str = "contiguous"
    weights: tuple[tuple[str, float], ...] = ()  # of the loss's further terms, as the run begins
    workers: int = 0  # processes that read the data ahead; they change no bit

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"freeze": list(self.freeze), "weights": dict(self.weights)}


def plan_freeze(names: list[str], freeze: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The groups that start frozen, in order. Refuses to freeze everything."""
    asked = [freeze] if isinstance(freeze, str) else list(freeze)
    frozen = {member for name in asked for member in members(name, names)}
    if frozen == set(names):
        raise CommandError(
            f"freeze={freeze!r} would freeze everything and nothing could learn; "
            f"leave at least one of {', '.join(names)} out."
        )
    return tuple(name for name in names if name in frozen)


def plan_lr(names: list[str], lr: float | Mapping[str, float]) -> dict[str, float]:
    """A rate for every group: from one number, or a mapping in which a group's own name
    comes before "backbone", and that before "all"."""
    if not isinstance(lr, Mapping):
        return dict.fromkeys(names, _checked_lr(lr))
    rates: dict[str, float] = {}
    for wide in (True, False):
        for group, rate in sorted(lr.items(), key=lambda item: item[0] != "all"):
            if (group not in names) == wide:
                rates |= dict.fromkeys(members(group, names), _checked_lr(rate))
    if missing := [name for name in names if name not in rates]:
        raise CommandError(
            f"lr has no rate for {', '.join(missing)}; add 'backbone' or 'all' for the rest."
        )
    return {name: rates[name] for name in names}


def check_choice(what: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise CommandError(f"No {what} {value!r}. There are: {', '.join(choices)}.")


def check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CommandError(f"{name} is a whole number from 1 on, not {value!r}.")


def _checked_lr(lr: Any) -> float:
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < float("inf"):
        raise CommandError(f"A learning rate is a number above 0, not {lr!r}.")
    return float(lr)
