"""Look at a model without changing it: run it in eval mode, hash its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from tlcourse.errors import CommandError
from tlcourse.models.partition import groups_of


@contextmanager
def evaluating(model: nn.Module, *, gradients: bool = False) -> Iterator[None]:
    """In eval mode, without gradients unless asked for. Afterwards every module's own mode is back, even
    if they differed."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.set_grad_enabled(gradients):
            yield
    finally:
        for module, training in modes:
            module.training = training


def weights_sha256(model: nn.Module) -> str:
    """One hash over every parameter and persistent buffer, by name: the one that records keep, so that a
    replay knows it starts from the same weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(_bits(tensor))
    return digest.hexdigest()


def fingerprint(model: nn.Module, group: str | None = None) -> str:
    """sha256 (64 hex digits) over the names, shapes and bits of all parameters and buffers.

    Equal fingerprints mean that not a single bit changed. group: one of the model's groups, or
    "backbone", all of them but the head; None or "all" is the whole model.
    """
    digest = hashlib.sha256()
    for name, module in _parts(model, group):
        for kind, tensors in (("p", module.named_parameters()), ("b", module.named_buffers())):
            for key, tensor in tensors:
                what = f"{name}/{kind}/{key} {tensor.dtype} {tuple(tensor.shape)}\n"
                digest.update(what.encode())
                digest.update(_bits(tensor))
    return digest.hexdigest()


def _bits(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def _parts(model: nn.Module, group: str | None) -> list[tuple[str, nn.Module]]:
    if group in (None, "all"):
        return [("", model)]
    groups = groups_of(model)
    if group == "backbone":
        return list(groups.items())[:-1]
    if group == "head":
        return [("head", list(groups.values())[-1])]
    if group not in groups:
        raise CommandError(
            f"No parameter group {group!r}. This model has: {', '.join(groups)}; "
            'or "backbone", or "all".'
        )
    return [(group, groups[group])]
