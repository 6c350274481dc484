"""The recipe of a run: what determines it, together with model, data and record. It is planned and
checked from the arguments of a `Session`, before anything changes."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from tlcourse.checks import is_whole, learning_rate, whole_number
from tlcourse.data import Data
from tlcourse.data.own import check_classes, check_split
from tlcourse.errors import CommandError
from tlcourse.models.partition import can_train
from tlcourse.rng import checked_seed

from .commands import members

OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("float32", "bf16")
LAYOUTS = ("contiguous", "channels_last")
FACTORY = re.compile(r"[^\W\d]\w*(\.(<locals>|<lambda>|[^\W\d]\w*))+")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All JSON-able. steps: optimizer steps, each over `accumulate` batches of `batch_size` samples.
    optimizer: "adamw", "sgd", or the name of a function of the user's that makes one, which has a dot;
    scheduler: the name of such a function."""

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
    scheduler: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"freeze": list(self.freeze), "weights": dict(self.weights)}


def plan(
    model: nn.Module,
    groups: Mapping[str, nn.Module],
    data: Data,
    device: str,
    *,
    pictures: bool,
    freeze: Any,
    lr: Any,
    terms: Any,
    weights: Any,
    eval_every: int | None,
    keep_mb: float,
    pace: float | None,
    autosave_s: float,
    optimizer: Any,
    scheduler: Any,
    **rest: Any,
) -> Recipe:
    """The recipe of these arguments. pictures: whether the data are such. Raises CommandError with the
    choices for what cannot run."""
    names = list(groups)
    came = {n: list(module.parameters()) for n, module in groups.items()}
    if freeze is None:
        freeze = [n for n, own in came.items() if not any(p.requires_grad for p in own)]
    never = [n for n, own in came.items() if not any(map(can_train, own))]
    for name in ("steps", "batch_size", "accumulate"):
        rest[name] = whole_number(rest[name], name, CommandError, 1)
    eval_every = max(1, rest["steps"] // 20) if eval_every is None else eval_every
    eval_every = whole_number(eval_every, "eval_every", CommandError, 1)
    if not is_whole(workers := rest["workers"], 0):
        raise CommandError(f"workers is a number of processes from 0 on, not {workers!r}.")
    rest["optimizer"], rest["scheduler"] = _plan_optimizer(optimizer, scheduler)
    check_choice("precision", rest["precision"], (*PRECISIONS, "auto"))
    check_choice("layout", rest["layout"], (*LAYOUTS, "auto"))
    _check_range("augment goes from 0 (off) to 1", rest["augment"], 0, 1)
    _check_range("keep_mb is a number of megabytes from 0 on", keep_mb, 0, float("inf"))
    _check_range("autosave_s is a number of seconds from 0 on", autosave_s, 0, float("inf"))
    if pace is not None and not (isinstance(pace, int | float) and pace > 0):
        raise CommandError(f"pace is a number of steps a second above 0, or None, not {pace!r}.")
    _check_data(model, data)
    if rest["augment"] and not pictures:
        raise CommandError("These are numbers, not pictures: there is nothing to augment.")
    rest["seed"] = checked_seed(rest["seed"], CommandError)
    rest["precision"] = precision_of(rest["precision"], device)
    rest["layout"] = layout_of(rest["layout"], model, pictures)
    return Recipe(
        lr=plan_lr(names, lr),
        freeze=plan_freeze(names, freeze, never),
        eval_every=eval_every,
        weights=_plan_weights(dict(terms or {}), dict(weights or {})),
        **rest,
    )


def plan_freeze(
    names: list[str], freeze: str | list[str] | tuple[str, ...], never: Iterable[str] = ()
) -> tuple[str, ...]:
    """The groups that start frozen, in order; never: those that cannot train. Refuses to freeze
    everything."""
    named = [freeze] if isinstance(freeze, str) else list(freeze)
    frozen = {member for name in named for member in members(name, names)} | set(never)
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
        return dict.fromkeys(names, learning_rate(lr, CommandError))
    rates: dict[str, float] = {}
    for wide in (True, False):
        for group, rate in sorted(lr.items(), key=lambda item: item[0] != "all"):
            if (group not in names) == wide:
                rates |= dict.fromkeys(members(group, names), learning_rate(rate, CommandError))
    if missing := [name for name in names if name not in rates]:
        raise CommandError(
            f"lr has no rate for {', '.join(missing)}; add 'backbone' or 'all' for the rest."
        )
    return {name: rates[name] for name in names}


def check_choice(what: str, value: Any, choices: tuple[str, ...], more: str = "") -> None:
    if value not in choices:
        raise CommandError(f"No {what} {value!r}. There are: {', '.join(choices)}{more}.")


def _plan_optimizer(optimizer: Any, scheduler: Any) -> tuple[str, str | None]:
    """Their names."""
    if isinstance(optimizer, str) or not callable(optimizer):
        if isinstance(optimizer, torch.optim.Optimizer):
            name = type(optimizer).__name__
            raise CommandError(
                "optimizer= is a function that makes one, so that a twin and a replay get their own; "
                f"write optimizer=lambda groups: torch.optim.{name}(groups, …), not an {name} that is "
                "made already."
            )
        check_choice("optimizer", optimizer, OPTIMIZERS, "; or a function of parameter groups")
    if scheduler is not None and (isinstance(scheduler, str) or not callable(scheduler)):
        raise CommandError(
            "scheduler= is a function of the optimizer that makes a scheduler, such as "
            f"scheduler=lambda optimizer: StepLR(optimizer, 100), not {scheduler!r}."
        )
    names = [
        f if f is None or isinstance(f, str) else factory_name(f) for f in (optimizer, scheduler)
    ]
    return names[0], names[1]


def factory_name(function: Any) -> str:
    """module.qualname of a function, or of what a `partial` calls."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    name = f"{named.__module__}.{named.__qualname__}"
    return name if FACTORY.fullmatch(name) else "yours.factory"


def check_step(step: Any, steps: int) -> None:
    whole_number(step, "A step", CommandError, 0)
    if step >= steps:
        raise CommandError(
            f"The run has {steps} steps, so nothing can happen after {step}; "
            f"the last chance is {steps - 1}."
        )


def device_of(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise CommandError(
            f"This machine cannot train on device {name!r}; device='auto' takes what there is."
        ) from None
    return name


def precision_of(precision: str, device: str) -> str:
    """bf16 pays where the hardware multiplies it; elsewhere it is emulated, and slower."""
    if precision != "auto":
        return precision
    if device.startswith("cuda"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = "bf16" in _cpu_flags()
    return "bf16" if native else "float32"


def layout_of(layout: str, model: nn.Module, pictures: bool) -> str:
    if layout != "auto":
        return layout
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return "channels_last" if convolves and pictures else "contiguous"


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return ""


def _plan_weights(terms: dict[str, Any], weights: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    if strange := sorted(set(weights) - set(terms)):
        choices = ", ".join(terms) or "none"
        raise CommandError(f"No term {strange[0]!r} to weigh. Terms given: {choices}.")
    for name in terms:
        _check_range(f"The weight of {name} is a number from 0 on", weights.get(name, 1.0), 0, 1e12)
    return tuple((name, float(weights.get(name, 1.0))) for name in terms)


def _check_range(rule: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CommandError(f"{rule}, not {value!r}.")


def check_kinds(model: Any, data: Any) -> None:
    if (
        not isinstance(model, nn.Module)
        or not hasattr(data, "train")
        or not hasattr(data, "classes")
    ):
        raise CommandError(
            f"Session(model, data, …) takes a torch module and a tlcourse Data such as load_data gives, "
            f"not {type(model).__name__} and {type(data).__name__}."
        )


def _check_data(model: nn.Module, data: Data) -> None:
    known, classes = len(getattr(model, "classes", data.classes)), len(data.classes)
    if known != classes:
        raise CommandError(
            f"The model tells {known} classes apart and the data has {classes}; "
            "make the model with load_model(…, classes=data.classes)."
        )
    if len(data.train.y) == 0:
        raise CommandError("The training split is empty; ask load_data for at least one label.")
    check_classes(data.classes)
    for name in ("train", "valid", "test"):
        if (part := getattr(data, name, None)) is not None:
            check_split(name, part, data.classes)
