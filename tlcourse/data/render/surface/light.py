"""Lighting of a relief by a nearby lamp and its surroundings."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tlcourse.data.render.surface.fields import faded_, turned
from tlcourse.data.render.surface.materials import Surface


@dataclass(frozen=True, slots=True)
class Light:
    """A lamp at `place` (n, 3, 1, 1) in half pictures, of `colour` (n, 3, 1, 1); `ambient`
    (n, 1, 1) from everywhere; a light tube that shiny parts mirror: `tube` (n, 4, 1, 1), direction
    (two numbers), offset and strength."""

    place: Tensor
    colour: Tensor
    ambient: Tensor
    tube: Tensor

    def rows(self, piece: slice) -> "Light":
        return Light(*(getattr(self, name)[piece] for name in self.__slots__))


def slopes(height: Tensor, pixel: float) -> tuple[Tensor, Tensor]:
    """dh/dx and dh/dy of heights (n, R, R) with pixels of width `pixel`; the border repeats."""
    padded = torch.nn.functional.pad(height[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]).mul_(0.5 / pixel)
    y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]).mul_(0.5 / pixel)
    return x, y


def shade(surface: Surface, light: Light, axis: Tensor) -> Tensor:
    """Linear light (n, 3, R, R) that leaves the surface towards a camera right above.

    Lambert's law for the colour below. For the reflection, the share of microscopic facets that
    mirror the lamp: a Gaussian of the slope that is missing (Ward 1992's model, which knows widths
    along the grain and across it).
    """
    x, y = axis[None, None, :], axis[None, :, None]
    sx, sy = slopes(surface.height, float(axis[1] - axis[0]))
    lx, ly, lz = light.place[:, 0] - x, light.place[:, 1] - y, light.place[:, 2]
    near = (lx.square() + ly.square() + lz.square()).rsqrt_()
    lx, ly, lz = lx * near, ly * near, lz * near
    # 1 / distance², relative to the picture's centre.
    fade = near.square() * light.place.square().sum(1)
    upright = (1 + sx.square() + sy.square()).rsqrt_()
    diffuse = ((lz - lx * sx - ly * sy) * upright).clamp_(0) * fade

    hx, hy = lx / (lz + 1), ly / (lz + 1)
    dt, db = turned(hx + sx, hy + sy, surface.grain)
    gleam = faded_((dt / surface.along).square_() + (db / surface.across).square_()) * fade
    c, s, offset, strength = light.tube.unbind(1)
    seen = c * (0.35 * x + 2 * sx) + s * (0.35 * y + 2 * sy) - offset
    blur = (surface.along + surface.across) * 0.35
    gleam += strength * (1 + surface.metal) * torch.sigmoid((0.22 - seen.abs()) / blur)
    gleam *= surface.shine

    open_sky = light.ambient * (0.4 + 0.6 * upright)
    tint = torch.lerp(torch.ones(1), surface.albedo * 2.2, surface.metal[:, None])
    below = surface.albedo * (diffuse[:, None] * light.colour + open_sky[:, None])
    return below + gleam[:, None] * tint * light.colour
