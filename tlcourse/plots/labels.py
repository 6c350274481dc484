"""Text on figures: folded to the width it has, and placed so that labels do not overlap.

Sizes are in pixels at 100 pixels an inch, as measured by the renderer.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

Box = tuple[float, float, float, float]  # left, bottom, right, top


def printable(text: str) -> str:
    """One line, with underscores as spaces, and □ for letters that the font lacks."""
    shown = " ".join(str(text).replace("_", " ").split())
    return "".join(letter if ord(letter) in _letters() else "□" for letter in shown)


def folded(text: str, width: float, *, size: float = 10, bold: bool = False, lines: int = 9) -> str:
    """`printable(text)` in at most `lines` lines of at most `width` pixels; longer text ends in …"""
    rows, used, space = [""], 0.0, length("a a", size, bold) - 2 * length("a", size, bold)
    for word in printable(text).split(" "):
        if len(rows) > lines:
            break  # a review may have a thousand words
        for piece in _pieces(word, width, size, bold):
            wide = length(piece, size, bold)
            if not rows[-1]:
                rows[-1], used = piece, wide
            elif used + space + wide <= width:
                rows[-1], used = f"{rows[-1]} {piece}", used + space + wide
            else:
                rows.append(piece)
                used = wide
    if len(rows) > lines:
        last = rows[lines - 1]
        while last and length(last + " …", size, bold) > width:
            last = last[:-1]
        rows = [*rows[: lines - 1], f"{last.rstrip()} …"]
    return "\n".join(row for row in rows if row)


@lru_cache(4096)  # a live figure draws the same words several times a second
def length(text: str, size: float = 10, bold: bool = False) -> float:
    """The width of one line in pixels at 100 pixels an inch."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    return _renderer().get_text_width_height_descent(text, font, False)[0]


def apart(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Centres as close to the wanted ones as possible, so that things of these sizes do not overlap and
    stay between low and high (if there is room for all)."""
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[Any]] = []  # [members, sum of sizes, wanted start of the block]
    for at in order:
        blocks.append([[at], sizes[at], wanted[at] - sizes[at] / 2])
        while len(blocks) > 1 and blocks[-2][2] + blocks[-2][1] > blocks[-1][2]:
            members, size, start = blocks.pop()
            before = blocks[-1]
            n, m = len(before[0]), len(members)
            before[2] = (n * before[2] + m * (start - before[1])) / (n + m)
            before[0], before[1] = before[0] + members, before[1] + size
    placed = [0.0] * len(wanted)
    floor = low
    ceilings = np.cumsum([block[1] for block in reversed(blocks)])[::-1]
    for (members, _, start), above in zip(blocks, ceilings, strict=True):
        at_most = high - above  # what lies above needs its room, too
        here = max(floor, min(start, at_most))
        for member in members:
            placed[member] = here + sizes[member] / 2
            here += sizes[member]
        floor = here
    return placed


def beside_points(
    axes: Axes,
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    taken: Sequence[Box],
    **look: Any,
) -> None:
    """Write a name near each point (in data), where it covers no other name, point or box of `taken`
    (in pixels), inside the axes if that can be. The figure's layout must be settled."""
    frame = axes.get_window_extent()
    occupied = list(taken)
    spots = axes.transData.transform(np.asarray(points, dtype=float))
    occupied += [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    for name, (x, y) in zip(names, spots, strict=True):
        text = axes.text(
            0, 0, name, transform=None, ha="left", va="bottom", parse_math=False, **look
        )
        text.set_in_layout(False)
        box = text.get_window_extent(_drawer(axes.figure))
        width, height = box.width + 2, box.height + 2
        tried = [
            (x + dx + (-width if side < 0 else -width / 2 if side == 0 else 0), y + dy)
            for away in range(0, 120, 8)
            for side, dx, dy in _around(9 + away, height)
        ]
        boxes = [(left, low, left + width, low + height) for left, low in tried]
        best = min(range(len(boxes)), key=lambda at: (_covered(boxes[at], occupied, frame), at))
        occupied.append(boxes[best])
        left, low = boxes[best][:2]
        if best >= 8:  # too far away to be read as the point's name without a line
            end = (min(max(x, left), left + width), min(max(y, low), low + height))
            start, end = np.array([(x, y), end]) * 72 / 100
            axes.annotate("", start, end, xycoords="figure points", textcoords="figure points",
                          arrowprops={"arrowstyle": "-", "color": "#5B626B", "linewidth": 0.8},
                          zorder=1.5).set_in_layout(False)  # fmt: skip
        # In fractions of the axes, which hold at any resolution that the figure is saved in.
        place = axes.transAxes.inverted().transform((left + 1, low + 1))
        text.set(transform=axes.transAxes, position=place)


def settle(figure: Figure) -> None:
    """Run the layout once and freeze it, so that pixel positions can be computed."""
    _drawer(figure)
    for _ in range(2):  # what the first pass makes room for may change the ticks
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _around(away: float, height: float) -> list[tuple[int, float, float]]:
    """(side, dx, dy) of a box's corner about a point: right, left, above, below, and between."""
    slant = 0.7 * away
    return [
        (1, away, -height / 2), (-1, -away, -height / 2), (0, 0, away), (0, 0, -away - height),
        (1, slant, slant), (-1, -slant, slant), (1, slant, -slant - height),
        (-1, -slant, -slant - height),
    ]  # fmt: skip


def _covered(box: Box, others: Sequence[Box], frame: Any) -> float:
    """Square pixels of the box that lie on others, or outside of the frame (those count tenfold)."""
    area = sum(
        max(0.0, min(box[2], o[2]) - max(box[0], o[0]))
        * max(0.0, min(box[3], o[3]) - max(box[1], o[1]))
        for o in others
    )
    inside = max(0.0, min(box[2], frame.x1) - max(box[0], frame.x0)) * max(
        0.0, min(box[3], frame.y1) - max(box[1], frame.y0)
    )
    return area + 10 * ((box[2] - box[0]) * (box[3] - box[1]) - inside)


def _pieces(word: str, width: float, size: float, bold: bool) -> list[str]:
    """A word that is longer than a line, cut; else the word itself."""
    pieces = []
    while len(word) > 1 and length(word, size, bold) > width:
        cut = max(1, int(len(word) * width / length(word, size, bold)))
        while cut > 1 and length(word[:cut], size, bold) > width:
            cut -= 1
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _drawer(figure: Figure) -> Any:
    canvas = figure.canvas if hasattr(figure.canvas, "get_renderer") else FigureCanvasAgg(figure)
    return canvas.get_renderer()


@cache
def _renderer() -> Any:
    return FigureCanvasAgg(Figure(figsize=(1, 1), dpi=100)).get_renderer()


@cache
def _letters() -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    path = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf"
    return frozenset(FT2Font(path).get_charmap())
