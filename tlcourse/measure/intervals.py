"""A mean over seeds, with a confidence interval.

The interval is Student's: with n values of mean m and standard deviation s, the true mean lies in
m ± t · s / √n with the stated confidence, if the values are independent and normally distributed.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tlcourse.errors import DataError
from tlcourse.measure.units import json_number, scale, varying_html, varying_text


@dataclass(frozen=True)
class Interval:
    """A mean over n values (one per seed, or per unit named in `of`) with its confidence interval, which
    is NaN if n = 1."""

    mean: float
    low: float
    high: float
    n: int
    values: tuple[float, ...]
    confidence: float = 0.95
    unit: str = "percent"
    of: str = "seeds"

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    @property
    def text(self) -> str:
        """`94.5 ± 0.4 %`, or for a single value `94.5 % (one value, no interval)`."""
        how = scale(self.unit, self.mean)
        if self.n == 1:
            return f"{how.text(self.mean)} (one value, no interval)"
        half = how.bare(self.half_width, how.spec.replace("+", ""))
        return f"{how.bare(self.mean)} ± {half}{how.suffix}"

    @property
    def bounds(self) -> str:
        how = scale(self.unit, self.mean)
        return f"{how.bare(self.low)} to {how.text(self.high)}"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return varying_text(self.text)

    def as_json(self) -> dict[str, Any]:
        """The numbers, unrounded, for a file of figures."""
        return {
            "mean": json_number(self.mean),
            "low": json_number(self.low),
            "high": json_number(self.high),
            "n": self.n,
            "values": [json_number(value) for value in self.values],
            "confidence": self.confidence,
            "of": self.of,
            "unit": self.unit,
        }

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        data = {"text/html": varying_html(self.text), "text/plain": repr(self)}
        return data, {"tlcourse": {"interval": self.as_json()}}


def interval(
    values: Iterable[float],
    *,
    confidence: float = 0.95,
    unit: str = "percent",
    of: str = "seeds",
) -> Interval:
    """Mean and Student-t confidence interval of independent values, one per seed.

    values: one or more numbers; in the unit "percent" shares from 0 to 1. confidence: 0 to 1,
    exclusive. unit: how the interval is written, see `tlcourse.measure.units`. of: what each value
    stands for, if not a seed, such as exams or messages; the interval is about more of the same. With a
    single value the bounds are NaN.

    >>> print(interval([0.94, 0.95, 0.945]))
    94.5 ± 1.2 %
    """
    values = tuple(float(value) for value in values)
    if not values:
        raise DataError("An interval needs values: give one number per seed, at least two.")
    if not 0 < confidence < 1:
        raise DataError(f"confidence={confidence!r} must lie between 0 and 1; 0.95 is usual.")
    scale(unit, 0.0)  # an unknown unit is refused here, not later when it is shown
    n, mean = len(values), fmean(values)
    if n == 1 or not all(math.isfinite(value) for value in values):
        return Interval(mean, math.nan, math.nan, n, values, confidence, unit, of)

    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats loads for 0.5 s

    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, values, confidence, unit, of)


def paired(a: Interval, b: Interval) -> Interval:
    """The interval of the differences a − b, seed by seed.

    The i-th values of both must come from the same seed (the same labels drawn). What the seed changes
    in both cancels out, so this is the right way to compare two methods, and narrower than comparing two
    intervals.

    >>> print(paired(interval([0.90, 0.80]), interval([0.85, 0.74])))
    +5.5 ± 6.4 points
    """
    if a.n != b.n:
        raise DataError(f"{a.n} and {b.n} values cannot be paired: run both with the same seeds.")
    if a.unit != b.unit:
        raise DataError(f"{a.unit} and {b.unit} cannot be subtracted: measure both in one unit.")
    unit = "points" if a.unit == "percent" else a.unit
    differences = (x - y for x, y in zip(a.values, b.values, strict=True))
    confidence = min(a.confidence, b.confidence)
    return interval(differences, confidence=confidence, unit=unit, of=a.of)
