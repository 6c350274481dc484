"""Sheets of photos: by class, with nearest neighbours, and misclassified ones."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tlcourse.errors import DataError
from tlcourse.methods import nearest
from tlcourse.plots.style import (
    INK,
    MUTED,
    ORANGE,
    RIGHT,
    WIDTH,
    WRONG,
    Picture,
    check_names,
    enumerated,
    framed,
    picture_on,
    sheet,
    styled,
)

if TYPE_CHECKING:
    from tlcourse.data import Data, Split


def photos(
    split: "Split",
    classes: Sequence[str],
    *,
    rows: int | None = None,
    per_row: int = 8,
    title: str | None = None,
) -> Picture:
    """A sheet of photos with their classes: one of every class, then a second of every class, …

    split: images (N, 3, H, W). classes: the name of every label. rows: None means enough for one photo
    of every class.
    """
    _check_images(split)
    check_names(classes, split.y)
    if per_row < 1 or (rows is not None and rows < 1):
        raise DataError(f"rows={rows} of {per_row} photos show nothing: give 1 or more of each.")
    per_row = min(per_row, len(split))
    order = _round_robin(np.asarray(split.y))
    present = len(np.unique(np.asarray(split.y)))
    rows = math.ceil(present / per_row) if rows is None else rows
    shown = order[: rows * per_row]
    with styled():
        figure, axes = grid(math.ceil(len(shown) / per_row), per_row, title)
        for axis, index in zip(axes, shown, strict=False):
            picture_on(axis, split.x[index])
            framed(axis, INK)
            axis.set_title(_fit(classes[int(split.y[index])], per_row), **_CAPTION)
    names = list(dict.fromkeys(classes[int(split.y[index])] for index in shown))
    return Picture(
        figure, f"{title or 'Photos'}: {len(shown)} of {enumerated(names)}.", photographic=True
    )


def neighbours(
    features: "Data",
    images: "Data",
    queries: Sequence[int],
    *,
    k: int = 5,
    title: str | None = None,
) -> Picture:
    """Test photos, and next to each the k training photos with the most similar features.

    features: `features(model, images)`. queries: indices into the test split. A neighbour of the
    query's class has a tick and a plain frame, one of another class a cross and a dashed frame.
    """
    _check_images(images.test)
    for name in ("train", "test"):
        if getattr(features, name).ids != getattr(images, name).ids:
            raise DataError(
                f"The features are of other {name} photos: use features(model, images)."
            )
    queries = list(queries)
    if not queries or not all(0 <= q < len(images.test.ids) for q in queries):
        raise DataError(
            f"queries={queries} must be one or more indices from 0 to {len(images.test.ids) - 1}."
        )
    found = nearest(features, features.test.x[queries], k=k)
    labels, same = images.train.y, 0
    with styled():
        figure, axes = grid(len(queries), k + 1, title)
        for row, (query, neighbours_) in enumerate(zip(queries, found, strict=True)):
            wanted = int(images.test.y[query])
            first, *others = axes[row * (k + 1) : (row + 1) * (k + 1)]
            picture_on(first, images.test.x[query])
            framed(first, INK, width=3)
            first.set_title(_fit(images.classes[wanted], k + 1), **_CAPTION | {"weight": "bold"})
            for axis, index in zip(others, neighbours_, strict=True):
                picture_on(axis, images.train.x[index])
                is_same = int(labels[index]) == wanted
                same += is_same
                _mark(axis, is_same, _fit(images.classes[int(labels[index])], k + 1))
    names = [images.classes[int(images.test.y[query])] for query in queries]
    return Picture(
        figure,
        f"{title or 'Nearest neighbours'}: test photos of {enumerated(names)}, each with its {k} "
        f"nearest training photos; ⟨{same} of {k * len(queries)}⟩ are of the same class.",
        photographic=True,
    )


def mistakes(
    split: "Split",
    predicted: Any,
    classes: Sequence[str],
    *,
    n: int = 12,
    per_row: int = 6,
    sureness: Any = None,
    title: str | None = None,
) -> Picture:
    """Misclassified photos, with predicted and true class.

    predicted: (N,) labels. sureness: (N,) confidence, such as `predict_proba(x).max(1).values`; with it
    the most confident mistakes come first, and the confidence is written.
    """
    _check_images(split)
    predicted, target = np.asarray(predicted), np.asarray(split.y)
    if predicted.shape != target.shape:
        raise DataError(f"{predicted.shape} predictions do not fit {len(target)} photos.")
    check_names(classes, predicted, target)
    wrong = np.flatnonzero(predicted != target)
    sureness = None if sureness is None else np.asarray(sureness)
    if sureness is not None:
        wrong = wrong[np.argsort(-sureness[wrong], kind="stable")]
    shown = wrong[:n]
    with styled():
        if not len(shown):
            return _nothing_wrong(len(target), title)
        figure, axes = grid(
            math.ceil(len(shown) / per_row), per_row, title, lines=2 + (sureness is not None)
        )
        for axis, index in zip(axes, shown, strict=False):
            picture_on(axis, split.x[index])
            framed(axis, ORANGE, width=2, style="dashed")
            guess = _fit(classes[predicted[index]], per_row, taken=7)
            truth = _fit(classes[target[index]], per_row, taken=3)
            sure = "" if sureness is None else f"\n{sureness[index] * 100:.0f} % sure"
            axis.set_title(f"{WRONG[0]} said {guess}\nis {truth}{sure}", **_CAPTION)
    listed = [f"{classes[target[i]]} called {classes[predicted[i]]}" for i in shown]
    return Picture(
        figure,
        f"{title or 'Mistakes'}: ⟨{len(shown)} of {len(wrong)} mistakes among {len(target)} photos: "
        f"{enumerated(listed)}⟩.",
        photographic=True,
    )


_CAPTION = {"fontsize": 9, "weight": "normal", "loc": "center", "pad": 4, "color": INK}
_EDGE, _GAP, _LINE = 0.16, 0.13, 0.16  # inches: margin, gap between tiles, line height of captions


def grid(rows: int, columns: int, title: str | None, lines: int = 1) -> tuple[Figure, list[Axes]]:
    """A sheet of rows × columns empty axes, as large as the page's width allows, but not larger than
    suits pictures of 128 px. The fixed layout leaves all space to the pictures."""
    tile = min((WIDTH - 2 * _EDGE + _GAP) / columns - _GAP, 1.6)
    caption, head = 0.07 + _LINE * lines, 0.36 if title else 0.0
    width = max(columns * (tile + _GAP) - _GAP + 2 * _EDGE, 4.0)
    height = head + rows * (caption + tile + _GAP) - _GAP + 2 * _EDGE
    figure = Figure(figsize=(width, height))
    if title:
        figure.text(_EDGE / width, 1 - _EDGE / height, title, va="top", fontsize=12, weight="bold")
    axes = []
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        left = _EDGE + column * (tile + _GAP)
        bottom = height - _EDGE - head - row * (caption + tile + _GAP) - caption - tile
        box = (left / width, bottom / height, tile / width, tile / height)
        axis = figure.add_axes(box, facecolor="none", xticks=[], yticks=[])
        axis.grid(False)
        framed(axis, INK)
        axes.append(axis)
    return figure, axes


def _mark(axis: Axes, right: bool, name: str) -> None:
    sign, colour = RIGHT if right else WRONG
    framed(axis, colour, width=2.5, style="solid" if right else "dashed")
    axis.set_title(f"{sign} {name}", **_CAPTION)


def _nothing_wrong(count: int, title: str | None) -> Picture:
    figure = sheet(0.9, width=5, title=title)
    text = f"{RIGHT[0]} No mistakes among {count} photos."
    figure.text(0.5, 0.4, text, ha="center", va="center", fontsize=12, color=MUTED)
    return Picture(figure, f"{title or 'Mistakes'}: ⟨none among {count} photos⟩.")


def _round_robin(y: np.ndarray) -> list[int]:
    """Row numbers: the first of every class, in class order, then the second of every class, …"""
    turn = np.zeros(len(y), dtype=int)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        turn[members] = np.arange(len(members))
    return np.lexsort((y, turn)).tolist()


def _fit(name: str, per_row: int, taken: int = 2) -> str:
    """The name, shortened to the width of its picture at 9 points."""
    name = name.replace("_", " ")
    room = max(6, int(116 / per_row) - taken)
    return name if len(name) <= room else name[: room - 1] + "…"


def _check_images(split: "Split") -> None:
    if np.ndim(split.x) != 4 or not len(split.x):
        raise DataError(
            f"Photos are drawn from a split of images (N, 3, H, W), not {tuple(split.x.shape)}."
        )
