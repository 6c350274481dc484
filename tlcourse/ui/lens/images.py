"""Pictures and figures as images that a browser can show."""

import base64
import sys
from dataclasses import dataclass
from typing import Any

from tlcourse.errors import DataError

KINDS = ("image/png", "image/jpeg", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class Image:
    """kind: a MIME type; data: base64, or the text of an SVG; width: CSS pixels, None if unknown."""

    kind: str
    data: str
    alt: str
    width: int | None = None

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(data, metadata) as Jupyter displays them."""
        about = {"alt": self.alt} | ({"width": self.width} if self.width else {})
        return {self.kind: self.data}, {self.kind: about}

    def address(self) -> str:
        """The image as the `src` of an <img>."""
        data = self.data
        if self.kind == "image/svg+xml":
            data = base64.b64encode(data.encode()).decode("ascii")
        return f"data:{self.kind};base64,{data}"


def image_of(drawn: Any) -> Image:
    """The image of a Picture, a matplotlib figure (or its axes), or anything that notebooks show as an
    image. Raises DataError for anything else."""
    figure = getattr(drawn, "figure", drawn)
    if hasattr(figure, "savefig") and not hasattr(drawn, "_repr_mimebundle_"):
        drawn = _picture_of(figure)
    data, about = _bundle(drawn)
    for kind in KINDS:
        if kind in data:
            told = about.get(kind, {})
            shown = data[kind]
            if isinstance(shown, bytes):
                shown = base64.b64encode(shown).decode("ascii")
            return Image(kind, shown, told.get("alt") or _alt(drawn), told.get("width"))
    raise DataError(
        f"draw returned {_named(drawn)}, which is not a picture; let it return one of tl.plots, such as "
        "tl.plots.bars(…), or a matplotlib figure."
    )


def _bundle(drawn: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if hasattr(drawn, "_repr_mimebundle_"):
        told = drawn._repr_mimebundle_()
        return told if isinstance(told, tuple) else (told or {}, {})
    for kind, name in (("image/png", "_repr_png_"), ("image/svg+xml", "_repr_svg_")):
        if hasattr(drawn, name) and (shown := getattr(drawn, name)()):
            return {kind: shown}, {}
    return {}, {}


def _picture_of(figure: Any) -> Any:
    from tlcourse.plots.style import Picture

    if pyplot := sys.modules.get("matplotlib.pyplot"):  # else pyplot keeps every figure open
        pyplot.close(figure)
    titles = [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center", "right")]
    named = [title for title in [figure.get_suptitle(), *titles] if title]
    return Picture(figure, ": ".join(dict.fromkeys(named)) or "A figure without a title.")


def _alt(drawn: Any) -> str:
    return getattr(drawn, "alt", "") or "A picture without a description."


def _named(drawn: Any) -> str:
    return "nothing" if drawn is None else f"a {type(drawn).__name__}"
