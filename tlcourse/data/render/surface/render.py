"""Renders one batch of pictures, from random numbers to pixels.

A batch is the smallest thing that is drawn: 8 pictures of each class, on materials in the line's mix.
What it looks like is a function of (line, seed, number) alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlcourse.data.render.surface import camera, defects, materials
from tlcourse.data.render.surface.clutter import litter, shadow
from tlcourse.data.render.surface.defects import Join, Part
from tlcourse.data.render.surface.fields import Dice
from tlcourse.data.render.surface.light import Light, shade
from tlcourse.data.render.surface.lines import CLASSES, LINES, MATERIALS, Line
from tlcourse.data.render.surface.materials import Surface
from tlcourse.errors import DataError
from tlcourse.rng import checked_seed

EACH = 8  # pictures per class in a batch
BATCH = EACH * len(CLASSES)
PIECE = 8  # pictures lit at once: they fit in a core's cache, 2.5 times as fast


@dataclass(frozen=True, slots=True)
class Batch:
    """x: (56, 3, S, S) uint8; masks: (56, S, S) uint8, 1 on the flaw; y, material: (56,) int64."""

    x: Tensor
    y: Tensor
    masks: Tensor
    material: Tensor


def render(line: str, number: int, size: int, seed: int = 0) -> Batch:
    """Batch `number` of a line, in pictures of size × size pixels.

    Equal arguments give equal pixels; on another machine, the same to about a grey level. The same
    scenes at every size, seen by a camera with more or fewer pixels.
    """
    settings, seed = LINES[line], checked_seed(seed, DataError)
    y, material = composition(settings)
    n = len(y)

    def dice(purpose: str) -> Dice:
        return Dice("surfaces", seed, line, number, purpose)

    wanted, given = camera.places(size)
    u, v = camera.look(dice("look"), settings, n, given)
    part = Part(u, v, given, material, _grain(dice("grain"), material))
    rows = {name: (y == label).nonzero()[:, 0] for label, name in enumerate(CLASSES)}

    joined = defects.join(dice("join"), _some(part, rows["seam"]))
    surface = _surface(dice, part, rows["seam"], joined)
    masks = torch.zeros_like(u)
    for name, make in defects.MAKERS.items():
        severity = dice(f"severity of {name}").uniform(*settings.severity, EACH, 1, 1)
        flaw = make(dice(name), _some(part, rows[name]), severity)
        flaw.onto(surface, rows[name])
        masks[rows[name]] = flaw.mask
    severity = dice("severity of seam").uniform(*settings.severity, EACH, 1, 1)
    flaw = defects.seam(dice("seam"), _some(part, rows["seam"]), severity, joined)
    flaw.onto(surface, rows["seam"])
    masks[rows["seam"]] = flaw.mask

    litter(dice("litter"), surface, u, v, settings.clutter)
    light = _light(dice("light"), settings, n)
    shade_of = shadow(dice("shadow"), given, n, settings.clutter)[:, None]
    shot, grain = camera.settings(dice("camera"), settings, n), dice("sensor")
    x = torch.empty(n, 3, size, size, dtype=torch.uint8)
    for first in range(0, n, PIECE):
        piece = slice(first, first + PIECE)
        seen = shade(surface.rows(piece), light.rows(piece), given) * shade_of[piece]
        x[piece] = camera.expose(seen, shot.rows(piece), settings.contrast, grain, wanted, given)
    return Batch(
        x=x,
        y=y,
        masks=_read(masks, wanted, given),
        material=material,
    )


def composition(line: Line) -> tuple[Tensor, Tensor]:
    """Labels and materials (56,) of a batch: materials in order, each with all classes equally often."""
    pairs = [
        (label, number)
        for number, count in enumerate(line.mix)
        for label in range(len(CLASSES))
        for _ in range(count)
    ]
    y, material = torch.tensor(pairs).T
    return y.contiguous(), material.contiguous()


def _grain(dice: Dice, material: Tensor) -> Tensor:
    """(n, 1, 1) radians: nearly along the line or across it, as parts are held in fixtures."""
    n = len(material)
    return dice.chance(0.4, n, 1, 1) * (materials.TAU / 4) + 0.10 * dice.normal(n, 1, 1)


def _surface(dice: Callable[[str], Dice], part: Part, seams: Tensor, join: Join) -> Surface:
    """Each material on its rows; beyond a seam is another piece, with its own pattern and tone."""
    u, v = part.u.clone(), part.v.clone()
    other = (join.across > 0).float()
    u[seams] += other * dice("offset u").uniform(-0.5, 0.5, EACH, 1, 1)
    v[seams] += other * dice("offset v").uniform(-0.5, 0.5, EACH, 1, 1)
    made = []
    for number, (name, make) in enumerate(zip(MATERIALS, materials.MAKERS, strict=True)):
        first = int((part.material < number).sum())
        rows = slice(first, first + int((part.material == number).sum()))
        if rows.stop > rows.start:
            made.append(make(dice(name), u[rows], v[rows], part.axis, part.grain[rows]))
    surface = Surface.joined(made)
    tone = dice("other tone").uniform(0.65, 1.35, EACH, 1, 1)
    surface.albedo[seams] *= (1 + other * (tone - 1))[:, None]
    return surface


def _some(part: Part, rows: Tensor) -> Part:
    return Part(part.u[rows], part.v[rows], part.axis, part.material[rows], part.grain[rows])


def _light(dice: Dice, line: Line, n: int) -> Light:
    one = (n, 1, 1)
    azimuth = torch.deg2rad(dice.uniform(*line.azimuth, *one))
    height = torch.deg2rad(dice.uniform(*line.elevation, *one))
    # The picture's y axis points down.
    place = (height.cos() * azimuth.cos(), -height.cos() * azimuth.sin(), height.sin())
    colour = torch.tensor(line.lamp)[:, None, None] * (1 + 0.03 * dice.normal(n, 3, 1, 1))
    bearing = dice.uniform(0, materials.TAU, *one)
    tube = torch.stack(
        (
            bearing.cos(),
            bearing.sin(),
            dice.uniform(-0.6, 0.6, *one),
            dice.uniform(0.1, 0.7, *one) * dice.chance(0.7, *one),
        ),
        dim=1,
    )
    return Light(
        place=torch.stack(place, dim=1) * dice.uniform(2.2, 4.0, *one)[:, None],
        colour=colour * 1.1,
        ambient=dice.uniform(*line.ambient, *one),
        tube=tube,
    )


def _read(masks: Tensor, wanted: Tensor, given: Tensor) -> Tensor:
    """Masks (n, R, R), resampled to the picture's pixels, (n, S, S) uint8."""
    sigma = torch.full((1,), 0.45 * 2 / len(wanted))
    weights = camera.resample(sigma, wanted, given)[0]
    share = weights @ masks @ weights.T
    # In very small pictures a crack fills no pixel by half; then take the pixels that it fills most.
    return (share > 0.5 * share.amax((1, 2), keepdim=True)).to(torch.uint8)
