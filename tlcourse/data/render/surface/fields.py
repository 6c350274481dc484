"""Random numbers and random fields, for the irregularities of a surface.

Everything is drawn at a fixed resolution of its own and sampled where the picture's pixels lie, so
that a scene is the same scene at every size.
"""

from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 1.6  # the world around the picture's centre for which streaks are drawn, in half pictures


class Dice:
    """Random numbers for one purpose: they depend only on the names, not on what else is drawn."""

    def __init__(self, *names: object) -> None:
        digest = sha256("/".join(map(str, names)).encode()).digest()
        seed = int.from_bytes(digest[:8], "big") >> 1
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def chance(self, share: float, *shape: int) -> Tensor:
        """1.0 with this probability, else 0.0."""
        return (torch.rand(shape, generator=self.generator) < share).float()

    def pick(self, rows: Tensor, n: int) -> Tensor:
        """n rows of a table, with replacement."""
        return rows[torch.randint(len(rows), (n,), generator=self.generator)]


def spline(points: Tensor, cells: int) -> Tensor:
    """Cubic B-spline weights (len(points), cells + 3) for points in [0, 1]."""
    distance = (points[:, None] * cells + 1 - torch.arange(cells + 3)).abs()
    return ((2 - distance).clamp_(0) ** 3 - 4 * (1 - distance).clamp_(0) ** 3) / 6


def cloud(dice: Dice, n: int, axis: Tensor, cells: int) -> Tensor:
    """n smooth random fields (n, R, R) of `cells` bumps across; mean 0, deviation about 1.

    axis: (R,) the pixels' places, ascending; the field spans from the first to the last.
    """
    weights = spline((axis - axis[0]) / (axis[-1] - axis[0]), cells)
    return weights @ dice.normal(n, cells + 3, cells + 3) @ (2.1 * weights.T)


def clouds(dice: Dice, n: int, axis: Tensor, cells: int, octaves: int) -> Tensor:
    """Fields with detail at `octaves` scales, each twice as fine as the last and 0.6 as strong."""
    total = cloud(dice, n, axis, cells)
    for octave in range(1, octaves):
        total.add_(cloud(dice, n, axis, cells << octave), alpha=0.6**octave)
    return total


def streaks(dice: Dice, along: Tensor, across: Tensor, cells: tuple[int, int]) -> Tensor:
    """Fields that vary slowly along and fast across: brushing, fibres. Mean 0, deviation ~ 0.7.

    along, across: (n, R, R) coordinates; cells: how many of each lie within ±REACH.
    """
    table = dice.normal(len(along), 1, *cells)
    return sample(table, along, across)


def sample(table: Tensor, along: Tensor, across: Tensor) -> Tensor:
    """A table (n, 1, A, B) over ±REACH of both coordinates, read bilinearly at (n, R, R) places."""
    grid = torch.stack((across, along), dim=3).mul_(1 / REACH)
    return F.grid_sample(table, grid, padding_mode="border", align_corners=False)[:, 0]


def turned(u: Tensor, v: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (along, across) of axes turned by `angle` (n, 1, 1), in radians."""
    c, s = angle.cos(), angle.sin()
    return c * u + s * v, c * v - s * u


def step(x: Tensor, softness: Tensor | float) -> Tensor:
    """0 where x is well below zero, 1 well above, in between over about ±2 × softness."""
    return torch.sigmoid(x / softness)


def bump(x: Tensor, width: Tensor | float) -> Tensor:
    """exp(-(x / width)²)."""
    return faded_((x / width).square_())


def faded_(x: Tensor) -> Tensor:
    """exp(-x) in place, but never less than exp(-40): denormal numbers slow down every operation many
    times over."""
    return x.clamp_(max=40).neg_().exp_()
