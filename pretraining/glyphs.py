"""What pocket-glyphs is trained on: `distort` turns drawn characters (`data.render.ink`) into pictures.

All of a batch at once, and on whatever device: affine and elastic warps, pen width, blur, low
resolution, noise, contrast, colours and inversion. The data set `glyphs` has a milder hand of its
own; this one stays as it is, since the shipped weights depend on every bit of it.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

CHARACTERS = Path(__file__).with_name("characters.txt")


def distort(ink: Tensor, generator: torch.Generator, size: int = 32) -> Tensor:
    """Drawn characters (B, 1, 48, 48) uint8 to pictures (B, 3, size, size) in [0, 1].

    Everything is drawn from `generator`, so a batch is a pure function of its state. The order is
    that of the world: the pen, the hand, the camera.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(len(x), *shape, generator=generator, device=x.device)
        return low + (high - low) * drawn

    x = ink.float() / 255
    x = _pen(x, uniform(-0.8, 2.0, 1, 1, 1))
    x = _hand(x, size, uniform)
    x = _camera(x, uniform)
    return _colours(x, uniform)


def _pen(x: Tensor, width: Tensor) -> Tensor:
    """Thinner (width < 0), unchanged (0), or bolder by up to two pixels on each side (2)."""
    thin = -F.max_pool2d(-x, 3, 1, 1)
    bold = F.max_pool2d(x, 3, 1, 1)
    bolder = F.max_pool2d(bold, 3, 1, 1)
    x = torch.where(width < 0, x.lerp(thin, -width), x.lerp(bold, width.clamp(0, 1)))
    return x.lerp(bolder, (width - 1).clamp(0, 1))


def _hand(x: Tensor, size: int, uniform) -> Tensor:
    """Rotate by up to 17°, slant, stretch, shift, and bend smoothly."""
    angle, slant = uniform(-0.3, 0.3), uniform(-0.4, 0.4)
    scale, aspect = uniform(0.85, 1.5), uniform(-0.35, 0.35).exp()
    cos, sin = angle.cos() * scale, angle.sin() * scale
    shift = uniform(-0.15, 0.15, 2)
    rows = [
        torch.stack([cos * aspect, sin + slant * cos, shift[:, 0]], 1),
        torch.stack([-sin * aspect, cos - slant * sin, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [len(x), 1, size, size], align_corners=False)
    knots = uniform(-1, 1, 2, 5, 5) * uniform(0, 0.22, 1, 1, 1)
    bend = F.interpolate(knots, (size, size), mode="bicubic", align_corners=True)
    return F.grid_sample(x, grid + bend.permute(0, 2, 3, 1), align_corners=False)


def _camera(x: Tensor, uniform) -> Tensor:
    """Half of the pictures are reduced to 8, 10, 12 or 16 pixels; others are blurred slightly."""
    size, quarter = x.shape[-1], max(len(x) // 8, 1)
    parts = list(x.split(quarter))
    for number, pixels in enumerate((8, 10, 12, 16)[: len(parts)]):
        small = F.interpolate(parts[number], (pixels, pixels), mode="area")
        parts[number] = F.interpolate(small, (size, size), mode="bicubic", align_corners=False)
    x = torch.cat(parts).clamp(0, 1)
    return x.lerp(F.avg_pool2d(x, 3, 1, 1), uniform(0, 1, 1, 1, 1))


def _colours(x: Tensor, uniform) -> Tensor:
    """Ink on paper, light on dark as often as dark on light, half of them grey; uneven light; noise."""
    tint = uniform(-0.25, 0.25, 3, 1, 1) * (uniform(0, 1, 1, 1, 1) < 0.5)
    paper, contrast = uniform(0, 0.4, 1, 1, 1), uniform(0.35, 1, 1, 1, 1)
    paper, ink = paper, paper + (1 - paper) * contrast
    x = x.clamp(1e-4, 1) ** uniform(-0.6, 0.6, 1, 1, 1).exp()
    picture = paper + (ink + tint - paper) * x
    light = F.interpolate(
        uniform(-1, 1, 1, 2, 2) * uniform(0, 0.15, 1, 1, 1), x.shape[-2:], mode="bilinear"
    )
    noise = uniform(-1, 1, 3, *x.shape[-2:]) * uniform(0, 0.15, 1, 1, 1)
    picture = (picture + light + noise).clamp(0, 1)
    return torch.where(uniform(0, 1, 1, 1, 1) < 0.5, picture, 1 - picture)
