"""BatchNorm's running statistics: whether they moved, and measuring them anew on a target (AdaBN).

BatchNorm normalises by a mean and a variance that it measured on the source. Freezing a layer stops
gradients, but in train mode each forward pass still moves these statistics (Ioffe & Szegedy 2015):
`batchnorm_stats` and `drift` show by how much. If, say, pictures of the target are darker, every layer
gets inputs that it was not trained for. Measuring the statistics anew on the target, without labels or
training steps, often recovers much of the lost accuracy (AdaBN, Li et al. 2016).
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

    Returns the previous statistics, for `restore_batchnorm` (and for `drift`). They are exact, not a
    running average: in eval mode the model then predicts for the target what it would predict in train
    mode for the whole target as one batch. The variance is divided by n, as BatchNorm does when it
    normalises a batch.

    target: a Split or its x, with two examples or more; labels are never read. batch_size: None takes
    all at once. A number needs little memory, but one pass per BatchNorm layer, because a layer's input
    depends on the layers before it. Weights, modes and batch counters do not change. Raises ModelError
    for a model without BatchNorm: LayerNorm normalises each example by itself.
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
    """Restore statistics from `adapt_batchnorm` or `batchnorm_stats`, bit for bit.

    Raises ModelError, and changes nothing, if they belong to another model.
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
    """Count, mean and sum of squared deviations, merged batch by batch (Chan et al. 1979)."""

    n: int = 0
    mean: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> None:
        """x: (B, C, …). In float64, so that sums over millions of pixels stay accurate."""
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
    """Within the context, each layer's inputs are pooled, in the order in which the layers are reached.
    `at_once` also sets the layer's statistics before it normalises."""
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
    """In each pass, the first remaining layer gets its statistics: those before it are correct."""
    rest = dict(layers)
    while rest:
        with _measured(rest, at_once=False) as pools:
            for start in range(0, len(x), size):
                model(to_float(x[start : start + size].to(device)))
        if not pools:
            return  # the remaining layers are never reached
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
            "adapt: LayerNorm and GroupNorm normalise each example by itself. Use one that has it, such "
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

    0.0 means identical bit for bit; 0.1 means that they moved by a tenth of their own length.
    """
    if before.keys() != after.keys():
        differing = sorted(before.keys() ^ after.keys())
        raise ModelError(f"Two different models: only one of them has {differing[0]!r}.")
    moved = math.sqrt(sum((after[k] - before[k]).double().square().sum().item() for k in before))
    if moved == 0:
        return 0.0
    length = math.sqrt(sum(value.double().square().sum().item() for value in before.values()))
    return moved / length if length else math.inf
