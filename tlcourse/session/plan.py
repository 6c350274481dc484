"""From the arguments of a `Session` to its recipe: all is checked here, before anything changes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tlcourse.data import Data
from tlcourse.errors import CommandError
from tlcourse.rng import checked_seed

from .engine.loader import holds_pictures
from .recipe import (
    LAYOUTS,
    OPTIMIZERS,
    PRECISIONS,
    Recipe,
    check_choice,
    check_count,
    plan_freeze,
    plan_lr,
)


def plan(
    model: nn.Module,
    groups: Mapping[str, nn.Module],
    data: Data,
    device: str,
    *,
    freeze: Any,
    lr: Any,
    terms: Any,
    weights: Any,
    eval_every: int | None,
    keep_mb: float,
    pace: float | None,
    autosave_s: float,
    **rest: Any,
) -> Recipe:
    """Raises CommandError with the choices for what cannot run."""
    names = list(groups)
    if freeze is None:
        freeze = [
            name
            for name, module in groups.items()
            if not any(p.requires_grad for p in module.parameters())
        ]
    for name in ("steps", "batch_size", "accumulate"):
        check_count(name, rest[name])
    eval_every = max(1, rest["steps"] // 20) if eval_every is None else eval_every
    check_count("eval_every", eval_every)
    workers = rest["workers"]
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise CommandError(f"workers is a number of processes from 0 on, not {workers!r}.")
    check_choice("optimizer", rest["optimizer"], OPTIMIZERS)
    check_choice("precision", rest["precision"], (*PRECISIONS, "auto"))
    check_choice("layout", rest["layout"], (*LAYOUTS, "auto"))
    _check_range("augment goes from 0 (off) to 1", rest["augment"], 0, 1)
    _check_range("keep_mb is a number of megabytes from 0 on", keep_mb, 0, float("inf"))
    _check_range("autosave_s is a number of seconds from 0 on", autosave_s, 0, float("inf"))
    if pace is not None and not (isinstance(pace, int | float) and pace > 0):
        raise CommandError(f"pace is a number of steps a second above 0, or None, not {pace!r}.")
    _check_data(model, data, rest["augment"])
    rest["seed"] = checked_seed(rest["seed"], CommandError)
    rest["precision"] = precision_of(rest["precision"], device)
    rest["layout"] = layout_of(rest["layout"], model, data)
    return Recipe(
        lr=plan_lr(names, lr),
        freeze=plan_freeze(names, freeze),
        eval_every=eval_every,
        weights=_plan_weights(dict(terms or {}), dict(weights or {})),
        **rest,
    )


def check_step(step: Any, steps: int) -> None:
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise CommandError(f"A step is a whole number from 0 on, not {step!r}.")
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


def precision_of(asked: str, device: str) -> str:
    """bf16 pays where the hardware multiplies it; elsewhere it is emulated, and slower."""
    if asked != "auto":
        return asked
    if device.startswith("cuda"):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = "bf16" in _cpu_flags()
    return "bf16" if native else "float32"


def layout_of(asked: str, model: nn.Module, data: Data) -> str:
    if asked != "auto":
        return asked
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return "channels_last" if convolves and holds_pictures(data.train.x) else "contiguous"


def _cpu_flags() -> str:
    try:
        with open("/proc/cpuinfo") as told:
            return next((line for line in told if line.startswith("flags")), "")
    except OSError:
        return ""


def _plan_weights(terms: dict[str, Any], weights: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    if strange := sorted(set(weights) - set(terms)):
        there = ", ".join(terms) or "none"
        raise CommandError(f"No term {strange[0]!r} to weigh. Terms given: {there}.")
    for name in terms:
        _check_range(f"The weight of {name} is a number from 0 on", weights.get(name, 1.0), 0, 1e12)
    return tuple((name, float(weights.get(name, 1.0))) for name in terms)


def _check_range(says: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CommandError(f"{says}, not {value!r}.")


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


def _check_data(model: nn.Module, data: Data, augment: float) -> None:
    told, there = len(getattr(model, "classes", data.classes)), len(data.classes)
    if told != there:
        raise CommandError(
            f"The model tells {told} classes apart and the data has {there}; "
            "make the model with load_model(…, classes=data.classes)."
        )
    if len(data.train.y) == 0:
        raise CommandError("The training split is empty; ask load_data for at least one label.")
    if augment and not holds_pictures(data.train.x):
        raise CommandError("These are numbers, not pictures: there is nothing to augment.")
