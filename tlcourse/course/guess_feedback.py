"""How far off a guess was, in one sentence."""

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
    outcome: Mapping[str, "Interval | float"],
    unit: str,
    *,
    late: bool = False,
) -> str:
    """Which guesses were right, how far and in which direction the others missed, and the order.

    A guess is right if it lies within the outcome's interval; see `holds` for a single number.
    late: whether the guess was made after the outcome was shown.
    """
    if not guess:
        return NO_GUESS
    held = [name for name, value in outcome.items() if holds(guess[name], value, unit)]
    missed = [name for name in outcome if name not in held]
    parts = []
    if held:
        what = (
            "within what was measured" if any(_wide(outcome[n]) for n in held) else "to the point"
        )
        parts.append(f"{_all_of(held, len(outcome))} came out as guessed, {what}")
    if missed:
        ways = [_miss(guess[name], outcome[name], unit) for name in missed]
        first, *more = [
            f"{_quoted(name)} {{}}{way}" for name, way in zip(missed, ways, strict=True)
        ]
        parts.append(
            _and([first.format("came out ") + " than guessed", *(m.format("") for m in more)])
        )
    text = "; ".join(parts)
    order = f" {_order(guess, outcome, unit)}" if len(outcome) > 1 else ""
    after = " (The guess was committed after the outcome had been shown.)" if late else ""
    return f"{text[:1].upper()}{text[1:]}.{order}{after}"


def holds(guessed: float, value: "Interval | float", unit: str) -> bool:
    """Whether a guess is inside the interval, or within a point (5 % in other units) of a number."""
    if _wide(value):
        return value.low <= guessed <= value.high
    room = 0.01 if unit in ("percent", "points") else 0.05 * abs(_mean(value))
    return abs(guessed - _mean(value)) <= room


def apart(difference: float, unit: str) -> str:
    """The size of a difference in words: 0.139 of a percentage → `14 points`, 0.004 → `0.4 points`."""
    size = abs(difference)
    if unit in ("percent", "points"):
        bare = f"{size * 100:.0f}" if size >= 0.0095 else f"{size * 100:.1f}"
        return f"{bare} point{'' if bare == '1' else 's'}"
    suffix = {"ratio": " ×", "seconds": " s"}.get(unit, "")
    return f"{size:.3g}{suffix}"


def _miss(guessed: float, value: "Interval | float", unit: str) -> str:
    mean = _mean(value)
    if not math.isfinite(mean):
        return "as no number, rather"
    way = "higher" if mean > guessed else "lower"
    if unit == "ratio" and guessed > 0 and mean > 0:
        return f"{max(mean / guessed, guessed / mean):.2g}-fold {way}"
    return f"{apart(mean - guessed, unit)} {way}"


def _order(guess: Mapping[str, float], outcome: Mapping[str, "Interval | float"], unit: str) -> str:
    """What was expected of the items beside each other, and what it was."""
    means = {name: _mean(value) for name, value in outcome.items()}
    if not all(map(math.isfinite, means.values())):
        return ""
    best, said_best = max(means, key=means.get), max(means, key=lambda name: guess[name])
    close = [name for name in means if name != best and _high(outcome[name]) >= _low(outcome[best])]
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
