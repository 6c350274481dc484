"""Which samples come when, and how augmentation varies them: pure functions of (seed, step).

Any batch can be had at any time, so a rewind repeats its batches and a twin trains on the same ones.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tlcourse.data import Split
from tlcourse.rng import fold_in, permutation, uniforms

from .loader import Loader, Passes, Samples, holds_pictures


class Order:
    """Which samples make which batch. All ranks share one global batch, and each takes its slice. What
    does not fill a batch at the end of an epoch is left out; each epoch leaves out others."""

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        device: torch.device | str = "cpu",
    ):
        self.size = min(batch_size, samples // ranks)
        self.per_epoch = samples // (self.size * ranks)
        self._samples, self._seed, self._device = samples, seed, device
        self._stride, self._first = self.size * ranks, self.size * rank
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def at(self, place: int) -> tuple[int, Tensor]:
        """(epoch, (B,) int64 numbers of samples)."""
        epoch, place = divmod(place, self.per_epoch)
        if epoch != self._epoch:
            order = permutation(fold_in(self._seed, "order", epoch), self._samples)
            self._order = torch.from_numpy(order).to(self._device)
            self._epoch = epoch
        first = place * self._stride + self._first
        return epoch, self._order[first : first + self.size]

    def numbers(self, place: int) -> list[int]:
        return self.at(place)[1].tolist()


class Batches:
    """Batches of one split. `batches.at(place)` → (x, y).

    x: (B, 3, H, W) float32 in [0, 1] for pictures, else the split's rows as they are; y: (B,) int64.
    A tensor is held on the device; a sequence, or a tensor with workers, is read batch by batch.
    batch_size: of each rank; kept: how many of the last batches are kept for a twin.
    """

    def __init__(
        self,
        x: Tensor | Sequence[Tensor],
        y: Tensor,
        batch_size: int,
        seed: int,
        device: torch.device,
        flips: bool,
        layout: str = "contiguous",
        *,
        ids: Sequence[str] = (),
        workers: int = 0,
        kept: int = 1,
        rank: int = 0,
        ranks: int = 1,
    ):
        how = (len(y), batch_size, seed, rank, ranks)
        self.order = Order(*how, device=device)
        self.pictures = holds_pictures(x)
        self.y, self.seed, self.flips = y.to(device), seed, flips
        self.strength = 0.0
        self._device = device
        self._channels_last = layout == "channels_last" and self.pictures
        self._passes = Passes(workers)
        self._x: Tensor | None = None
        self._loader: Loader | None = None
        if isinstance(x, Tensor) and workers == 0:
            self._x = x.to(device)
        else:
            ahead = Order(*how)  # the workers may be in the next epoch already
            pin = device.type == "cuda"
            self._loader = Loader(
                Samples(x, ids), ahead.numbers, workers=workers, kept=kept, pin=pin
            )

    def at(self, place: int) -> tuple[Tensor, Tensor]:
        epoch, index = self.order.at(place)
        if self._x is not None:
            x = self._x.index_select(0, index)
        else:
            x = self._loader.at(place).to(self._device, non_blocking=True)
        x = to_float(x)
        if self.strength > 0:
            key = fold_in(self.seed, "augment", epoch)
            x = augment(x, uniforms(key, index.cpu().numpy(), DRAWS), self.strength, self.flips)
        return self.laid_out(x), self.y.index_select(0, index)

    def all_of(self, split: Split, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """A whole split in its order, without augmentation, in batches of `size`."""
        for x, y in self._passes.over(split, size):
            yield self.laid_out(to_float(x.to(self._device))), y.to(self._device)

    def laid_out(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self._channels_last else x

    def close(self) -> None:
        """End the worker processes, if there are any; they start again when needed."""
        self._passes.close()
        if self._loader:
            self._loader.close()


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
