"""Distractors on good and bad parts alike: shadows, dust, fibres, wiped streaks.

It says nothing of the class: every class has as much of it. It is what makes looking hard.
"""

import torch
from torch import Tensor

from tlcourse.data.render.surface.fields import Dice, bump, faded_, step, turned
from tlcourse.data.render.surface.materials import TAU, Surface

MOST_SPECKS = 5


def litter(dice: Dice, surface: Surface, u: Tensor, v: Tensor, share: float) -> None:
    """Put dust, a fibre and a wiped streak on some of the parts; they cover colour and gloss."""
    some = (dice.uniform(0, 1, len(u)) < share).nonzero()[:, 0]
    _specks(dice, surface, u, v, some)
    some = (dice.uniform(0, 1, len(u)) < 0.5 * share).nonzero()[:, 0]
    _fibre(dice, surface, u, v, some)
    # Wiped-off grease: a broad band with different gloss and almost the same colour.
    some = (dice.uniform(0, 1, len(u)) < share).nonzero()[:, 0]
    one = (len(some), 1, 1)
    _, across = turned(u[some], v[some], dice.uniform(0, TAU, *one))
    band = bump(across - dice.uniform(-0.7, 0.7, *one), dice.uniform(0.1, 0.35, *one))
    band *= dice.uniform(-0.45, 0.45, *one)
    surface.shine[some] *= 1 + band
    surface.albedo[some] *= (1 + 0.25 * band)[:, None]


def _specks(dice: Dice, surface: Surface, u: Tensor, v: Tensor, rows: Tensor) -> None:
    """A few grains, far apart, pale or dark; they lie on the surface, so the relief is unchanged."""
    one = (len(rows), 1, 1)
    u, v = u[rows], v[rows]
    away = torch.full_like(u, 99.0)
    for _ in range(MOST_SPECKS):
        x, y = dice.uniform(-0.8, 0.8, 2, *one)
        radius = dice.uniform(0.018, 0.045, *one)
        radius = radius * dice.chance(0.5, *one) + 1e-3
        here = (u - x).square_().add_((v - y).square_()).mul_(radius**-2)
        torch.minimum(away, here, out=away)
    _cover(surface, rows, faded_(away), dice.uniform(0.35, 1.7, *one))


def _fibre(dice: Dice, surface: Surface, u: Tensor, v: Tensor, rows: Tensor) -> None:
    """A hair or a thread: a smooth curve of even width."""
    one = (len(rows), 1, 1)
    a, b = turned(u[rows], v[rows], dice.uniform(0, TAU, *one))
    a, b = a - dice.uniform(-0.5, 0.5, *one), b - dice.uniform(-0.5, 0.5, *one)
    radius = dice.uniform(0.2, 0.8, *one)
    ring = (a.square() + (b - radius).square()).sqrt() - radius
    thread = bump(ring, dice.uniform(0.012, 0.022, *one))
    thread *= step(dice.uniform(0.12, 0.35, *one) - a.abs(), 0.02) * step(radius - b, 0.02)
    _cover(surface, rows, thread, dice.uniform(0.3, 1.8, *one))


def _cover(surface: Surface, rows: Tensor, cover: Tensor, tint: Tensor) -> None:
    surface.albedo[rows] *= (1 + cover * (tint - 1))[:, None]
    surface.shine[rows] *= 1 - 0.6 * cover


def shadow(dice: Dice, axis: Tensor, n: int, share: float) -> Tensor:
    """(n, R, R), the share of the lamp's light that arrives: the edge of a shadow, or a bar's."""
    one = (n, 1, 1)
    x, y = axis[None, None, :], axis[None, :, None]
    angle = dice.uniform(0, TAU, *one)
    across = angle.cos() * x + angle.sin() * y - dice.uniform(-0.7, 0.7, *one)
    soft = dice.uniform(0.02, 0.16, *one)
    band = torch.where(dice.chance(0.5, *one) > 0, dice.uniform(0.06, 0.3, *one), 9.0)
    dark = step(across, soft) * step(band - across, soft)
    return 1 - dark * dice.uniform(0.2, 0.45, *one) * dice.chance(share, *one)
