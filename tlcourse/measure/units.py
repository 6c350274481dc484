"""How a number is written, and how it is marked as one that varies with hardware.

    percent   0.945  -> 94.5 %          a share, 0 to 1
    points    0.416  -> +41.6 points    a difference of two shares
    seconds   0.0123 -> 12.3 ms         a time
    ratio     12.34  -> 12.3 ×          one thing over another
    count     1440   -> 1,440
    number    0.1234 -> 0.1234          anything else
    text      whatever -> str(whatever)

A measured number is shown as `<data>94.5 %</data>` in HTML and as `⟨94.5 %⟩` in plain text. nbval's
sanitizer blanks exactly these, and the rest of an output is compared exactly.
"""

import html
import math
from dataclasses import dataclass
from typing import Any

from tlcourse.errors import DataError

UNITS = ("percent", "points", "seconds", "ratio", "count", "number", "text")


@dataclass(frozen=True)
class Scale:
    """Multiply by `factor`, write with `spec`, append `suffix`."""

    factor: float
    spec: str
    suffix: str

    def bare(self, value: float, spec: str | None = None) -> str:
        if not math.isfinite(value):
            return "unknown" if math.isnan(value) else ("∞" if value > 0 else "−∞")
        return format(value * self.factor, spec or self.spec).replace("-", "−")

    def text(self, value: float, spec: str | None = None) -> str:
        bare = self.bare(value, spec)
        return bare if bare == "unknown" else bare + self.suffix


def scale(unit: str, size: float) -> Scale:
    """How to write numbers of about this size in this unit."""
    size = abs(size)
    match unit:
        case "percent":
            return Scale(100, ".1f", " %")
        case "points":
            return Scale(100, "+.1f", " points")
        case "seconds" if size < 1e-3:
            return Scale(1e6, ".1f", " µs")
        case "seconds" if size < 1:
            return Scale(1e3, ".1f", " ms")
        case "seconds" if size < 120 or not math.isfinite(size):
            return Scale(1, ".1f", " s")
        case "seconds":
            return Scale(1 / 60, ".1f", " min")
        case "ratio":
            return Scale(1, ".2f" if size < 10 else ".1f" if size < 100 else ".0f", " ×")
        case "count":
            return Scale(1, ",.0f", "")
        case "number":
            return Scale(1, ".4g", "")
    raise DataError(f"No unit {unit!r}. Choose one of: {', '.join(UNITS)}.")


def written(value: Any, unit: str) -> str:
    """One value in its unit; an Interval writes itself."""
    if hasattr(value, "text") and hasattr(value, "low"):
        return value.text
    if unit == "text" or value is None or isinstance(value, str):
        return "–" if value is None else str(value)
    return scale(unit, float(value)).text(float(value))


def as_threshold(value: float, unit: str) -> str:
    """A threshold in words: 0.15 in points -> 15 points."""
    return scale(unit, value).text(value, ".6g")


def varying_html(text: str) -> str:
    return f"<data>{html.escape(text, quote=False)}</data>"


def varying_text(text: str) -> str:
    return f"⟨{text}⟩"


def json_number(value: Any) -> Any:
    """The value for JSON; NaN and infinity, which JSON lacks, become null."""
    if isinstance(value, bool | str) or value is None:
        return value
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None
