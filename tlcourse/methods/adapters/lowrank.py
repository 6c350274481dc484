"""Low rank and low precision: how few directions a weight change has, and weights of four bits.

- `directions`  the share of each matrix's change that lies in its k strongest directions
- `four_bits`   a copy of the model with linear layers rounded to 16 levels, as QLoRA stores them
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.models import groups_of

BLOCK = 64  # numbers that share a scale (Dettmers et al. 2023, section 3)


def directions(
    before: nn.Module,
    after: nn.Module,
    *,
    layers: str = "query,value",
    kept: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384),
) -> list[dict[int, float]]:
    """For each matrix: k → the share, 0 to 1, of its change that lies in its k strongest directions.

    The change is after − before; the share is the sum of the k largest squared singular values divided
    by the sum of all. layers: endings of the layers' names, as for LoRA. Matrices that did not change
    are left out. Raises ModelError if the models differ in structure, or no layer matches.
    """
    endings = tuple(f"{ending.strip()}.weight" for ending in layers.split(","))
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    if old.keys() != new.keys():
        raise ModelError("Two different models: take the one before training and the one after.")
    names = [name for name in old if name.endswith(endings) and old[name].ndim == 2]
    if not names:
        raise ModelError(f"No matrix of this model belongs to a layer that ends in {layers}.")
    changes = [(new[name] - old[name]).detach() for name in names]
    return [held_by(change, kept) for change in changes if change.any()]


def held_by(change: Tensor, kept: Sequence[int]) -> dict[int, float]:
    """k → the share, 0 to 1, of a matrix's squared norm that lies in its k strongest directions."""
    held = torch.linalg.svdvals(change.float()).square().cumsum(0)
    return {k: float(held[min(k, len(held)) - 1] / held[-1]) for k in kept}


def four_bits(model: nn.Module) -> nn.Module:
    """A copy in which every weight of a linear layer is rounded to one of 16 levels; the head is not.

    NF4 (Dettmers et al. 2023, "QLoRA", appendix E): the quantiles of a normal distribution, times the
    largest absolute value in each block of 64. The copy computes in its own dtype: it shows what
    rounding costs in accuracy, but saves no memory.
    """
    made = copy.deepcopy(model)
    head = {id(m) for m in list(groups_of(made).values())[-1].modules()}
    for layer in made.modules():
        if isinstance(layer, nn.Linear) and id(layer) not in head:
            layer.weight.data = rounded(layer.weight.data)
    return made


def rounded(weight: Tensor) -> Tensor:
    """Each number rounded to the nearest of 16 levels, in blocks of 64; same shape and dtype."""
    flat = weight.reshape(-1)
    blocks = nn.functional.pad(flat, (0, -len(flat) % BLOCK)).reshape(-1, BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True)
    levels = nf4().to(weight)
    unit = blocks / torch.where(scale > 0, scale, 1)
    nearest = torch.bucketize(unit, (levels[1:] + levels[:-1]) / 2)
    return (levels[nearest] * scale).reshape(-1)[: len(flat)].reshape(weight.shape)


def nf4() -> Tensor:
    """(16,) float32 levels from −1 to 1: 7 below zero, zero, and 8 above."""

    def side(n: int) -> Tensor:
        probabilities = torch.linspace(0.9677083, 0.5, n, dtype=torch.float64)
        return torch.special.ndtri(probabilities)[:-1]

    levels = torch.cat([-side(8), torch.zeros(1, dtype=torch.float64), side(9)]).sort().values
    return (levels / levels.max()).float()
