"""What comes from a file or a network is checked once, where it comes in.

    told = read_json(body, FetchError, "The answer is wrong")       # plain values, or one sentence
    check(told, {"name": LINE, "bytes": whole(1)}, FetchError, "The answer is wrong")

Behind that every known field has its type and range; unknown fields are ignored. `checks` is for what a
person gives.
"""

import json
import math
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tlcourse.errors import TLCourseError

HUGE = 2**63  # whole numbers beyond 64 bits are none of ours
DEEPEST = 20  # lists within lists
LONGEST = 1000  # letters of a line
# What is not structure in TOML: strings (three quotes may end as five), and comments.
_STRINGS = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_LONG_KEY = re.compile(rf'(?<![\w"-])(?:[\w"-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}')


@dataclass(frozen=True, slots=True)
class Field:
    """says: what a value must be, as it completes "… must be"; fits: whether one is that."""

    says: str
    fits: Callable[[Any], bool]


def whole(low: int, high: int = HUGE) -> Field:
    says = f"a whole number from {low:,}" + ("" if high == HUGE else f" to {high:,}")
    return Field(says, lambda v: type(v) is int and low <= v <= high)


def matching(pattern: str | re.Pattern, says: str) -> Field:
    return Field(says, lambda v: isinstance(v, str) and bool(re.fullmatch(pattern, v)))


def one_of(choices: Collection[str]) -> Field:
    return Field(f"one of {', '.join(choices)}", lambda v: isinstance(v, str) and v in choices)


def list_of(field: Field) -> Field:
    return Field(
        f"a list, each item {field.says}", lambda v: isinstance(v, list) and all(map(field.fits, v))
    )


def dict_of(field: Field, *, filled: bool = False) -> Field:
    """An object of any names. filled: at least one."""
    return Field(
        f"an object{' that is not empty' if filled else ''}, each value {field.says}",
        lambda v: (
            isinstance(v, dict) and all(map(field.fits, v.values())) and bool(v or not filled)
        ),
    )


def object_of(fields: Mapping[str, Field], *optional: str) -> Field:
    """An object with these fields, all but the optional; others may be there."""

    def fits(value: Any) -> bool:
        return isinstance(value, dict) and all(
            field.fits(value[name]) if name in value else name in optional
            for name, field in fields.items()
        )

    return Field(f"an object of {', '.join(fields)}", fits)


def or_null(field: Field) -> Field:
    return Field(f"null or {field.says}", lambda v: v is None or field.fits(v))


def either(*fields: Field) -> Field:
    return Field(
        " or ".join(field.says for field in fields),
        lambda v: any(field.fits(v) for field in fields),
    )


def is_text(value: Any, besides: str = "") -> bool:
    """Whether it is a text that a terminal may show: no control characters, and nothing that turns
    the direction of writing."""
    return isinstance(value, str) and (
        (value.isascii() and value.isprintable())
        or all(c in besides or unicodedata.category(c)[0] != "C" for c in value)
    )


LINE = Field(
    f"a line of at most {LONGEST:,} letters without control characters",
    lambda v: is_text(v) and 0 < len(v) <= LONGEST and v.strip() == v,
)
TEXT = Field("a text without control characters", lambda v: is_text(v, "\n\t"))
FLAG = Field("true or false", lambda v: isinstance(v, bool))
NUMBER = Field("a number", lambda v: isinstance(v, int | float) and not isinstance(v, bool))
SHA256 = matching("[0-9a-f]{64}", "64 hex digits in lower case")


def check(
    value: Any,
    fields: Mapping[str, Field],
    error: type[TLCourseError],
    where: str,
    *optional: str,
    only: bool = False,
) -> None:
    """Raises `error` that names the field at fault. where: what begins its sentence. only: whether an
    unknown field is at fault, too."""
    if not isinstance(value, dict):
        raise error(f"{where}: it must be an object, not {shown(value)}.")
    if only and (unknown := sorted(set(value) - set(fields))):
        names = ", ".join(name if name.isidentifier() else shown(name) for name in unknown)
        raise error(f"{where}: unknown {names}. There are: {', '.join(sorted(fields))}.")
    for name, field in fields.items():
        if name not in value:
            if name not in optional:
                raise error(f"{where} lacks its {name}.")
        elif not field.fits(value[name]):
            raise error(f"{where}: {name} must be {field.says}, not {shown(value[name])}.")


def read_json(text: str | bytes, error: type[TLCourseError], what: str) -> Any:
    """The plain values of a JSON text. Raises `error`, a sentence that begins with `what`, also for
    names that occur twice, numbers that are not finite or too long, and lists nested too deep."""
    return _read(text, lambda one: json.loads(one, object_pairs_hook=_once), "JSON", error, what)


def read_toml(text: str | bytes, error: type[TLCourseError], what: str) -> dict[str, Any]:
    """The plain values of a TOML text. Raises `error` as `read_json` does, also for a date."""
    return _read(text, _toml, "TOML", error, what)


def _read(
    text: str | bytes, parse: Callable[[str], Any], kind: str, error: type[TLCourseError], what: str
) -> Any:
    try:
        value = parse(text.decode("utf-8") if isinstance(text, bytes) else text)
        _check_plain(value)
        return value
    except RecursionError:
        reason = f"its lists are nested deeper than {DEEPEST}"
    except UnicodeError:
        reason = "it is not text in UTF-8"
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as fault:
        reason = f"it is not valid {kind} ({fault})"
    except _Odd as fault:
        reason = str(fault)
    except ValueError:  # Python's own limit for the digits of a whole number
        reason = "a number in it has too many digits"
    raise error(f"{what}: {reason}.")


class _Odd(ValueError):
    """Valid, but nothing that we would write."""


def _toml(text: str) -> dict[str, Any]:
    # A key of n parts takes tomllib n² steps: 15 s for 32 kB.
    if _LONG_KEY.search(_STRINGS.sub('"', text)):
        raise RecursionError
    return tomllib.loads(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _Odd(f"{shown(twice)} occurs twice")
    return found


def _check_plain(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_plain(key, depth)
            _check_plain(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, depth + 1)
    elif isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Odd(f"{value} is not a finite number")
    elif isinstance(value, int):
        if not -HUGE <= value <= HUGE:
            raise _Odd("a number in it has too many digits")
    elif value is not None:
        raise _Odd(f"it has a {type(value).__name__}, which no field takes")


def shown(value: Any) -> str:
    """A value for a sentence: on one line, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…"


def printable(text: str) -> str:
    """A text from elsewhere for a terminal: without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
