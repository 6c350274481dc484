"""The camera: geometry, lens, sensor and image processing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tlcourse.data.render.surface.fields import Dice, faded_
from tlcourse.data.render.surface.lines import Line

MARGIN = 1.05  # the scene is rendered slightly larger than the picture, for the lens blur


def places(size: int) -> tuple[Tensor, Tensor]:
    """Pixel centres of the picture (size,) in [-1, 1], and of the larger grid that is rendered."""
    count = round(size * MARGIN)
    return _centres(size), _centres(count) * MARGIN


def _centres(count: int) -> Tensor:
    return (torch.arange(count) * 2 + 1) / count - 1


def look(dice: Dice, line: Line, n: int, axis: Tensor) -> tuple[Tensor, Tensor]:
    """World coordinates u, v (n, R, R) of the grid's points: rotated, scaled, in perspective."""
    one = (n, 1, 1)
    turn = torch.deg2rad(dice.uniform(*line.turn, *one))
    zoom = dice.uniform(*line.zoom, *one)
    x, y = axis[None, None, :], axis[None, :, None]
    tilt_x, tilt_y = (dice.uniform(-line.tilt, line.tilt, *one) for _ in range(2))
    scale = zoom * (1 + tilt_x * x + tilt_y * y)
    c, s = turn.cos(), turn.sin()
    return (c * x + s * y) * scale, (c * y - s * x) * scale


@dataclass(frozen=True, slots=True)
class Shot:
    """Camera settings of n pictures. blur: (n,) pixels; gain, vignette: (n, 1, 1, 1); lens centre:
    (n, 2, 1, 1); balance: (n, 3, 1, 1); noise: (n, 1, 1, 1), the deviation of a mid grey in 0…1."""

    blur: Tensor
    gain: Tensor
    vignette: Tensor
    middle: Tensor
    balance: Tensor
    noise: Tensor

    def rows(self, piece: slice) -> "Shot":
        return Shot(*(getattr(self, name)[piece] for name in self.__slots__))


def settings(dice: Dice, line: Line, n: int) -> Shot:
    one = (n, 1, 1, 1)
    cast = torch.tensor(line.cast)[:, None, None]
    return Shot(
        blur=dice.uniform(*line.blur, n),
        gain=dice.uniform(*line.exposure, *one),
        vignette=dice.uniform(*line.vignette, *one),
        middle=dice.uniform(-0.25, 0.25, n, 2, 1, 1),
        balance=cast * (1 + 0.03 * dice.normal(n, 3, 1, 1)),
        noise=dice.uniform(*line.noise, *one) / 255,
    )


def expose(
    light: Tensor, shot: Shot, contrast: float, dice: Dice, wanted: Tensor, given: Tensor
) -> Tensor:
    """From light (n, 3, R, R) to the picture (n, 3, S, S) uint8.

    Lens blur and vignette, exposure and white balance, shot and read noise in linear light, then a
    tone curve, and colour that is softer than brightness, as JPEG keeps it.
    """
    seen = _through_lens(light, resample(shot.blur * (2 / len(wanted)), wanted, given))
    x, y = wanted[None, None, None], wanted[None, None, :, None]
    away = (x - shot.middle[:, :1]).square() + (y - shot.middle[:, 1:]).square()
    # Automatic exposure: partly from the part's own brightness to a mid grey.
    level = (0.22 / seen.mean((1, 2, 3), keepdim=True)).pow(0.5)
    seen *= (shot.gain * level * shot.balance) * (1 - 0.5 * shot.vignette * away)

    # One draw for all three colours: after JPEG compression, noise is grey.
    grain = torch.randn((len(seen), 1, *seen.shape[2:]), generator=dice.generator).mul_(shot.noise)
    seen += (0.8 * seen + 0.04).sqrt_().mul_(grain)
    # A soft shoulder instead of a hard limit, then a square root, close to the usual 1 / 2.2.
    seen = seen.clamp_(0).mul_(1.5).div_(seen + 1.0).sqrt_()
    seen.sub_(0.52).mul_(contrast).add_(0.48)

    grey = (seen[:, :1] + seen[:, 1:2] + seen[:, 2:]) / 3
    colour = seen - grey
    for axis in (2, 3):
        colour = _softened(colour, axis)
    return colour.add_(grey).mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def resample(sigma: Tensor, wanted: Tensor, given: Tensor) -> Tensor:
    """Gaussian weights (n, S, R) that resample R points to S, blurred by sigma (n,)."""
    distance = (wanted[:, None] - given) / sigma[:, None, None]
    weights = faded_(distance.square_() * 0.5)
    return weights / weights.sum(2, keepdim=True)


def _through_lens(light: Tensor, weights: Tensor) -> Tensor:
    """Apply weights (n, S, R) to (n, 3, R, R) in both directions."""
    n, size, count = weights.shape
    rows = torch.bmm(light.reshape(n, 3 * count, count), weights.transpose(1, 2))
    rows = rows.view(n, 3, count, size).transpose(1, 2).reshape(n, count, 3 * size)
    return torch.bmm(weights, rows).view(n, size, 3, size).transpose(1, 2).contiguous()


def _softened(x: Tensor, axis: int) -> Tensor:
    """Half of each pixel plus a quarter of each neighbour along an axis; the outermost stay."""
    last = x.shape[axis] - 1
    soft = x.clone()
    inner = soft.narrow(axis, 1, last - 1).mul_(0.5)
    inner.add_(x.narrow(axis, 0, last - 1), alpha=0.25).add_(
        x.narrow(axis, 2, last - 1), alpha=0.25
    )
    return soft
