"""Maps of features: rows (N, D) in two dimensions, by t-SNE or PCA."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from tlcourse.errors import CommandError, DataError
from tlcourse.plots.style import (
    INK,
    MARKERS,
    PALETTE,
    PAPER,
    WIDTH,
    Picture,
    check_names,
    enumerated,
    sheet,
    styled,
)
from tlcourse.rng import checked_seed

if TYPE_CHECKING:
    from tlcourse.data import Split

_METHODS = {
    "tsne": "t-SNE: what is close is alike; distances between clusters mean little",
    "pca": "PCA: the two directions that differ most; what overlaps here may lie apart in others",
}


def feature_map(
    features: "Split",
    classes: Sequence[str],
    *,
    method: str = "tsne",
    seed: int = 0,
    title: str | None = None,
) -> Picture:
    """Features (N, D) in two dimensions, each class with a colour, a marker and its name.

    method: "tsne" (van der Maaten & Hinton 2008: close stays close, far distances mean little) or
    "pca" (a linear projection: distances are faithful, but clusters overlap).
    """
    x, y = np.asarray(features.x, dtype=np.float64), np.asarray(features.y)
    if x.ndim != 2 or len(x) < 4:
        raise DataError(f"A map needs at least four rows of features (N, D), not {x.shape}.")
    check_names(classes, y)
    points = project(x, method=method, seed=checked_seed(seed, CommandError))
    with styled():
        figure = sheet(5.6 + (0.36 if title else 0), width=WIDTH * 0.86, title=title)
        axes = figure.subplots()
        for at, label in enumerate(np.unique(y)):
            mine = points[y == label]
            colour = PALETTE[at % len(PALETTE)]
            marker = MARKERS[(at // len(PALETTE) + at) % len(MARKERS)]
            axes.scatter(*mine.T, s=22, color=colour, marker=marker, alpha=0.75, linewidths=0)
        names = [classes[int(label)].replace("_", " ") for label in np.unique(y)]
        places = np.array([_above(points[y == label]) for label in np.unique(y)])
        for name, place in zip(names, _apart(places, names, points), strict=True):
            _name(axes, name, place)
        axes.margins(0.08)
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(_METHODS[method], fontsize=8.5)
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    present = [classes[int(label)] for label in np.unique(y)]
    return Picture(
        figure, f"{title or 'Map of features'}: {len(x)} photos of {enumerated(present)}."
    )


def project(x: np.ndarray, *, method: str, seed: int) -> np.ndarray:
    """Rows (N, D), scaled to unit length, as (N, 2)."""
    if method not in _METHODS:
        raise CommandError(f"No map {method!r}. Choose one of: {', '.join(_METHODS)}.")
    if method == "pca":
        origin, directions = principal(x)
        return (unit_length(x) - origin) @ directions
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    flat = PCA(min(50, *x.shape), random_state=seed).fit_transform(unit_length(x))
    spread = min(30.0, (len(x) - 1) / 3)
    return TSNE(perplexity=spread, init="pca", random_state=seed).fit_transform(flat)


def principal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) of rows (N, D), scaled to unit length, and the two directions (D, 2) in which they
    differ most. The sign is fixed by making the largest entry positive, so it is the same everywhere."""
    x = unit_length(x)
    origin = x.mean(0)
    directions = np.linalg.svd(x - origin, full_matrices=False)[2][:2].T
    largest = directions[np.abs(directions).argmax(0), range(directions.shape[1])]
    return origin, directions * np.where(largest < 0, -1, 1)


def unit_length(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _above(points: np.ndarray) -> np.ndarray:
    """(2,): a place just above most of a class's points, whatever the outliers."""
    middle = np.median(points, axis=0)
    away = np.linalg.norm(points - middle, axis=1)
    core = points[away <= 2 * np.median(away) + 1e-9]
    return np.array([middle[0], core[:, 1].max()])


def _apart(places: np.ndarray, names: list[str], points: np.ndarray) -> np.ndarray:
    """The places of the names, moved up if two names would overlap."""
    # About 620 × 440 pixels hold the points; a letter takes 7 of them, a line 16.
    pixel = np.ptp(points, axis=0) / (620, 440)
    places, placed = places.copy(), []
    for at in np.argsort(places[:, 1]):
        for other in placed:  # from the bottom upwards, so one pass is enough
            across, up = np.abs(places[at] - places[other]) / pixel
            if across < 3.5 * (len(names[at]) + len(names[other])) and up < 16:
                places[at, 1] = places[other, 1] + 16 * pixel[1]
        placed.append(at)
        placed.sort(key=lambda i: places[i, 1])
    return places


def _name(axes: Axes, name: str, place: np.ndarray) -> None:
    from matplotlib.patheffects import withStroke

    axes.annotate(
        name,
        place,
        (0, 7),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9.5,
        color=INK,
        path_effects=[withStroke(linewidth=3, foreground=PAPER)],
    )
