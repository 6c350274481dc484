"""Single examples: texts by class, and a model's predictions for texts or pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tlcourse.errors import DataError
from tlcourse.plots.labels import folded
from tlcourse.plots.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    RIGHT,
    WIDTH,
    Picture,
    as_image,
    enumerated,
    styled,
)

if TYPE_CHECKING:
    from tlcourse.data import Split

_LINE = 17  # pixels from one line of text to the next at 10 points
_EDGE = 16
_OTHERS = "all others"


def texts(
    split: "Split",
    classes: Sequence[str],
    n: int = 2,
    *,
    only: Sequence[str] | None = None,
    lines: int = 3,
    title: str | None = None,
) -> Picture:
    """A sheet of texts: each class's name, and its first n texts.

    split: with texts. only: the classes to show; else at most ten, evenly spaced in their order. lines:
    longer texts are cut, with … at the end.
    """
    if not split.texts:
        raise DataError(f"{split!r} has no texts. Use a data set of texts, such as tickets.")
    unknown = [name for name in only or () if name not in classes]
    if unknown:
        raise DataError(f"No class {unknown[0]!r}. There are: {', '.join(classes)}.")
    y = np.asarray(split.y)
    present = [name for at, name in enumerate(classes) if (y == at).any()]
    few = np.linspace(0, len(present) - 1, min(10, len(present))).round().astype(int)
    shown = list(only) if only else [present[at] for at in few]
    blocks = []
    for name in shown:
        members = np.flatnonzero(y == list(classes).index(name))[:n]
        found = [folded(split.texts[at], 640, lines=lines) for at in members]
        blocks.append((folded(name, 156, bold=True, lines=3), found))
    high = [max(_height(head), sum(map(_height, found)) + 7 * (len(found) - 1)) + 20
            for head, found in blocks]  # fmt: skip
    with styled():
        axes, top = _page(sum(high), title)
        for (head, found), height in zip(blocks, high, strict=True):
            axes.plot([_EDGE, 100 * WIDTH - _EDGE], [top, top], color=GRID, linewidth=1)
            line = top + 10
            _write(axes, _EDGE, line, head, weight="bold")
            for text in found:
                _write(axes, 190, line, text)
                line += _height(text) + 7
            top += height
    of = f"{len(shown)} of {len(classes)} classes" if len(shown) < len(classes) else "classes"
    count = sum(len(found) for _, found in blocks)
    return Picture(
        axes.figure,
        f"{title or 'Texts'}: {count} texts of the {of} {enumerated(list(shown))}.",
        photographic=True,
    )


def predictions(
    items: Any,
    probabilities: Any,
    classes: Sequence[str],
    *,
    truth: Any = None,
    top: int = 4,
    listed: Sequence[str] | None = None,
    title: str | None = None,
) -> Picture:
    """A model's predictions: next to each text or picture, bars for its most likely classes.

    items: N texts, or pictures (N, 3, H, W). probabilities: (N, C), each row sums to 1. truth: (N,)
    labels; the right class has a tick, and the most likely one is orange if it is wrong. top: how many
    classes, most likely first (the right one takes the last place if needed). Up to six classes are all
    listed in their own order; with more, `listed` fixes which, so that only the bars move during a
    run or while a slider moves.
    """
    shares, truth = _checked(items, probabilities, classes, truth)
    unknown = [name for name in listed or () if name not in classes]
    if unknown:
        raise DataError(f"No class {unknown[0]!r}. There are: {', '.join(classes)}.")
    if listed is None and len(classes) <= 6:
        listed = classes
    pictured = not isinstance(items[0], str)
    rows = len(listed) + (len(listed) < len(classes)) if listed else min(top, len(classes))
    block = max(rows * _LINE, 96 if pictured else 3 * _LINE) + 22
    per_row = 2 if pictured else 1
    with styled():
        axes, head = _page(block * -(-len(shares) // per_row), title)
        for at, (item, row) in enumerate(zip(items, shares, strict=True)):
            line, column = divmod(at, per_row)
            left, y = column * 50 * WIDTH, head + line * block
            wide = 100 * WIDTH / per_row - 2 * _EDGE
            axes.plot([left + _EDGE, left + _EDGE + wide], [y, y], color=GRID, linewidth=1)
            if pictured:
                image = as_image(item)
                axes.imshow(
                    image,
                    extent=(left + _EDGE, left + _EDGE + 96, y + 106, y + 10),
                    interpolation="lanczos" if min(image.shape[:2]) >= 64 else "nearest",
                )
                start = left + _EDGE + 108
            else:
                cut = max(3, rows)
                _write(axes, _EDGE, y + 10, folded(item, 370, lines=cut))
                start = 420
            right = None if truth is None else int(truth[at])
            chosen = _chosen(row, classes, rows, listed, right)
            _bars(axes, start, y + 10, left + _EDGE + wide, row, chosen, classes, right)
        axes.set(xlim=(0, 100 * WIDTH), ylim=(100 * axes.figure.get_figheight(), 0))
    likeliest = [f"{classes[int(row.argmax())]} {row.max() * 100:.0f} %" for row in shares]
    alt = f"{title or 'Predictions'}: {len(shares)} examples; likeliest: ⟨{enumerated(likeliest)}⟩."
    return Picture(axes.figure, alt, photographic=True)


def _checked(items: Any, probabilities: Any, classes: Any, truth: Any) -> tuple:
    if isinstance(items, str) or not len(items):
        raise DataError("predictions wants a list of one or more texts, or pictures (N, 3, H, W).")
    shares = np.asarray(getattr(probabilities, "detach", lambda: probabilities)(), dtype=float)
    if shares.shape != (len(items), len(classes)):
        raise DataError(
            f"Probabilities of {len(items)} examples and {len(classes)} classes are a table of "
            f"{len(items)} × {len(classes)}, not {shares.shape}."
        )
    if not (np.isfinite(shares).all() and (shares >= -1e-6).all()
            and np.allclose(shares.sum(1), 1, atol=1e-3)):  # fmt: skip
        raise DataError("Each row of probabilities must sum to 1: apply .softmax(1) to the scores.")
    if truth is not None and len(truth) != len(items):
        raise DataError(f"{len(truth)} true labels do not fit {len(items)} examples.")
    return shares, truth


def _chosen(row: np.ndarray, classes: Sequence[str], rows: int, listed: Any,
            truth: int | None) -> list[int | None]:  # fmt: skip
    """Labels in the order of their bars; None is all that are not listed."""
    if not listed:
        likeliest = np.argsort(-row, kind="stable")[:rows].tolist()
        return likeliest if truth is None or truth in likeliest else [*likeliest[:-1], truth]
    names = list(classes)
    return [*(names.index(name) for name in listed), *([None] if rows > len(listed) else [])]


def _bars(axes: Axes, left: float, y: float, right: float, row: np.ndarray, chosen: list,
          classes: Sequence[str], truth: int | None) -> None:  # fmt: skip
    """A line for each class: its name, its bar (the full width is 100 %), its number."""
    room = right - left
    begin, end = left + 0.42 * room, right - 50
    best = int(row.argmax())
    rest = 1 - sum(row[at] for at in chosen if at is not None)
    for at in chosen:
        share = rest if at is None else row[at]
        name = _OTHERS if at is None else str(classes[at])
        is_truth = at is not None and at == truth
        sign = f"{RIGHT[0]} " if is_truth else ""
        text = folded(f"{sign}{name}", 0.42 * room - 10, size=9, bold=is_truth, lines=1)
        axes.text(begin - 8, y + _LINE / 2, text, ha="right", va="center", fontsize=9,
                  parse_math=False, weight="bold" if is_truth else "normal",
                  color=MUTED if at is None else INK)  # fmt: skip
        wrong = truth is not None and best != truth
        colour = "#A9B4BD" if at != best else ORANGE if wrong else BLUE
        axes.add_patch(Rectangle((begin, y + 3), end - begin, _LINE - 6, facecolor="#ECEBE7"))
        axes.add_patch(Rectangle((begin, y + 3), max(share, 0) * (end - begin), _LINE - 6,
                                 facecolor=colour))  # fmt: skip
        axes.text(right, y + _LINE / 2, f"{share * 100:.0f} %", ha="right", va="center", fontsize=9)
        y += _LINE


def _page(height: float, title: str | None) -> tuple[Axes, float]:
    """Axes in pixels, y downwards, over a page of the full width; and where the first line begins."""
    head = 44 if title else 12
    figure = Figure(figsize=(WIDTH, (head + height + 6) / 100))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 100 * WIDTH), ylim=(head + height + 6, 0))
    axes.set_axis_off()
    if title:
        text = folded(title, 100 * WIDTH - 2 * _EDGE, size=12, bold=True, lines=1)
        axes.text(_EDGE, 14, text, va="top", size=12, weight="bold", parse_math=False)
    return axes, head


def _write(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    for at, line in enumerate(text.split("\n")):
        axes.text(
            x, y + at * _LINE, line, va="top", ha="left", fontsize=10, parse_math=False, **look
        )


def _height(text: str) -> float:
    return _LINE * (text.count("\n") + 1)
