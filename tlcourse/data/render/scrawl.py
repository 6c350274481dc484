"""Turns printed ink into pictures that look handwritten: pen, hand, camera and paper, in batches.

All random choices are drawn beforehand, as a row of numbers in [0, 1) for each picture, so a picture
depends neither on its neighbours nor on its size: at another size it shows the same thing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# The random choices for each picture, and how many numbers each takes.
CHOICES = {
    "pen": 1, "angle": 1, "slant": 1, "scale": 1, "aspect": 1, "shift": 2, "knots": 50, "bend": 1,
    "blur": 2, "paper": 1, "paper tint": 3, "contrast": 1, "ink tint": 3, "fade": 1,
    "rules": 5, "light": 9, "grain": 2, "negative": 1,
}  # fmt: skip
STRIP = 1 << 18  # numbers of grain


def throw(pictures: int, seed: int) -> Tensor:
    """(pictures, numbers) in [0, 1): all random numbers of these pictures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(pictures, sum(CHOICES.values()), generator=generator)


class Paper:
    """What pictures of one size share: a strip of grain, and interpolation from knots to a surface."""

    def __init__(self, size: int):
        generator = torch.Generator().manual_seed(0)
        self.size = size
        self.strip = torch.rand(STRIP + 3 * size * size, generator=generator) - 0.5
        self.axis = (torch.arange(size) + 0.5) * (2 / size) - 1  # -1 … 1, at pixel centres
        self.knots = {count: _spread(count, size) for count in (3, 5)}

    def surface(self, knots: Tensor) -> Tensor:
        """A smooth surface (..., size, size) through (..., n, n) knots."""
        spread = self.knots[knots.shape[-1]]
        return spread @ knots @ spread.T

    def grain(self, where: Tensor) -> Tensor:
        """(B, 3, size, size) in ±0.5: a piece of the strip that starts at `where` (B,) in [0, 1)."""
        length = 3 * self.size**2
        pieces = self.strip.unfold(0, length, 1)[(where * STRIP).long()]
        return pieces.view(-1, 3, self.size, self.size)


def scrawl(ink: Tensor, dice: Tensor, size: int, paper: Paper) -> Tensor:
    """From ink (B, 1, 48, 48) uint8 and random numbers (B, numbers) to pictures (B, 3, size, size)
    uint8, by pen, hand, camera and paper, in this order.
    """
    parts = dict(zip(CHOICES, dice.split(list(CHOICES.values()), dim=1), strict=True))

    def among(name: str, low: float, high: float) -> Tensor:
        return (low + (high - low) * parts[name])[:, :, None, None]

    x = _pen(ink.float() / 255, among("pen", -0.3, 1.4))
    x = F.grid_sample(x, _hand(among, paper), align_corners=False)
    x = _camera(x, parts["blur"])
    return _paper(x, among, parts, paper)


def _pen(x: Tensor, width: Tensor) -> Tensor:
    """Thinner (width < 0), unchanged (0), or bolder by up to two pixels on each side (2)."""
    bold = _widest(x)
    x = torch.where(width < 0, x.lerp(-_widest(-x), -width), x.lerp(bold, width.clamp(0, 1)))
    return x.lerp(_widest(bold), (width - 1).clamp(0, 1))


def _widest(x: Tensor) -> Tensor:
    """The largest of each 3 × 3 pixels; far faster than max_pool2d on a CPU."""
    x = F.pad(x, (1, 1, 1, 1), value=-1.0)
    x = torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
    return torch.maximum(torch.maximum(x[..., :-2, :], x[..., 1:-1, :]), x[..., 2:, :])


def _hand(among, paper: Paper) -> Tensor:
    """Where each pixel samples, (B, size, size, 2): rotated by up to 15°, slanted, stretched, bent."""
    angle, slant = among("angle", -0.26, 0.26), among("slant", -0.35, 0.35)
    scale, aspect = among("scale", 0.85, 1.2), among("aspect", -0.25, 0.25).exp()
    cos, sin, shift = angle.cos() * scale, angle.sin() * scale, among("shift", -0.12, 0.12)
    u, v = paper.axis, paper.axis[:, None]
    bent = paper.surface(among("knots", -1, 1).view(-1, 2, 5, 5)) * among("bend", 0, 0.18)
    along = cos * aspect * u + (sin + slant * cos) * v
    across = -sin * u + (cos / aspect - slant * sin) * v
    return (torch.cat((along, across), 1) + shift + bent).permute(0, 2, 3, 1)


def _camera(x: Tensor, blur: Tensor) -> Tensor:
    """An eighth of the pictures keep only twelve pixels a side; the others are blurred slightly."""
    size = x.shape[-1]
    amount, coarse = blur[:, :1, None, None], (blur[:, 1] < 0.125).nonzero()[:, 0]
    x = x.lerp(_reduced(x, 16, size), 0.8 * amount.square())
    x[coarse] = _reduced(x[coarse], 12, size)
    return x


def _reduced(x: Tensor, pixels: int, size: int) -> Tensor:
    small = F.interpolate(x, (pixels, pixels), mode="area")
    return F.interpolate(small, (size, size), mode="bilinear", align_corners=False)


def _paper(x: Tensor, among, parts: dict[str, Tensor], paper: Paper) -> Tensor:
    """Ink on plain, ruled or squared paper, under uneven light; half are negatives, like chalk."""
    ground = among("paper", 0.7, 1.0) - 0.2 * among("paper tint", 0, 1).square()
    ink = ground - among("contrast", 0.6, 1.0) * (ground - 0.35 * among("ink tint", 0, 1).square())
    rules = _rules(among, paper)
    light = paper.surface(among("light", -0.14, 0.14).view(-1, 1, 3, 3))
    first, strength = parts["grain"].split(1, dim=1)
    grain = paper.grain(first[:, 0]) * (0.02 + 0.28 * strength.square())[:, :, None, None]
    x = x.pow(among("fade", -0.5, 0.5).exp())
    picture = (ground + rules).lerp(ink, x) + light + grain
    picture = torch.where(among("negative", 0, 1) < 0.5, picture, 1 - picture)
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def _rules(among, paper: Paper) -> Tensor:
    """Printed lines, (B, 1, size, size) ≤ 0: on half of the papers, one in five of them squared."""
    rules = among("rules", 0, 1)
    which, strength, apart, up, left = rules.split(1, dim=1)
    every = 0.4 + 0.5 * apart  # of half a picture

    def lines(where: Tensor) -> Tensor:
        return (1 - ((where / every) % 1 - 0.5).abs() * every * 24).clamp(0, 1)

    across = lines(paper.axis[:, None] + 2 * up)
    along = lines(paper.axis + 2 * left) * (which < 0.1)
    return torch.maximum(across, along) * (which < 0.5) * -(0.08 + 0.3 * strength)


def _spread(count: int, size: int) -> Tensor:
    """(size, count): the bicubic weight of each of `count` knots at each pixel of a line."""
    lines = torch.eye(count)[:, None, :, None]
    spread = F.interpolate(lines, (size, 1), mode="bicubic", align_corners=True)
    return spread[:, 0, :, 0].T.contiguous()
