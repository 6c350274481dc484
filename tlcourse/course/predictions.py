"""A guess before the run: committed, kept, and compared with the outcome.

    guess = predict("02.1", "How many points of the old task will be lost?",
                    {"one rate": 0.2, "stage by stage": 0.1}, unit="points")
    guess["one rate"]                                  # what was committed, or None
    guess.outcome({"one rate": interval([…]), …})      # a picture, and how far off

`tlcourse.ui.predict` gives it sliders in a browser; without one it is a table. In a headless run the
starting positions count as committed.
"""

import html
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlcourse.checks import is_number
from tlcourse.course import learner
from tlcourse.errors import CourseError

if TYPE_CHECKING:
    from tlcourse.measure import Interval
    from tlcourse.plots import Picture

UNITS = {  # unit: (what a value is multiplied with, what follows it)
    "percent": (100.0, " %"),
    "points": (100.0, " points"),
    "ratio": (1.0, " ×"),
    "seconds": (1.0, " s"),
    "count": (1.0, ""),
    "number": (1.0, ""),
}


@dataclass(frozen=True)
class Question:
    """What is asked. items: name → where its slider starts; low, high: the ends of every slider."""

    id: str
    text: str
    items: dict[str, float]
    unit: str
    low: float
    high: float

    @property
    def step(self) -> float:
        """About a hundredth of the range, a number with one digit: 0.01, 0.2, 5."""
        aim = (self.high - self.low) / 100
        size = 10.0 ** math.floor(math.log10(aim) + 1e-9)
        step = next(f * size for f in (1, 2, 5, 10) if f * size >= aim * (1 - 1e-9))
        return max(step, 1.0) if self.unit == "count" else step

    @property
    def decimals(self) -> int:
        """How many a value has in words: one more than the slider can tell apart."""
        factor = UNITS[self.unit][0]
        return 0 if self.unit == "count" else max(0, 1 - math.floor(math.log10(self.step * factor)))

    def words(self, value: float) -> str:
        """0.52 in percent → `52 %`."""
        factor, suffix = UNITS[self.unit]
        bare = f"{value * factor:,.{self.decimals}f}"
        bare = bare.rstrip("0").rstrip(".") if "." in bare else bare
        bare = "0" if bare == "-0" else bare
        suffix = suffix.removesuffix("s") if bare in ("1", "-1") and suffix == " points" else suffix
        return bare.replace("-", "−") + suffix


class Prediction:
    """The guess for one question. `face` shows it in a live notebook; `listeners` hear of changes."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.face: Callable[[], dict[str, Any]] | None = None
        self.listeners: list[Callable[[], None]] = []

    @property
    def committed(self) -> dict[str, float] | None:
        """The guess that counts, by item; None as long as there is none."""
        if (values := self._entry().get("values")) and set(values) == set(self.question.items):
            return {name: float(values[name]) for name in self.question.items}
        return dict(self.question.items) if learner.headless() else None

    @property
    def seen(self) -> bool:
        """Whether the outcome was shown: a guess that counts is final from then on."""
        return bool(self._entry().get("seen"))

    @property
    def final(self) -> bool:
        return self.seen and self.committed is not None

    def __getitem__(self, name: str) -> float | None:
        self._known([name])
        committed = self.committed
        return committed[name] if committed else None

    def commit(self, values: Mapping[str, float], *, over: bool = True) -> "Prediction":
        """Record the guess, a value for each item. It can be changed until the outcome was shown.

        over: whether it may replace an earlier guess. Raises CourseError once the outcome was shown.
        """
        checked = self._checked(values)
        asked, when = self.question, learner.now()

        def act(notes: learner.Notes) -> bool:
            entry = notes["predictions"].setdefault(asked.id, {})
            had = entry.get("values")
            stands = bool(had) and set(had) == set(asked.items)
            if stands and (had == checked or not over):
                return True
            if stands and entry.get("seen"):
                return False
            if (
                had
            ):  # kept: an earlier guess, or a guess for items of an earlier version of the lesson
                entry.setdefault("before", []).append({"values": had, "when": entry.get("when")})
            entry |= {"question": asked.text, "unit": asked.unit, "values": checked, "when": when}
            entry["late"] = bool(entry.get("seen"))
            return True

        if not learner.change(act):
            raise CourseError(
                f"You have seen the outcome of {asked.id}, so your guess stays as it was: "
                f"{self._listed(self.committed or {})}."
            )
        self._tell()
        return self

    def outcome(self, values: Mapping[str, "Interval | float"]) -> "Picture":
        """The outcome over the guess, drawn, with a sentence on how far off it was.

        values: an Interval or a number for each item, or for some, in the question's unit.
        """
        from tlcourse.course.guess_feedback import sentence
        from tlcourse.plots.outcomes import outcomes

        outcome = self._measured(values)
        guess, entry = self.committed, self._entry()
        text = sentence(guess, outcome, self.question.unit, late=bool(entry.get("late")))
        self._see(outcome)
        return outcomes(
            outcome,
            {name: (guess or {}).get(name) for name in outcome},
            unit=self.question.unit,
            title=f"{self.question.id} · {self.question.text}",
            sentence=text,
        )

    def __repr__(self) -> str:
        room = max(map(len, self.question.items))
        rows = [f"  {name.ljust(room)}  {word}" for name, word in self._rows()]
        return "\n".join(
            [f"{self.question.id} Your prediction: {self.question.text}", *rows, self.state]
        )

    @property
    def state(self) -> str:
        """In a sentence: committed or not, final or not."""
        if learner.headless():
            return "Nobody was there to guess: the starting positions count."
        if self.committed is None:
            return "Not committed yet."
        if self.seen:
            return "Committed, and final: the outcome was seen."
        return "Committed."

    def table(self) -> str:
        """The guess as HTML, for where no widget runs."""
        rows = "".join(
            f'<tr><td style="text-align: left; padding: 3px 14px 3px 6px">{_escaped(name)}</td>'
            f'<td style="text-align: right; padding: 3px 14px 3px 6px">{word}</td></tr>'
            for name, word in self._rows()
        )
        head = f"<b>{self.question.id} Your prediction:</b> {_escaped(self.question.text)}"
        return f"<div>{head}</div><table><tbody>{rows}</tbody></table><div>{self.state}</div>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        face = self.face() if self.face else {}
        return {"text/plain": repr(self), "text/html": self.table(), **face}

    def _rows(self) -> list[tuple[str, str]]:
        values = self.committed or self.question.items
        return [(name, self.question.words(value)) for name, value in values.items()]

    def _listed(self, values: Mapping[str, float]) -> str:
        return ", ".join(f"{name} {self.question.words(v)}" for name, v in values.items())

    def _entry(self) -> dict[str, Any]:
        return learner.read()["predictions"].get(self.question.id, {})

    def _known(self, names: Any) -> None:
        items = self.question.items
        if strange := [name for name in names if name not in items]:
            raise CourseError(
                f"{self.question.id} does not ask for {strange[0]!r}. It asks for: "
                f"{', '.join(items)}."
            )

    def _checked(self, values: Mapping[str, float]) -> dict[str, float]:
        asked = self.question
        if not isinstance(values, Mapping):
            raise CourseError(
                f"A guess names each item: commit({{{next(iter(asked.items))!r}: …}}), "
                f"not {values!r}."
            )
        self._known(values)
        if missing := [name for name in asked.items if name not in values]:
            raise CourseError(f"{asked.id} also asks for {', '.join(missing)}: give every item.")
        return {name: _number(asked, name, values[name]) for name in asked.items}

    def _measured(self, values: Mapping[str, "Interval | float"]) -> dict[str, "Interval | float"]:
        from tlcourse.measure import Interval

        if not isinstance(values, Mapping) or not values:
            raise CourseError(
                f"The outcome of {self.question.id} names its items: {{name: value}}."
            )
        self._known(values)
        for name, value in values.items():
            if isinstance(value, Interval) and value.unit != self.question.unit:
                raise CourseError(
                    f"{self.question.id} asks in {self.question.unit}, but the outcome of {name!r} "
                    f"is in {value.unit}."
                )
        return {
            name: value if isinstance(value, Interval) else float(value)
            for name, value in values.items()
        }

    def _see(self, outcome: Mapping[str, "Interval | float"]) -> None:
        when = learner.now()
        means = {name: float(getattr(value, "mean", value)) for name, value in outcome.items()}
        means = {name: value if math.isfinite(value) else None for name, value in means.items()}

        def act(notes: learner.Notes) -> None:
            entry = notes["predictions"].setdefault(self.question.id, {})
            entry["seen"] = entry.get("seen") or when
            entry["outcome"] = means

        learner.change(act)
        self._tell()

    def _tell(self) -> None:
        for listen in self.listeners:
            listen()


def predict(
    id: str,
    question: str,
    items: dict[str, float],
    *,
    unit: str = "percent",
    low: float = 0.0,
    high: float = 1.0,
) -> Prediction:
    """Ask for a guess before the run; what was committed before is kept, here and in later sessions.

    id: lesson and number, "02.1". items: name → where its slider starts, between low and high. unit:
    "percent" and "points" (shares: 0.2 is 20 %), "ratio", "seconds", "count" or "number".
    """
    if not isinstance(id, str) or not re.fullmatch(r"\d\d\.\d+", id):
        raise CourseError(f"Prediction {id!r} must be lesson and number, such as '02.1'.")
    if not isinstance(question, str) or not question.strip():
        raise CourseError(f"Prediction {id} needs a question.")
    if unit not in UNITS:
        raise CourseError(f"Prediction {id} has unit {unit!r}. Choose one of: {', '.join(UNITS)}.")
    if not (is_number(low) and is_number(high)):
        raise CourseError(f"Prediction {id} needs numbers for low and high, not {low!r}, {high!r}.")
    if not low < high:
        raise CourseError(
            f"Prediction {id} goes from low={low:g} to high={high:g}: turn them round."
        )
    if not isinstance(items, dict) or not items:
        raise CourseError(f"Prediction {id} needs items: a dict of name → where its slider starts.")
    asked = Question(id, " ".join(question.split()), {}, unit, float(low), float(high))
    starts = {str(name): _number(asked, str(name), value) for name, value in items.items()}
    return Prediction(Question(id, asked.text, starts, unit, asked.low, asked.high))


def _number(asked: Question, name: str, value: Any) -> float:
    if not is_number(value):
        raise CourseError(f"{asked.id} needs a number for {name!r}, not {value!r}.")
    if not asked.low <= value <= asked.high:
        ends = f"{asked.words(asked.low)} and {asked.words(asked.high)}"
        plain = f" ({asked.low:g} and {asked.high:g})" if UNITS[asked.unit][0] != 1 else ""
        raise CourseError(f"{asked.id}: {name!r} must lie between {ends}{plain}, not {value!r}.")
    return float(value)


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
