"""The style of all figures, and `Picture`, which shows a figure in a notebook.

A figure has an opaque, nearly white background, so that the same committed image is readable on light
and dark pages. Colours are Okabe & Ito's (2008), which people with common colour blindness can tell
apart; nothing is said by colour alone.
"""

import base64
import io
import re
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from tlcourse.errors import DataError

PAPER, INK, MUTED, GRID = "#FBFAF7", "#22262B", "#5B626B", "#DDDFE0"
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PALETTE = (BLUE, ORANGE, GREEN, "#CC79A7", "#B58900", "#56B4E9", "#4D4D4D")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RIGHT, WRONG = ("✓", BLUE), ("✗", ORANGE)

WIDTH = 8.6  # inches of 100 CSS pixels: fits a notebook's output column on a laptop

_SETTINGS = threading.RLock()
_STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so text looks the same everywhere
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.color": INK,
    "figure.facecolor": PAPER,
    "figure.dpi": 100,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


class Picture:
    """A finished figure. `alt` describes it in words. `⟨…⟩` in the argument marks what varies with
    hardware; the brackets are removed from `alt`."""

    def __init__(self, figure: Figure, alt: str, *, photographic: bool = False) -> None:
        self.figure = figure
        self.alt = re.sub("[⟨⟩]", "", alt)
        self._plain = alt
        self._photographic = photographic

    def png(self) -> bytes:
        """The figure as PNG, two device pixels per CSS pixel.

        A palette of 128 colours is enough for a chart and takes a third of the bytes; a notebook holds
        many charts.
        """
        drawn = Image.open(io.BytesIO(self._rendered("png", sharp=2))).convert("RGB")
        buffer = io.BytesIO()
        drawn.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def jpeg(self) -> bytes:
        """The figure as JPEG, one and a half device pixels per CSS pixel: enough for photos of 128
        px, in a quarter of the bytes of a PNG."""
        return self._rendered("jpeg", sharp=1.5, quality=88, subsampling=0, optimize=True)

    def save(self, path: str | Path) -> Path:
        """Write the figure, as JPEG if the name ends in .jpg or .jpeg, else as PNG; return its path."""
        path = Path(path)
        is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
        path.write_bytes(self.jpeg() if is_jpeg else self.png())
        return path

    def __repr__(self) -> str:
        return self._plain

    def _rendered(self, kind: str, sharp: float, **options: Any) -> bytes:
        buffer = io.BytesIO()
        with styled():
            self.figure.savefig(buffer, format=kind, dpi=100 * sharp, pil_kwargs=options)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        width, height = (round(inches * 100) for inches in self.figure.get_size_inches())
        kind, image = (
            ("image/jpeg", self.jpeg()) if self._photographic else ("image/png", self.png())
        )
        data = {kind: base64.b64encode(image).decode("ascii"), "text/plain": self._plain}
        return data, {kind: {"width": width, "height": height, "alt": self.alt}}


@contextmanager
def styled() -> Iterator[None]:
    """Our matplotlib settings within the context; afterwards the user's are restored. They are global to
    the process, so only one thread at a time draws: a lens draws while cells run."""
    with _SETTINGS, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def sheet(height: float, *, width: float = WIDTH, title: str | None = None) -> Figure:
    """An empty figure, width × height in inches of 100 CSS pixels (a title of several lines adds to it).
    Call it inside `styled()`."""
    title = textwrap.fill(title, int(9 * width)) if title else ""
    height += 0.2 * title.count("\n")
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.14, h_pad=0.12, wspace=0.03, hspace=0.03)
    if title:
        figure.suptitle(title, x=0.02, ha="left")
    return figure


def percent_axis(axis: Any) -> None:
    """Write shares 0 … 1 on an axis as percent."""
    axis.set_major_formatter(lambda value, _: f"{value * 100:g} %")


def with_room(axes: Any, unit: str) -> None:
    """Make the y axis span at least ten points: a smaller range would show only noise."""
    low, high = axes.get_ylim()
    if unit in ("percent", "points") and (room := 0.1 - (high - low)) > 0:
        axes.set_ylim(low - room / 2, high + room / 2)


def unit_axis(axis: Any, unit: str, size: float, *, sign: str = "+") -> None:
    """Write numbers of about this size on an axis, in a unit of `tlcourse.measure.units`. sign: "+" puts
    a sign before positive points."""
    from tlcourse.measure.units import scale

    how = scale(unit, size)
    sign = sign if unit == "points" else ""
    suffix = "" if unit == "points" else how.suffix

    def written(value: float, _: int | None = None) -> str:
        number = value * how.factor
        if abs(number) < 1e-9:
            return f"0{suffix}"
        return f"{number:{sign},g}".replace("-", "−") + suffix

    axis.set_major_formatter(written)


def picture_on(axes: Axes, x: Any) -> None:
    """Draw one image (3, H, W), uint8 or float in [0, 1], without ticks. Small ones stay pixelated."""
    image = as_image(x)
    smooth = "lanczos" if min(image.shape[:2]) >= 64 else "nearest"
    axes.imshow(image, interpolation=smooth)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def framed(axes: Axes, colour: str, *, width: float = 0, style: str = "solid") -> None:
    """Draw a frame around a picture; width 0 removes it."""
    for spine in axes.spines.values():
        spine.set(visible=width > 0, edgecolor=colour, linewidth=width, linestyle=style)


def as_image(x: Any) -> np.ndarray:
    """(3, H, W) as (H, W, 3)."""
    image = np.asarray(x)
    return image.transpose(1, 2, 0)


def check_names(classes: Sequence[str], *labels: Any) -> None:
    """Raise DataError unless every label has a name. labels: arrays (N,) of integers from 0."""
    highest = max((int(np.asarray(some).max()) for some in labels if len(some)), default=-1)
    if highest >= len(classes):
        raise DataError(
            f"{len(classes)} class names for labels from 0 to {highest}: give the names of all classes, "
            f"in the order of their labels (a Data has them in `classes`)."
        )


def enumerated(words: list[str], at_most: int = 8) -> str:
    """`a, b and c`; a long list is shortened."""
    if len(words) > at_most:
        return f"{', '.join(words[:at_most])} and {len(words) - at_most} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
