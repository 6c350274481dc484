"""How far off a guess was, in one sentence that is worth reading."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlcourse.measure import Interval

NO_GUESS = (
    "No guess was committed here, so this is the outcome alone. Write one down the next time, even a "
    "wild one: what surprises you is what you will remember."
)


def sentence(
    guess: Mapping[str, float] | None,
    came: Mapping[str, "Interval | float"],
    unit: str,
    *,
    late: bool = False,
) -> str:
    """Which guesses hold, by how much and which way the others missed, and whether the order is right.

    A guess holds if it lies inside the outcome's interval, or, of a single number, within a hundredth.
    """
    if not guess:
        return NO_GUESS
    held = [name for name, value in came.items() if holds(guess[name], value, unit)]
    missed = [name for name in came if name not in held]
    told = []
    if held:
        what = "within what was measured" if any(_wide(came[n]) for n in held) else "to the point"
        told.append(f"{_all_of(held, len(came))} came out as guessed, {what}")
    if missed:
        ways = [_miss(guess[name], came[name], unit) for name in missed]
        first, *more = [
            f"{_quoted(name)} {{}}{way}" for name, way in zip(missed, ways, strict=True)
        ]
        told.append(
            _and([first.format("came out ") + " than guessed", *(m.format("") for m in more)])
        )
    text = "; ".join(told)
    order = f" {_order(guess, came, unit)}" if len(came) > 1 else ""
    after = " (The guess was committed after the outcome had been shown.)" if late else ""
    return f"{text[:1].upper()}{text[1:]}.{order}{after}"


def holds(said: float, value: "Interval | float", unit: str) -> bool:
    """Whether a guess is as right as it can be."""
    if _wide(value):
        return value.low <= said <= value.high
    room = 0.01 if unit in ("percent", "points") else 0.05 * abs(_mean(value))
    return abs(said - _mean(value)) <= room


def apart(difference: float, unit: str) -> str:
    """The size of a difference in words: 0.139 of a percentage → `14 points`, 0.004 → `0.4 points`."""
    size = abs(difference)
    if unit in ("percent", "points"):
        bare = f"{size * 100:.0f}" if size >= 0.0095 else f"{size * 100:.1f}"
        return f"{bare} point{'' if bare == '1' else 's'}"
    suffix = {"ratio": " ×", "seconds": " s"}.get(unit, "")
    return f"{size:.3g}{suffix}"


def _miss(said: float, value: "Interval | float", unit: str) -> str:
    mean = _mean(value)
    if not math.isfinite(mean):
        return "as no number, rather"
    way = "higher" if mean > said else "lower"
    if unit == "ratio" and said > 0 and mean > 0:
        return f"{max(mean / said, said / mean):.2g}-fold {way}"
    return f"{apart(mean - said, unit)} {way}"


def _order(guess: Mapping[str, float], came: Mapping[str, "Interval | float"], unit: str) -> str:
    """What was expected of the items beside each other, and what it was."""
    means = {name: _mean(value) for name, value in came.items()}
    if not all(map(math.isfinite, means.values())):
        return ""
    best, said_best = max(means, key=means.get), max(means, key=lambda name: guess[name])
    close = [name for name in means if name != best and _high(came[name]) >= _low(came[best])]
    if close:
        return (
            f"{_quoted(best)} came out highest, but its interval overlaps that of {_listed(close)}."
        )
    tied = [name for name in means if guess[name] == guess[said_best]]
    if len(tied) > 1:
        return f"The guess had {_listed(tied)} level; {_quoted(best)} is highest."
    if best != said_best:
        return f"The guess had {_quoted(said_best)} highest, and it is {_quoted(best)}."
    if len(means) > 2:
        return f"That {_quoted(best)} is highest was right."
    other = next(name for name in means if name != best)
    expected, was = (apart(of[best] - of[other], unit) for of in (guess, means))
    lead = f"{_quoted(best)} is above {_quoted(other)}, as expected"
    return (
        f"{lead}, by {was}." if expected == was else f"{lead}, but by {was} and not by {expected}."
    )


def _all_of(names: list[str], count: int) -> str:
    if len(names) == count > 1:
        return "both" if count == 2 else "all of them"
    return _listed(names)


def _listed(names: list[str]) -> str:
    return _and([_quoted(name) for name in names])


def _quoted(name: str) -> str:
    return f"“{name}”"


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _mean(value: "Interval | float") -> float:
    return float(getattr(value, "mean", value))


def _low(value: "Interval | float") -> float:
    return value.low if _wide(value) else _mean(value)


def _high(value: "Interval | float") -> float:
    return value.high if _wide(value) else _mean(value)


def _wide(value: "Interval | float") -> bool:
    return hasattr(value, "low") and math.isfinite(value.low) and math.isfinite(value.high)
