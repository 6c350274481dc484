"""What can be a seed: any whole number, Python's own or numpy's."""

from numbers import Integral
from typing import Any

from tlcourse.errors import TLCourseError


def whole(seed: Any, error: type[TLCourseError]) -> int:
    """The seed as a plain int, which JSON can hold. Raises `error` for what is none, True and False too.

    >>> whole(3, TLCourseError)
    3
    """
    if isinstance(seed, Integral) and not isinstance(seed, bool):
        return int(seed)
    raise error(f"seed={seed!r} is no seed: give a whole number, such as 0.")
