"""Intervals side by side as bars, and confusion matrices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlcourse.errors import DataError
from tlcourse.measure import Interval
from tlcourse.plots.labels import folded
from tlcourse.plots.lines import as_interval
from tlcourse.plots.style import (
    BLUE,
    INK,
    PALETTE,
    PAPER,
    Picture,
    enumerated,
    sheet,
    styled,
)


def bars(
    intervals: Mapping[str, Interval | float],
    *,
    unit: str = "percent",
    title: str | None = None,
) -> Picture:
    """A bar for each measurement, with its interval as a whisker and its number next to it.

    intervals: name -> Interval or number, all in one unit. unit: of the plain numbers, see
    `tlcourse.measure.units`; a share from 0 to 1 is written in percent. Intervals are filled bars;
    plain numbers, such as guesses, are hollow and hatched.
    """
    measured = {name: as_interval(value, unit) for name, value in intervals.items()}
    units = {value.unit for value in measured.values()}
    if len(units) != 1:
        raise DataError(
            f"bars compares one unit at a time, not {', '.join(sorted(units)) or 'none'}."
        )
    values = list(measured.values())
    solid = [isinstance(value, Interval) for value in intervals.values()]
    ends = [v.mean if np.isnan(v.high) else max(v.high, v.mean) for v in values]
    with styled():
        names = [folded(name, 250) for name in measured]
        rows = np.array([max(1.0, 0.45 * (name.count("\n") + 1)) for name in names])
        figure = sheet(0.5 + 0.42 * rows.sum() + (0.36 if title else 0), width=7.4, title=title)
        axes = figure.subplots()
        places = rows.sum() - np.cumsum(rows) + rows / 2
        axes.barh(
            places,
            [value.mean for value in values],
            height=0.62,
            facecolor=[BLUE if full else PAPER for full in solid],
            edgecolor=BLUE,
            hatch=["" if full else "////" for full in solid],
            linewidth=1.5,
            xerr=[value.half_width for value in values],
            error_kw={"capsize": 4, "elinewidth": 1.5, "ecolor": INK},
        )
        axes.set_yticks(places, names, color=INK, fontsize=10, parse_math=False)
        for place, end, value in zip(places, ends, values, strict=True):
            axes.annotate(value.text.split(" (")[0], (max(end, 0), place), (8, 0), va="center",
                          textcoords="offset points", fontsize=9.5)  # fmt: skip
        low = np.nanmin([0, *(v.mean for v in values), *(v.low for v in values)])
        high = max(0, *ends)
        axes.set_xlim(low * 1.1, high + 0.28 * (high - low or 1))
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
    words = [f"{name} ⟨{value.text}⟩" for name, value in measured.items()]
    return Picture(figure, f"{title or 'Comparison'}: {enumerated(words, at_most=12)}.")


def confusion(matrix: Any, classes: Sequence[str], *, title: str | None = None) -> Picture:
    """A confusion matrix: rows are true classes, columns predictions; counts in the cells.

    matrix: (C, C) counts from `tlcourse.measure.confusion`. Correct cells are blue, wrong ones orange;
    both are darker the larger their share of the row.
    """
    matrix = np.asarray(matrix)
    count = len(classes)
    if matrix.shape != (count, count):
        raise DataError(
            f"A confusion matrix of {count} classes is {count} × {count}, not {matrix.shape}."
        )
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    right = np.eye(count, dtype=bool)
    with styled():
        side = min(max(0.27 * count, 3.0), 6.6)
        figure = sheet(side + 1.2 + (0.36 if title else 0), width=side + 1.3, title=title)
        axes = figure.subplots()
        for mask, colours in ((~right, shades(PALETTE[1])), (right, shades(BLUE))):
            axes.imshow(np.where(mask, share, np.nan), cmap=colours, vmin=0, vmax=1, aspect="equal")
        size = 7.5 if count > 14 else 9
        for row, column in np.argwhere(matrix):
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=size,
                      color="white" if share[row, column] > 0.55 else INK)  # fmt: skip
        names = [name.replace("_", " ") for name in classes]
        axes.set_xticks(range(count), names, rotation=90, fontsize=size + 1)
        axes.set_yticks(range(count), names, fontsize=size + 1)
        axes.set(xlabel="what was said", ylabel="what it is")
        separate_cells(axes, count, count)
    wrong = np.argsort(np.where(right, 0, matrix), axis=None)[::-1]
    pairs = [divmod(int(flat), count) for flat in wrong[:3] if not right.flat[flat]]
    worst = [f"{classes[i]} as {classes[j]} {matrix[i, j]} times" for i, j in pairs if matrix[i, j]]
    return Picture(
        figure,
        f"{title or 'Confusion'} of {count} classes: ⟨{int(matrix.trace())} of "
        f"{int(matrix.sum())} right; most often wrong: {enumerated(worst) or 'none'}⟩.",
    )


def separate_cells(axes: Any, rows: int, columns: int) -> None:
    """Draw gaps between the cells of an image, and no ticks or frame."""
    axes.grid(False)
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(True, which="minor", color=PAPER, linewidth=1.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def shades(colour: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shades", ["#EFEEEB", colour])
    return shades.with_extremes(bad=(0, 0, 0, 0))
