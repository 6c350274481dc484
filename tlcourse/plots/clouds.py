"""Features of two domains in one plane, whose axes stay fixed during a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from tlcourse.errors import DataError
from tlcourse.plots.labels import folded
from tlcourse.plots.style import (
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    PAPER,
    Picture,
    check_names,
    enumerated,
    sheet,
    styled,
)

from .projections import principal, unit_length

if TYPE_CHECKING:
    from tlcourse.data import Data, Split


@dataclass(frozen=True, eq=False)
class Projection:
    """A plane in feature space and the window that is shown of it. origin: (D,),
    directions: (D, 2), orthonormal; low, high: (2,)."""

    origin: np.ndarray
    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Rows (N, D), scaled to unit length, as (N, 2)."""
        if x.shape[1] != len(self.origin):
            raise DataError(
                f"This projection is for {len(self.origin)} features, not {x.shape[1]}: "
                f"leave out projection to get a new one."
            )
        return (unit_length(x) - self.origin) @ self.directions


def cloud(
    features: "Data | Split | Mapping[str, Data | Split] | Any",
    y: Any = None,
    *,
    classes: Sequence[str] | None = None,
    domains: Sequence[Any] | None = None,
    projection: Projection | None = None,
    title: str | None = None,
) -> Picture:
    """Features in their two principal directions (PCA). Colour is the class, hollow markers are the
    second domain, and a line joins the means of a class in both domains.

    features: rows (N, D); or a Split of them, or a Data (its test split); or one of these for each
    domain, {"photo": …, "sketch": …}. y: (N,) labels, if not in the splits; without any, colour is the
    domain. domains: (N,) names of the rows' domains. projection: the `.projection` of an earlier
    picture, so that successive pictures (in a Lens) keep their axes; None computes new ones.
    """
    x, y, domains, classes = _rows(features, y, domains, classes)
    if x.ndim != 2 or len(x) < 4:
        raise DataError(f"A cloud needs four or more rows of features (N, D), not {x.shape}.")
    for name, some in (("y", y), ("domains", domains)):
        if some is not None and len(some) != len(x):
            raise DataError(f"{len(some)} {name} do not fit {len(x)} rows of features.")
    if y is not None and classes is not None:
        check_names(classes, y)
    projection = projection or fitted(x)
    points = projection(x)
    projection = _widened(projection, points)
    where = list(dict.fromkeys(domains.tolist())) if domains is not None else []
    labels = [] if y is None else np.unique(y).tolist()
    names = [str(classes[int(label)]) if classes is not None else str(label) for label in labels]
    with styled():
        figure = sheet(4.7, width=7.8)
        figure.set_layout_engine("none")  # a fixed layout: nothing moves between pictures
        if title:
            figure.text(0.02, 0.97, folded(title, 740, size=12, bold=True, lines=1), va="top",
                        size=12, weight="bold")  # fmt: skip
        axes = figure.add_axes((0.02, 0.065, 0.7, 0.84 if title else 0.91))
        axes.set(xlim=(projection.low[0], projection.high[0]), xticks=[], yticks=[],
                 ylim=(projection.low[1], projection.high[1]))  # fmt: skip
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set(visible=True, color="#C9CCCE")
        means = _scatter(axes, points, y, domains, labels, where)
        _legend(figure, names, where, 0.90 if title else 0.965)
        note = "PCA of features of unit length"
        if len(means) > 1 and len(where) == 2:
            note += "; a line joins a class's means in both domains"
        figure.text(0.02, 0.018, note, size=8.5, color=MUTED)
    picture = Picture(figure, _described(points, domains, names, where, title))
    picture.projection = projection
    return picture


def fitted(x: np.ndarray) -> Projection:
    """The plane of the rows' two principal directions, and a window with a margin around them."""
    origin, directions = principal(x)
    points = (unit_length(x) - origin) @ directions
    middle, half = points.mean(0), np.abs(points - points.mean(0)).max(0) * 1.2 + 1e-9
    return Projection(origin, directions, middle - half, middle + half)


def _widened(projection: Projection, points: np.ndarray) -> Projection:
    """The window never shrinks; it grows, by a quarter at a time, only if a point would leave it."""
    low, high = (
        np.minimum(projection.low, points.min(0)),
        np.maximum(projection.high, points.max(0)),
    )
    size = projection.high - projection.low
    low = np.where(low < projection.low, low - size / 4, low)
    high = np.where(high > projection.high, high + size / 4, high)
    return replace(projection, low=low, high=high)


def _rows(features: Any, y: Any, domains: Any, classes: Any) -> tuple:
    """(features (N, D), labels (N,) or None, domains (N,) or None, classes or None)."""
    if isinstance(features, Mapping):
        parts = {name: _rows(part, None, None, classes) for name, part in features.items()}
        widths = {part[0].shape[1:] for part in parts.values()}
        if len(widths) != 1:
            raise DataError(f"The domains {', '.join(parts)} have features of different widths.")
        x = np.concatenate([part[0] for part in parts.values()])
        domains = np.repeat(
            np.array(list(parts), dtype=object), [len(p[0]) for p in parts.values()]
        )
        if y is None and all(part[1] is not None for part in parts.values()):
            y = np.concatenate([part[1] for part in parts.values()])
        classes = next((part[3] for part in parts.values() if part[3] is not None), classes)
    elif hasattr(features, "test") and hasattr(features, "classes"):
        return _rows(features.test, y, domains, classes or features.classes)
    elif hasattr(features, "ids"):
        x, y = features.x, features.y if y is None else y
    else:
        x = features
    array = np.asarray(x, dtype=np.float64)
    return (
        array,
        None if y is None else np.asarray(y),
        None if domains is None else np.asarray(domains, dtype=object),
        classes,
    )


def _look(at: int, domain: int, many_domains: bool, *, plain: bool) -> dict[str, Any]:
    """A class's colour and marker; the first domain is filled, the others are hollow."""
    colour = PALETTE[at % len(PALETTE)]
    shape = MARKERS[(domain if many_domains else at // len(PALETTE)) % len(MARKERS)]
    if plain:
        colour = PALETTE[domain % len(PALETTE)]
    hollow = domain > 0
    return {
        "marker": shape,
        "facecolors": "none" if hollow else colour,
        "edgecolors": colour if hollow else PAPER,
        "linewidths": 1.3 if hollow else 0.5,
    }


def _scatter(axes: Axes, points: Any, y: Any, domains: Any, labels: list, where: list) -> dict:
    """Draw all points; return {(class, domain): mean}."""
    means = {}
    for domain, place in enumerate(where or [None]):
        here = np.ones(len(points), bool) if place is None else domains == place
        for at, label in enumerate(labels or [None]):
            mine = here if label is None else here & (y == label)
            if mine.any():
                look = _look(at, domain, len(where) > 2, plain=not labels)
                axes.scatter(*points[mine].T, s=26, alpha=0.8, **look)
                means[at, domain] = points[mine].mean(0)
    if len(where) == 2:
        for at in range(max(len(labels), 1)):
            if (at, 0) in means and (at, 1) in means:
                line = np.array([means[at, 0], means[at, 1]])
                axes.plot(*line.T, color=PAPER, linewidth=3.5, zorder=3, solid_capstyle="round")
                axes.plot(*line.T, color=INK, linewidth=1.6, zorder=3.1)
        for (at, domain), mean in means.items():
            look = _look(at, domain, False, plain=not labels) | {"edgecolors": INK}
            look["facecolors"] = PAPER if domain else look["facecolors"]
            axes.scatter(
                *mean,
                s=75 if len(labels) < 8 else 42,
                zorder=3.2,
                **look | {"linewidths": 1.8 if len(labels) < 8 else 1.3},
            )
    return means


def _legend(figure: Any, names: list[str], where: list, top: float) -> None:
    """Domains, then classes, in a column next to the points."""
    entries = [
        (name, _look(0, at, len(where) > 2, plain=not names) | ({} if not names else
         {"edgecolors": MUTED, "facecolors": "none" if at else MUTED})) for at, name in enumerate(where)
    ]  # fmt: skip
    room = 17 - len(entries)
    entries += [(name, _look(at, 0, len(where) > 2, plain=False)) for at, name in enumerate(names)]
    shown = entries if len(names) <= room else entries[: room + len(where) - 1]
    axes = figure.add_axes((0.735, 0, 0.265, 1), xlim=(0, 1), ylim=(0, 1), facecolor="none")
    axes.set_axis_off()
    height = top
    for at, (name, look) in enumerate(shown):
        text = folded(str(name), 170, size=9.5, lines=2 if len(shown) < 10 else 1)
        tall = 0.049 + 0.035 * text.count("\n")
        height -= tall / 2
        axes.scatter(0.035, height, s=40, clip_on=False, **look)
        axes.text(0.09, height, text, va="center", size=9.5, parse_math=False,
                  weight="bold" if at < len(where) else "normal")  # fmt: skip
        height -= tall / 2 + (0.02 if at + 1 == len(where) else 0)
    if len(shown) < len(entries):
        axes.text(0.09, height - 0.02, f"and {len(entries) - len(shown)} more", size=9, color=MUTED,
                  va="center")  # fmt: skip


def _described(points: Any, domains: Any, names: list[str], where: list, title: str | None) -> str:
    text = f"{title or 'Cloud of features'}: {len(points)} points"
    text += f" of {enumerated(names)}" if names else ""
    if len(where) < 2:
        return f"{text}, by their two principal directions."
    text += f", from {enumerated([str(place) for place in where])}"
    if len(where) == 2:
        one, two = (points[domains == place] for place in where)
        spread = np.sqrt((one.var(0).sum() + two.var(0).sum()) / 2) or 1.0
        gap = float(np.linalg.norm(one.mean(0) - two.mean(0)) / spread)
        text += f"; the middles of the two lie ⟨{gap:.2f}⟩ times a cloud's own spread apart"
    return f"{text}."
