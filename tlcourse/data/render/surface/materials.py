"""Brushed steel, paint, wood and fabric: relief, colour and gloss.

Heights are in half pictures (as u and v are), albedo is linear light in 0…1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tlcourse.data.render.surface.fields import Dice, bump, cloud, clouds, faded_, streaks, turned

TAU = 6.2831853


@dataclass(slots=True)
class Surface:
    """The surfaces of n pictures; flaws are written into them.

    height, shine: (n, R, R); albedo: (n, 3, R, R). shine is the strength of reflections.
    along, across: (n, 1, 1) how wide a reflection is, as a slope, along the grain and across it;
    grain: (n, 1, 1) its direction in radians; metal: (n, 1, 1) 1 where reflections take the colour.
    """

    height: Tensor
    albedo: Tensor
    shine: Tensor
    along: Tensor
    across: Tensor
    grain: Tensor
    metal: Tensor

    @staticmethod
    def joined(parts: "list[Surface]") -> "Surface":
        every = Surface.__slots__
        return Surface(*(torch.cat([getattr(part, name) for part in parts]) for name in every))

    def rows(self, piece: slice) -> "Surface":
        return Surface(*(getattr(self, name)[piece] for name in self.__slots__))


def steel(dice: Dice, u: Tensor, v: Tensor, axis: Tensor, grain: Tensor) -> Surface:
    """Brush streaks of two widths, and sometimes a machining mark along them."""
    n = len(u)
    t, b = turned(u, v, grain)
    fine = streaks(dice, t, b, (14, 190))
    wide = streaks(dice, t, b, (6, 60))
    marks = dice.normal(n, 1, 1) * 0.6 + b * dice.uniform(3, 7, n, 1, 1)
    marks = bump(torch.sin(marks), 0.07) * dice.chance(0.3, n, 1, 1)
    rub = dice.uniform(0.5, 1.2, n, 1, 1)
    height = (fine * 0.0036 + wide * 0.003) * rub - marks * 0.006
    tone = 1 + 0.07 * rub * fine + 0.05 * wide + 0.05 * cloud(dice, n, axis, 3) - 0.12 * marks
    colour = dice.uniform(0.30, 0.46, n, 1, 1, 1) * (1 + 0.03 * dice.normal(n, 3, 1, 1))
    shine = dice.uniform(0.45, 0.8, n, 1, 1) * (1 + 0.1 * fine)
    ones = torch.ones(n, 1, 1)
    return Surface(
        height=height,
        albedo=colour * tone[:, None],
        shine=shine,
        along=dice.uniform(0.14, 0.22, n, 1, 1),
        across=dice.uniform(0.35, 0.6, n, 1, 1),
        grain=grain,
        metal=ones,
    )


PAINTS = torch.tensor(
    [
        [0.55, 0.06, 0.05], [0.05, 0.13, 0.42], [0.06, 0.30, 0.14], [0.70, 0.45, 0.04],
        [0.62, 0.62, 0.60], [0.22, 0.24, 0.26], [0.05, 0.05, 0.06], [0.48, 0.40, 0.30],
        [0.10, 0.32, 0.42], [0.62, 0.20, 0.05], [0.36, 0.40, 0.44], [0.80, 0.80, 0.76],
    ]
)  # fmt: skip


def paint(dice: Dice, u: Tensor, v: Tensor, axis: Tensor, grain: Tensor) -> Surface:
    """A sprayed coat: orange peel (waves of about one length, in all directions) under gloss."""
    n = len(u)
    peel = torch.zeros_like(u)
    for _ in range(6):
        angle, phase = dice.uniform(0, TAU, n, 1, 1), dice.uniform(0, TAU, n, 1, 1)
        length = dice.uniform(9, 19, n, 1, 1)
        peel.add_(torch.sin(length * (angle.cos() * u + angle.sin() * v) + phase))
    height = peel * dice.uniform(0.0005, 0.0018, n, 1, 1) + 0.004 * cloud(dice, n, axis, 2)
    colour = dice.pick(PAINTS, n)[:, :, None, None] * dice.uniform(0.8, 1.15, n, 3, 1, 1)
    flakes = clouds(dice, n, axis, 32, 2) * dice.uniform(0.01, 0.06, n, 1, 1)
    tone = 1 + flakes + 0.05 * cloud(dice, n, axis, 4)
    width = dice.uniform(0.13, 0.3, n, 1, 1)
    return Surface(
        height=height,
        albedo=colour * tone[:, None],
        shine=(0.10 / width).expand_as(u).clone(),
        along=width,
        across=width,
        grain=grain,
        metal=torch.zeros(n, 1, 1),
    )


WOODS = torch.tensor(
    [
        [[0.62, 0.42, 0.24], [0.34, 0.18, 0.08]],
        [[0.72, 0.55, 0.36], [0.48, 0.30, 0.15]],
        [[0.40, 0.22, 0.11], [0.19, 0.09, 0.04]],
        [[0.25, 0.13, 0.07], [0.10, 0.05, 0.03]],
        [[0.66, 0.52, 0.38], [0.42, 0.27, 0.16]],
    ]
)


def wood(dice: Dice, u: Tensor, v: Tensor, axis: Tensor, grain: Tensor) -> Surface:
    """Rings cut lengthwise, fibres, pores as dark dashes, and sometimes a knot that bends the rings."""
    n = len(u)
    t, b = turned(u, v, grain)
    knot_t, knot_b = dice.uniform(-0.9, 0.9, n, 1, 1), dice.uniform(-0.9, 0.9, n, 1, 1)
    away = ((t - knot_t) * 0.6).square_().add_((b - knot_b).square())
    knot = faded_(away / dice.uniform(0.02, 0.06, n, 1, 1)) * dice.chance(0.08, n, 1, 1)
    bend = 0.12 * streaks(dice, t, b, (5, 7)) + 0.35 * dice.normal(n, 1, 1) * (t * 0.5).square()
    rings = (b + bend + 0.5 * knot) * dice.uniform(7, 20, n, 1, 1) + dice.uniform(0, TAU, n, 1, 1)
    late = torch.sin(rings + 0.8 * torch.sin(rings)).mul_(0.5).add_(0.5)  # slow rise, fast fall
    fibre = streaks(dice, t, b, (26, 200))
    pores = (streaks(dice, t, b, (44, 170)) - 1.15).clamp_(0, 1) * dice.chance(0.7, n, 1, 1)
    amount = late * dice.uniform(0.1, 0.55, n, 1, 1) + 0.16 * fibre + 0.6 * pores + 0.7 * knot
    amount = (amount + 0.10 * cloud(dice, n, axis, 3)).clamp_(-0.3, 1.5)[:, None]
    pair = dice.pick(WOODS, n)[:, :, :, None, None] * dice.uniform(0.8, 1.2, n, 1, 1, 1, 1)
    pair = pair * (1 + 0.03 * dice.normal(n, 1, 3, 1, 1))
    width = dice.uniform(0.3, 0.5, n, 1, 1)
    return Surface(
        height=0.0022 * fibre - 0.010 * pores + 0.0035 * late,
        albedo=torch.lerp(pair[:, 0], pair[:, 1], amount).clamp_(0.015, 1),
        shine=dice.uniform(0.02, 0.16, n, 1, 1) * (1 - 0.6 * pores),
        along=width * 0.7,
        across=width,
        grain=grain,
        metal=torch.zeros(n, 1, 1),
    )


CLOTHS = torch.tensor(
    [
        [0.10, 0.13, 0.24], [0.50, 0.46, 0.38], [0.25, 0.25, 0.26], [0.35, 0.10, 0.09],
        [0.16, 0.24, 0.17], [0.60, 0.58, 0.54], [0.28, 0.19, 0.11], [0.16, 0.28, 0.38],
        [0.44, 0.34, 0.16], [0.07, 0.07, 0.08],
    ]
)  # fmt: skip


def fabric(dice: Dice, u: Tensor, v: Tensor, axis: Tensor, grain: Tensor) -> Surface:
    """Threads over and under each other, plain weave or twill, each of a slightly different colour."""
    n = len(u)
    t, b = turned(u, v, grain)
    count = dice.uniform(8, 13, n, 1, 1)  # threads per unit
    wave = 0.25 * cloud(dice, n, axis, 4)
    x, y = t * count + wave, b * count + 0.25 * cloud(dice, n, axis, 4)
    i, j = x.floor(), y.floor()
    twill = dice.chance(0.4, n, 1, 1)
    plain = 1 - 2 * (i + j).remainder(2)
    slant = 1 - 2 * ((i + j).remainder(4) >= 2).float()
    over = twill * slant + (1 - twill) * plain  # 1: the lengthwise thread lies on top
    warp = torch.sin((x - i) * (TAU / 2))
    weft = torch.sin((y - j) * (TAU / 2))
    upper = warp * (1 + 0.5 * over * weft)
    lower = weft * (1 - 0.5 * over * warp)
    top = torch.sigmoid((upper - lower) * 9)
    height = torch.maximum(upper, lower) * (0.027 / count)

    tones = dice.normal(n, 2, 64) * dice.uniform(0.02, 0.05, n, 1, 1)
    tones += (dice.uniform(0, 1, n, 2, 64) < 0.008) * 0.3  # a slub: one thread is paler
    warps = _by_thread(tones[:, 0], i)
    wefts = _by_thread(tones[:, 1], j)
    tone = torch.lerp(wefts, warps, top) + 0.10 * streaks(dice, t, b, (60, 130))
    tone = (
        1 + tone + 0.05 * cloud(dice, n, axis, 3) - 0.25 * (1 - torch.maximum(upper, lower) / 1.5)
    )
    first = dice.pick(CLOTHS, n)
    mixed = dice.chance(0.4, n, 1) * dice.uniform(0.1, 0.6, n, 1)
    second = torch.lerp(first, dice.pick(CLOTHS, n), mixed)
    yarn = torch.lerp(second[:, :, None, None], first[:, :, None, None], top[:, None])
    return Surface(
        height=height + 0.006 * cloud(dice, n, axis, 2),
        albedo=(yarn * tone[:, None]).clamp_(0.01, 1),
        shine=dice.uniform(0.0, 0.04, n, 1, 1).expand_as(u).clone(),
        along=torch.full((n, 1, 1), 0.6),
        across=torch.full((n, 1, 1), 0.6),
        grain=grain,
        metal=torch.zeros(n, 1, 1),
    )


def _by_thread(values: Tensor, thread: Tensor) -> Tensor:
    """values (n, 64) of the threads numbered (n, R, R), counted from the middle."""
    index = (thread + 32).clamp_(0, 63).long()
    return values.gather(1, index.flatten(1)).view_as(thread)


MAKERS = (steel, paint, wood, fabric)
