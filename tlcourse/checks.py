"""Checks of what a person gives, each said once: it returns the value or raises one sentence.

Each takes the value, the subject of the sentence ("steps", "A LoRA's rank") and the error's class.
Nothing is changed before the check, so a caller that checks first refuses before it acts.
"""

import math
import re
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from tlcourse.errors import TLCourseError

_NAME = re.compile(r"[^\W_][\w .+@-]{0,39}")


def is_whole(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a whole number within [low, high], Python's or NumPy's. True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether it is a finite number, Python's or NumPy's. True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def whole_number(
    value: Any,
    subject: str,
    error: type[TLCourseError],
    low: int | None = None,
    high: int | None = None,
    also: str = "",
) -> int:
    """A whole number within [low, high] as a plain int, which JSON can hold. also: what else the caller
    accepts, for the sentence, such as ", or None".

    >>> whole_number(3, "steps", TLCourseError, 1)
    3
    >>> whole_number(0, "steps", TLCourseError, 1, 9)
    Traceback (most recent call last):
    ...
    tlcourse.errors.TLCourseError: steps is a whole number from 1 to 9, not 0.
    """
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if is_whole(value, least, most):
        return int(value)
    raise error(f"{subject} is a whole number{_range(low, high)}{also}, not {value!r}.")


def number(
    value: Any,
    subject: str,
    error: type[TLCourseError],
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number as a plain float: within [low, high], or in the open range (above, below).

    >>> number(1, "share", TLCourseError, low=0, below=1)
    Traceback (most recent call last):
    ...
    tlcourse.errors.TLCourseError: share is a number from 0 to below 1, not 1.
    """
    if (
        is_number(value)
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        return float(value)
    raise error(f"{subject} is a number{_range(low, high, above, below)}, not {value!r}.")


def learning_rate(value: Any, error: type[TLCourseError]) -> float:
    return number(value, "A learning rate", error, above=0)


def name(value: Any, subject: str, error: type[TLCourseError]) -> str:
    """A short name that a person gives to something."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise error(
        f"{subject} is a short name of letters, digits, spaces, - and _, such as 'warm', not {value!r}."
    )


def choice(value: Any, subject: str, choices: Iterable[str], error: type[TLCourseError]) -> str:
    """One of the choices.

    >>> choice("adam", "optimizer", ["adamw", "sgd"], TLCourseError)
    Traceback (most recent call last):
    ...
    tlcourse.errors.TLCourseError: No optimizer 'adam'. There are: adamw, sgd.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    raise error(f"No {subject} {value!r}. There are: {', '.join(known)}.")


def _range(
    low: float | None,
    high: float | None,
    above: float | None = None,
    below: float | None = None,
) -> str:
    """The range in words, after "is a number"."""
    if low is not None:
        end = (
            f"to {high}" if high is not None else f"to below {below}" if below is not None else "on"
        )
        return f" from {low} {end}"
    parts = [f" above {above}"] if above is not None else []
    parts += [f" up to {high}"] if high is not None else []
    parts += [f" below {below}"] if below is not None else []
    return " and".join(parts)
