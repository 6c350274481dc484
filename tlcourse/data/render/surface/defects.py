"""Scratch, dent, stain, crack, pits, seam: their effect on relief, colour and gloss.

A flaw changes the part, never the picture: whether a groove's left side is bright is the lamp's affair.
Each function takes the places (k, R, R) of k pictures, and how severe each is, (k, 1, 1).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tlcourse.data.render.surface.fields import Dice, bump, clouds, faded_, step, turned
from tlcourse.data.render.surface.materials import TAU, Surface


@dataclass(frozen=True, slots=True)
class Part:
    """The surfaces that get a flaw. u, v: (k, R, R) coordinates; axis: (R,), the grid's; material: (k,),
    index into MATERIALS; grain: (k, 1, 1), its direction."""

    u: Tensor
    v: Tensor
    axis: Tensor
    material: Tensor
    grain: Tensor

    def __len__(self) -> int:
        return len(self.u)

    def by(self, *values: float) -> Tensor:
        """(k, 1, 1): the value for each picture's material, given for steel, paint, wood, fabric."""
        return torch.tensor(values)[self.material, None, None]


@dataclass(frozen=True, slots=True)
class Flaw:
    """height: added; albedo is multiplied by `tint` (k, 3, 1, 1) where `cover` is 1, shine by
    `gloss` (k, 1, 1) likewise; mask: the flaw itself, where it is over 0.5. Planes are (k, R, R)."""

    height: Tensor | float
    cover: Tensor
    tint: Tensor
    gloss: Tensor
    mask: Tensor

    def onto(self, surface: Surface, rows: Tensor) -> None:
        """Write the flaw into these rows of the surface."""
        surface.height[rows] += self.height
        cover = self.cover[:, None]
        surface.albedo[rows] *= 1 + cover * (self.tint - 1)
        surface.shine[rows] *= 1 + self.cover * (self.gloss - 1)


def scratch(dice: Dice, part: Part, severity: Tensor) -> Flaw:
    """A groove with raised lips, nearly straight, of varying depth; often a second one next to it."""
    one = (len(part), 1, 1)
    a, b = _placed(dice, part, dice.uniform(0, TAU / 2, *one))
    half = dice.uniform(0.35, 0.75, *one)
    b = (
        b
        - dice.uniform(-0.25, 0.25, *one) * a.square()
        - 0.012 * torch.sin(a * dice.uniform(5, 11, *one) + dice.uniform(0, TAU, *one))
    )
    beside = dice.uniform(0.07, 0.2, *one) * (1 + dice.uniform(-0.4, 0.4, *one) * a)
    second = torch.where(dice.chance(0.4, *one) > 0, (b - beside).abs(), 9.0)
    second = second + 9 * step(a.abs() - half * dice.uniform(0.3, 0.8, *one), 0.02)
    d = torch.minimum(b.abs(), second)
    width = dice.uniform(0.016, 0.028, *one) * part.by(1, 1, 1.1, 1.4)
    ends = step(half - a.abs(), 0.025)
    ragged = torch.sin(a * dice.uniform(9, 17, *one) + dice.uniform(0, TAU, *one))
    ragged = (0.78 + 0.22 * ragged) * ends
    groove = bump(d, width)
    lips = bump(d - 1.7 * width, width * 0.8)
    depth = severity * width * part.by(0.8, 0.8, 0.8, 1.2)
    # The layer below: bright metal, primer or metal, raw wood, torn fibres.
    pale = dice.chance(0.8, len(part), 1, 1, 1)
    below = part.by(2.0, 2.6, 2.2, 2.4)[..., None] * pale + part.by(0.55, 0.4, 0.6, 1.45)[
        ..., None
    ] * (1 - pale)
    tint = 1 + (below - 1) * severity[..., None] * dice.uniform(0.6, 1.0, len(part), 1, 1, 1)
    return Flaw(
        height=(lips * 0.35 - groove) * depth * ragged,
        cover=groove * ragged,
        tint=tint.expand(-1, 3, 1, 1),
        gloss=part.by(1.25, 0.5, 0.5, 0.5),
        mask=step(1.6 * width - d, 0.004) * ends,
    )


def dent(dice: Dice, part: Part, severity: Tensor) -> Flaw:
    """A smooth hollow: only the surface normals change."""
    one = (len(part), 1, 1)
    a, b = _placed(dice, part, dice.uniform(0, TAU / 2, *one))
    wide = dice.uniform(0.18, 0.32, *one)
    ratio = dice.uniform(0.72, 1.0, *one)
    r = ((a / wide).square() + (b / (wide * ratio)).square()).sqrt()
    hollow = faded_((r.square().square() + r.square()) * 0.7)
    rim = bump(r - 1.25, 0.28)
    depth = severity * wide * part.by(0.42, 0.44, 0.56, 0.8)
    # At the impact, gloss is slightly worn.
    return Flaw(
        height=(rim * 0.10 - hollow) * depth,
        cover=hollow,
        tint=part.by(0.97, 0.98, 0.94, 0.94)[..., None].expand(-1, 3, 1, 1),
        gloss=torch.ones(one),
        mask=step(1.05 - r, 0.02),
    )


STAINS = torch.tensor(
    [[0.50, 0.33, 0.20], [0.30, 0.29, 0.28], [0.66, 0.40, 0.22], [0.55, 0.58, 0.66], [0.62, 0.60, 0.40]]
)  # fmt: skip


def stain(dice: Dice, part: Part, severity: Tensor) -> Flaw:
    """A blot with an irregular outline and a darker rim where it dried: colour and gloss, no relief."""
    n, one = len(part), (len(part), 1, 1)
    a, b = _placed(dice, part, dice.uniform(0, TAU / 2, *one))
    wide = dice.uniform(0.25, 0.42, *one)
    r = ((a / wide).square() + (b / (wide * dice.uniform(0.6, 1.0, *one))).square()).sqrt()
    r = r + 0.26 * clouds(dice, n, part.axis, 8, 2)
    inside = step(1 - r, dice.uniform(0.03, 0.07, *one))
    rim = bump(r - 0.93, 0.10) * dice.uniform(0.0, 0.6, *one)
    blotch = 0.75 + 0.12 * clouds(dice, n, part.axis, 5, 2)
    cover = (inside * blotch + rim * inside).clamp(0, 1.3)
    tint = dice.pick(STAINS, n)[:, :, None, None] * dice.uniform(0.85, 1.1, n, 3, 1, 1)
    strength = 0.85 * severity[..., None]
    return Flaw(
        height=0.0,
        cover=cover,
        tint=(1 + (tint - 1) * strength).clamp(0.08, 1),
        gloss=torch.where(dice.chance(0.7, *one) > 0, 0.35, 1.6),
        mask=step(1.02 - r, 0.02),
    )


def crack(dice: Dice, part: Part, severity: Tensor) -> Flaw:
    """A jagged gap, thinner towards its ends, with one or two branches; dark, as no light gets out."""
    n, one = len(part), (len(part), 1, 1)
    a, b = _placed(dice, part, dice.uniform(0, TAU, *one))
    half = dice.uniform(0.4, 0.9, *one)
    path = _jagged(dice, n, 0.042)
    d, along = _beside(a, b, path), a.abs() / half
    width = dice.uniform(0.019, 0.030, *one)
    gap = bump(d, width * (1.25 - along.clamp(0, 1))) * step(1 - along, 0.03)
    near = step(2.2 * width - d, 0.004) * step(1 - along, 0.03)
    for share in (1.0, 0.5):
        start = half * dice.uniform(-0.5, 0.45, *one)
        lean = dice.uniform(0.5, 1.1, *one) * (1 - 2 * dice.chance(0.5, *one))
        length = half * dice.uniform(0.3, 0.7, *one)
        x = a - start
        twig = _jagged(dice, n, 0.03)
        root = _at(path, start) - _at(twig, start)
        d = _beside(a, b - root - lean * x, twig) * (1 + lean.square()).rsqrt()
        there = step(x, 0.012) * step(1 - x / length, 0.03) * dice.chance(share, *one)
        gap = torch.maximum(gap, 0.9 * bump(d, width * (1.1 - (x / length).clamp(0, 0.9))) * there)
        near = torch.maximum(near, step(2.0 * width - d, 0.004) * there)
    dark = 1 - 0.85 * severity[..., None].clamp(0, 1.1) * part.by(1, 1, 1, 0.95)[..., None]
    return Flaw(
        height=gap * (-0.8 * width * severity),
        cover=gap,
        tint=dark.expand(-1, 3, 1, 1),
        gloss=torch.full(one, 0.15),
        mask=near,
    )


MOST_PITS = 12


def pit(dice: Dice, part: Part, severity: Tensor) -> Flaw:
    """A cluster of small holes of several sizes: rust, blisters, worm or moth."""
    one = (len(part), 1, 1)
    a, b = _placed(dice, part, dice.uniform(0, TAU / 2, *one))
    spread = dice.uniform(0.11, 0.24, *one)
    count = dice.uniform(5, MOST_PITS, *one)
    away = torch.full_like(a, 99.0)  # squared distance from the nearest hole, in its radii
    for number in range(MOST_PITS):
        x, y = dice.normal(2, *one).clamp_(-1.8, 1.8) * spread
        radius = dice.uniform(0.030, 0.058, *one) * part.by(1, 1, 1, 1.1)
        radius = radius * (count > number) + 1e-3
        here = (a - x).square_().add_((b - y).square_()).mul_(radius**-2)
        torch.minimum(away, here, out=away)
    holes = faded_(away.clone())
    dark = dice.uniform(0.2, 0.6, len(part), 1, 1, 1)
    tint = 1 - (1 - dark) * severity[..., None].clamp(0, 1.2)
    rust = torch.tensor([1.12, 0.95, 0.85])[:, None, None] ** dice.chance(0.4, len(part), 1, 1, 1)
    return Flaw(
        height=holes * (-0.026 * severity),
        cover=holes,
        tint=(tint * rust).clamp(0.06, 1),
        gloss=torch.full(one, 0.3),
        mask=step(2.6 - away, 0.25),
    )


def seam(dice: Dice, part: Part, severity: Tensor, where: "Join") -> Flaw:
    """Two pieces joined from edge to edge: a weld bead, a gap, glue, a stitched fold."""
    one = (len(part), 1, 1)
    a, d = where.along, where.across
    width = dice.uniform(0.06, 0.09, *one) * part.by(1.25, 1.0, 0.9, 1.25)
    ridge, gap = bump(d, width), bump(d, width * 0.5)
    scales = torch.sin(a * dice.uniform(34, 60, *one) + (d / width).square())
    bead = ridge * (0.8 + 0.12 * scales)
    fold = torch.sigmoid(d / (0.35 * width)) - 0.5 * bump(d - 1.5 * width, 1.4 * width)
    stitch = step(torch.sin(a * dice.uniform(14, 22, *one)), 0.15) * bump(d - 2.1 * width, 0.03)
    steel, painted, glued, sewn = (part.by(*row) for row in torch.eye(4).tolist())
    height = steel * 1.3 * bead - painted * gap * 0.9 - glued * gap * 0.35
    height = (height + sewn * (1.3 * fold + 0.4 * stitch)) * width * severity
    burnt = bump(d.abs() - 1.6 * width, width) * 0.6
    cover = steel * burnt + (painted + glued) * gap
    cover = cover + sewn * (bump(d, width * 0.6) * 0.8 - stitch * 0.7)
    tint = torch.ones(len(part), 3, 1, 1) * part.by(0.6, 0.25, 0.3, 0.35)[..., None]
    tint = 1 - (1 - tint) * severity[..., None].clamp(0, 1.2)
    tint[:, 2] *= 1 - 0.15 * steel
    return Flaw(
        height=height,
        cover=cover,
        tint=tint,
        gloss=part.by(0.7, 0.2, 0.3, 0.5),
        mask=step(1.4 * width - d.abs(), 0.004),
    )


@dataclass(frozen=True, slots=True)
class Join:
    """Coordinates (k, R, R) along a seam, and across it; the sign tells the two pieces apart."""

    along: Tensor
    across: Tensor


def join(dice: Dice, part: Part) -> Join:
    """A straight line across the picture: along the grain of wood and fabric, anywhere on others."""
    one = (len(part), 1, 1)
    free = dice.uniform(0, TAU, *one)
    lengthwise = part.grain + TAU / 4 * dice.chance(0.25, *one)
    angle = torch.where(part.by(0, 0, 1, 1) > 0, lengthwise, free) + 0.05 * dice.normal(*one)
    a, b = turned(part.u, part.v, angle)
    return Join(a, b - dice.uniform(-0.25, 0.25, *one) - 0.006 * torch.sin(a * 3))


def _placed(dice: Dice, part: Part, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a flaw that is anywhere but at the edge."""
    one = (len(part), 1, 1)
    u, v = dice.uniform(-0.25, 0.25, *one), dice.uniform(-0.25, 0.25, *one)
    return turned(part.u - u, part.v - v, angle)


KNOTS, STRIDE = 28, 0.085  # corners of a jagged path, and their distance


def _jagged(dice: Dice, n: int, size: float) -> Tensor:
    """Corners (n, KNOTS) of a path that wanders around a straight line."""
    steps = dice.normal(n, KNOTS) * size
    path = steps.cumsum(1) * 0.8 + steps * 0.6
    return path - path[:, KNOTS // 2 : KNOTS // 2 + 1]


def _at(path: Tensor, a: Tensor) -> Tensor:
    """The path's offset at a (n, …), linear between its corners."""
    place = (a / STRIDE + KNOTS / 2).clamp(0, KNOTS - 1.001)
    corner = place.floor()
    index = corner.long().flatten(1)
    left, right = path.gather(1, index), path.gather(1, index + 1)
    return torch.lerp(left.view_as(a), right.view_as(a), place - corner)


def _beside(a: Tensor, b: Tensor, path: Tensor) -> Tensor:
    """Approximate distance from the path: measured across, and reduced where the path is steep."""
    slope = (_at(path, a + 0.02) - _at(path, a - 0.02)) / 0.04
    return (b - _at(path, a)).abs() * (1 + slope.square()).rsqrt()


MAKERS = {"scratch": scratch, "dent": dent, "stain": stain, "crack": crack, "pit": pit}
