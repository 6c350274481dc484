"""Which samples come when, and how augmentation varies them: pure functions of (seed, step).

A batch can be asked for at any step and in any order, which is what makes rewinding and a twin on the
same batches possible.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .keys import fold_in, permutation, uniforms


class Batches:
    """Batches of one split, held in memory on the device. `batches.at(step)` → (x, y).

    x: (B, 3, H, W) float32 in [0, 1] for pictures, else the split's rows as they are; y: (B,) int64.
    The last samples of an epoch that do not fill a batch are left out; each epoch leaves out others.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        batch_size: int,
        seed: int,
        device: torch.device,
        flips: bool,
        layout: str = "contiguous",
    ):
        self.x, self.y = x.to(device), y.to(device)
        self.size = min(batch_size, len(y))
        self.per_epoch = len(y) // self.size
        self.seed = seed
        self.flips = flips
        self.strength = 0.0
        self._channels_last = layout == "channels_last" and x.ndim == 4
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def pictures(self) -> bool:
        return self.x.ndim == 4

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            order = permutation(fold_in(self.seed, "order", epoch), len(self.y))
            self._order = torch.from_numpy(order).to(self.y.device)
            self._epoch = epoch
        index = self._order[place * self.size : (place + 1) * self.size]
        x = to_float(self.x.index_select(0, index))
        if self.strength > 0:
            key = fold_in(self.seed, "augment", epoch)
            x = augment(x, uniforms(key, index.cpu().numpy(), DRAWS), self.strength, self.flips)
        return self.laid_out(x), self.y.index_select(0, index)

    def laid_out(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self._channels_last else x


def to_float(x: Tensor) -> Tensor:
    """uint8 pictures → float32 in [0, 1]; everything else as it is."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


DRAWS = 7  # zoom, shift x, shift y, angle, mirror, brightness, contrast


def augment(x: Tensor, u: np.ndarray, strength: float, flips: bool) -> Tensor:
    """Vary pictures by one affine map and one change of light each.

    x: (B, 3, H, W) in [0, 1]; u: (B, DRAWS) uniform in [0, 1). At strength 1: zoom 0.6–1.15,
    shift ± 15 % of the side, turn ± 20°, brightness ± 0.25, contrast 0.6–1.4, and half are mirrored
    if `flips` (a mirrored photo is a photo; a mirrored digit is not a digit). Returns the same shape.
    """
    centred = 2 * u - 1
    zoom = 1 + strength * np.where(centred[:, 0] < 0, 0.4, 0.15) * centred[:, 0]
    shift = 0.3 * strength * centred[:, 1:3]  # grid coordinates span 2 across the picture
    angle = math.radians(20) * strength * centred[:, 3]
    mirror = np.where(flips & (u[:, 4] < 0.5 * min(1.0, 2 * strength)), -1.0, 1.0)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    theta = np.stack([mirror * cos, -sin, shift[:, 0], mirror * sin, cos, shift[:, 1]], axis=1)
    affine = torch.from_numpy(theta.reshape(-1, 2, 3)).to(x)
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    light = torch.from_numpy(strength * centred[:, 5:7]).to(x)[:, :, None, None, None]
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return ((x - mean) * (1 + 0.4 * light[:, 1]) + mean + 0.25 * light[:, 0]).clamp_(0, 1)
