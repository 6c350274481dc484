"""BatchNorm's running statistics: see whether they moved, and measure them again on a target (AdaBN).

BatchNorm normalises by a mean and a variance that it measured on the source. Freezing a layer stops
gradients, but in train mode each forward pass still moves these statistics (Ioffe & Szegedy 2015):
`batchnorm_stats` and `drift` show by how much. Where pictures of the target are darker, say, every layer
gets inputs that it was not trained for. Measuring the statistics again on the target, with no labels and
no training step, often recovers much of the loss (AdaBN, Li et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlcourse.checks import whole_number
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.models.inspection import evaluating
from tlcourse.session.engine.batches import to_float

if TYPE_CHECKING:
    from tlcourse.data import Split


def adapt_batchnorm(
    model: nn.Module, target: Split | Tensor, *, batch_size: int | None = None
) -> dict[str, Tensor]:
    """Set every BatchNorm's running mean and variance to those of its inputs over the target.

    Returns the statistics as they were, for `restore_batchnorm` (and for `drift`). Exact, not a running
    average: in eval mode the model then says of the target what it says in train mode of the whole
    target as one batch. The variance is divided by n, as BatchNorm does when it normalises a batch.

    target: a Split or its x; two examples or more, labels are never read. batch_size: None takes all
    at once; a number takes little memory, but one pass for each BatchNorm layer, since what a layer
    sees depends on the layers before it. Weights, modes and the batch counters stay as they are.
    Raises ModelError for a model without BatchNorm: LayerNorm measures each example by itself.
    """
    layers = _layers(model)
    x = torch.as_tensor(getattr(target, "x", target))
    if len(x) < 2:
        raise DataError(f"{len(x)} example has no variance: give two or more of the target.")
    if batch_size is not None:
        batch_size = whole_number(batch_size, "batch_size", CommandError, 1, also=", or None")
    before = batchnorm_stats(model)
    device = next(model.parameters()).device
    try:
        with evaluating(model):
            if batch_size is None or batch_size >= len(x):
                with _measured(layers, at_once=True):
                    model(to_float(x.to(device)))
            else:
                _one_after_the_other(model, layers, x, batch_size, device)
    except BaseException:
        restore_batchnorm(model, before)
        raise
    return before


def restore_batchnorm(model: nn.Module, stats: Mapping[str, Tensor]) -> None:
    """Put statistics back, bit for bit: those that `adapt_batchnorm` or `batchnorm_stats` gave.

    Raises ModelError, before anything is changed, if they are another model's.
    """
    own = {
        f"{name}.{which}".removeprefix("."): getattr(layer, which)
        for name, layer in _layers(model).items()
        for which in ("running_mean", "running_var")
    }
    wrong = sorted(own.keys() ^ stats.keys())
    wrong += [key for key in own.keys() & stats.keys() if own[key].shape != stats[key].shape]
    if wrong:
        raise ModelError(f"These statistics are another model's: {wrong[0]!r} does not fit.")
    with torch.no_grad():
        for key, buffer in own.items():
            buffer.copy_(stats[key])


@dataclass(slots=True)
class _Pool:
    """Count, mean and sum of squared deviations, joined batch by batch (Chan et al. 1979)."""

    n: int = 0
    mean: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> None:
        """x: (B, C, …); float64 inside, so that a million pixels add up."""
        rows = x.detach().double().transpose(0, 1).flatten(1)
        n, mean = rows.shape[1], rows.mean(1)
        squares = (rows - mean[:, None]).square().sum(1)
        total, gap = self.n + n, mean - self.mean
        self.squares = self.squares + squares + gap.square() * (self.n * n / total)
        self.mean = self.mean + gap * (n / total)
        self.n = total

    def give(self, layer: nn.Module) -> None:
        layer.running_mean.copy_(self.mean)
        layer.running_var.copy_(self.squares / self.n)


@contextmanager
def _measured(layers: Mapping[str, nn.Module], *, at_once: bool) -> Iterator[dict[str, _Pool]]:
    """Inside, each layer's inputs are pooled, in the order in which the layers are reached; `at_once`
    also gives them to the layer before it normalises by them."""
    pools: dict[str, _Pool] = {}

    def hook(name: str, layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        pool = pools.setdefault(name, _Pool())
        for part in args[0].split(32):  # a float64 copy of all of it might not fit
            pool.add(part)
        if at_once:
            pool.give(layer)

    handles = [
        layer.register_forward_pre_hook(lambda layer, args, name=name: hook(name, layer, args))
        for name, layer in layers.items()
    ]
    try:
        yield pools
    finally:
        for handle in handles:
            handle.remove()


def _one_after_the_other(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    x: Tensor,
    size: int,
    device: torch.device,
) -> None:
    """Pass by pass, the first layer without its statistics is given them: those before it are right."""
    rest = dict(layers)
    while rest:
        with _measured(rest, at_once=False) as pools:
            for start in range(0, len(x), size):
                model(to_float(x[start : start + size].to(device)))
        if not pools:
            return  # what is left is never reached
        first = next(iter(pools))
        pools[first].give(rest.pop(first))


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    }
    if not found:
        raise ModelError(
            f"{type(model).__name__} has no BatchNorm with running statistics, so AdaBN has nothing to "
            "adapt: LayerNorm and GroupNorm measure each example by itself. Take a model that has, such "
            "as pocket-resnet or mobilenetv2, or another method, such as recolour(…)."
        )
    return found


def batchnorm_stats(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every BatchNorm's running mean and variance, by name ("….running_mean")."""
    return {
        f"{name}.{which}".removeprefix("."): getattr(module, which).detach().clone()
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
        for which in ("running_mean", "running_var")
    }


def drift(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """How far the statistics moved: ‖after − before‖ / ‖before‖ over all of them, ≥ 0.

    0.0 means: bit for bit the same. 0.1 means: moved by a tenth of their own length.
    """
    if before.keys() != after.keys():
        differing = sorted(before.keys() ^ after.keys())
        raise ModelError(f"Two different models: {differing[0]!r} is known to one of them only.")
    moved = math.sqrt(sum((after[k] - before[k]).double().square().sum().item() for k in before))
    if moved == 0:
        return 0.0
    length = math.sqrt(sum(value.double().square().sum().item() for value in before.values()))
    return moved / length if length else math.inf
