"""The shape every image model has here: a body that makes features, a linear head, and named groups.

A model holds `body` and `head`, so its state_dict is the library's own with a prefix. Groups are
views by name (`parts`) that are looked up when asked for: replacing a layer later (an adapter, a
new head) needs no bookkeeping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.rng import initial_seed

Parts = Mapping[str, Sequence[str]]  # group -> paths of modules or parameters in the body


class ImageClassifier(nn.Module):
    """Float images (B, 3, H, W) in [0, 1] to logits (B, classes); normalises by itself."""

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        *,
        parts: Parts,
        mean: Sequence[float],
        std: Sequence[float],
        classes: tuple[str, ...],
        recipe: dict[str, Any],
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.parts = {name: tuple(paths) for name, paths in parts.items()}
        self.classes = classes
        self.recipe = recipe
        # The statistics belong to the weights' recipe, not to what training changes.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def groups(self) -> dict[str, nn.Module]:
        """name -> module, input to output, "head" last; together every parameter once."""
        return {**views(self.body, self.parts), "head": self.head}

    def features(self, x: Tensor) -> Tensor:
        """(B, D), what the head sees."""
        if not x.is_floating_point():
            raise ModelError(
                f"Images arrived as {x.dtype}. Give floats in [0, 1]: x.float() / 255 does it."
            )
        return self.body((x - self.mean) / self.std)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def views(root: nn.Module, parts: Parts) -> dict[str, nn.Module]:
    """Each group as one module: the module itself, or a list of the modules and loose parameters."""
    groups: dict[str, nn.Module] = {}
    for name, paths in parts.items():
        found = [_lookup(root, path) for path in paths]
        groups[name] = found[0] if len(found) == 1 else nn.ModuleList(found)
    return groups


def _lookup(root: nn.Module, path: str) -> nn.Module:
    owner, _, leaf = path.rpartition(".")
    value = getattr(root.get_submodule(owner), leaf)
    return nn.ParameterList([value]) if isinstance(value, nn.Parameter) else value


def new_head(width: int, classes: int, seed: int) -> nn.Linear:
    """A linear layer with PyTorch's usual initial distribution, drawn by `seed` alone."""
    head = nn.utils.skip_init(nn.Linear, width, classes)
    generator = torch.Generator().manual_seed(initial_seed(seed, "head"))
    bound = width**-0.5
    with torch.no_grad():
        head.weight.uniform_(-bound, bound, generator=generator)
        head.bias.uniform_(-bound, bound, generator=generator)
    return head
