"""Is the frozen part really frozen? Evidence instead of belief.

Freezing stops gradients. It does not stop BatchNorm: in train mode each forward pass still
moves the running mean and variance (Ioffe & Szegedy 2015), and with them the function.
`batchnorm_stats` and `drift` show that movement; `fingerprint` proves that nothing moved at all.
"""

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlcourse.errors import CommandError, ModelError
from tlcourse.models import groups_of


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


def fingerprint(model: nn.Module, group: str | None = None) -> str:
    """sha256 (64 hex digits) over the names, shapes and bits of all parameters and buffers.

    Equal fingerprints: nothing changed, not a single bit. `group` restricts it to one of the
    model's groups, or to "backbone", all of them but the head.
    """
    digest = hashlib.sha256()
    for name, module in _parts(model, group):
        for kind, tensors in (("p", module.named_parameters()), ("b", module.named_buffers())):
            for key, tensor in tensors:
                digest.update(
                    f"{name}/{kind}/{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode()
                )
                bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                digest.update(bits.numpy())
    return digest.hexdigest()


def _parts(model: nn.Module, group: str | None) -> list[tuple[str, nn.Module]]:
    if group in (None, "all"):
        return [("", model)]
    groups = groups_of(model)
    if group == "backbone":
        return [(name, module) for name, module in groups.items() if name != "head"]
    if group not in groups:
        raise CommandError(
            f"No parameter group {group!r}. This model has: {', '.join(groups)}; "
            'or "backbone", or "all".'
        )
    return [(group, groups[group])]
