"""Declare exercises, judge answers, give hints one at a time."""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from tlcourse.course import learner
from tlcourse.course.syllabus import lesson
from tlcourse.errors import CourseError

HERE = Path(__file__).parent
GREEN, ORANGE, BLUE = "#009E73", "#D55E00", "#0072B2"  # mid-tones that show on light and on dark


class Wrong(Exception):
    """What `wrong` raises; `check` catches it."""


def wrong(sentence: str) -> NoReturn:
    """End a judge: the answer is wrong, and `sentence` says what is mistaken and where to look.

    A number that varies with hardware is written in ⟨…⟩.
    """
    raise Wrong(sentence)


@dataclass(frozen=True)
class Exercise:
    """judge(answer) returns the sentence that says why the answer is right, or calls `wrong`."""

    id: str
    hints: tuple[str, ...]
    judge: Callable[[Any], str]

    def __call__(self, answer: Any) -> str:
        return self.judge(answer)


def exercise(id: str, *, hints: tuple[str, ...]) -> Callable[[Callable[[Any], str]], Exercise]:
    """Declare an exercise: `id` is lesson and number, "02.1"; hints go from a nudge to nearly all."""
    _lesson_of(id)
    if isinstance(hints, str) or not hints or not all(one.strip() for one in hints):
        raise CourseError(f'Exercise {id} needs hints, a tuple of sentences: hints=("…", "…").')
    return lambda judge: Exercise(id, tuple(hints), judge)


def exercises(number: str) -> dict[str, Exercise]:
    """The lesson's exercises by id, in order; none if it has no module here."""
    if not (HERE / f"lesson{number}.py").exists():
        return {}
    module = import_module(f"tlcourse.course.exercises.lesson{number}")
    found = [one for one in vars(module).values() if isinstance(one, Exercise)]
    return {one.id: one for one in found}


@dataclass(frozen=True)
class Verdict:
    """right: True, False, or None where there was nothing to judge. It shows itself in a notebook."""

    id: str
    right: bool | None
    sentence: str

    @property
    def word(self) -> str:
        return {True: "right", False: "not yet", None: "nothing there yet"}[self.right]

    def __repr__(self) -> str:
        return f"{self.id} {self.word}: {self.sentence}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        colour = {True: GREEN, False: ORANGE, None: BLUE}[self.right]
        sign = {True: "✓ ", False: "", None: ""}[self.right]
        data = {
            "text/html": boxed(colour, f"{sign}{self.id} {self.word}", prose(self.sentence)),
            "text/plain": repr(self),
        }
        return data, {"tlcourse": {"verdict": {"id": self.id, "right": self.right}}}


@dataclass(frozen=True)
class Hint:
    """One step of help: number `at` of `of`; past the last one it holds the solution's code."""

    id: str
    at: int
    of: int
    sentence: str
    code: str = ""

    @property
    def head(self) -> str:
        return f"hint {self.at} of {self.of}" if self.at <= self.of else "the solution"

    def __repr__(self) -> str:
        code = f"\n\n{self.code}" if self.code else ""
        return f"{self.id}, {self.head}: {self.sentence}{code}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        code = f"<pre>{html.escape(self.code, quote=False)}</pre>" if self.code else ""
        shown = boxed(BLUE, f"{self.id}, {self.head}", prose(self.sentence) + code)
        return {"text/html": shown, "text/plain": repr(self)}


def check(id: str, answer: Any) -> Verdict:
    """Judge an answer: right or wrong, and why. No answer makes it raise.

    `...` or None means that there is no answer yet. Raises CourseError for an unknown exercise.
    """
    found = find(id)
    if gap := _gap(answer):
        return Verdict(id, None, f'{gap} A first step: `tl.hint("{id}")`.')
    verdict = _judged(found, answer)
    learner.change(lambda notes: _tried(notes, id, verdict.right is True, learner.now()))
    return verdict


def hint(id: str) -> Hint:
    """The next hint, one at each call; after the last one, the solution.

    Raises CourseError for an unknown exercise.
    """
    found = find(id)
    of = len(found.hints)

    def count(notes: learner.Notes) -> int:
        entry = notes["exercises"].setdefault(id, {})
        entry["hints"] = min(entry.get("hints", 0) + 1, of + 1)
        return entry["hints"]

    at = learner.change(count)
    if at <= of:
        more = " The next call shows the solution." if at == of else ""
        return Hint(id, at, of, found.hints[at - 1] + more)
    place = f"notebooks/{lesson(_lesson_of(id)).notebook}"
    sentence = f"There are no more hints. The whole lesson, as it ran, is in the project's {place}."
    return Hint(id, at, of, sentence, solution(id))


def find(id: str) -> Exercise:
    """The exercise of this id; CourseError names those there are."""
    number = _lesson_of(id)
    known = exercises(number)
    if id not in known:
        has = f"has: {', '.join(known)}" if known else "has none"
        raise CourseError(f"No exercise {id!r}. Lesson {number} {has}.")
    return known[id]


def solution(id: str) -> str:
    """The solution's code, out of the lesson, which is its single source; "" if it is not marked."""
    from tlcourse.course.build import SOLUTION

    code = lesson(_lesson_of(id)).path.read_text(encoding="utf-8")
    before, found, _ = code.partition(f'tl.check("{id}"')
    blocks = list(SOLUTION.finditer(before)) if found else []
    return blocks[-1]["code"].rstrip("\n") if blocks else ""


def prose(sentence: str) -> str:
    """The sentence as HTML: `code` in a code's letters, ⟨what varies⟩ marked for nbval."""
    shown = html.escape(sentence, quote=False)
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", shown)
    return re.sub(r"⟨([^⟩]*)⟩", r"<data>\1</data>", shown)


def boxed(colour: str, head: str, body: str) -> str:
    """A bar, a bold word, and what it says. No colour of text or ground: they are the theme's."""
    return (
        f'<div style="border-left: 4px solid {colour}; padding: 2px 0 2px 12px; line-height: 1.6">'
        f"<div><b>{html.escape(head, quote=False)}</b></div><div>{body}</div></div>"
    )


def _judged(found: Exercise, answer: Any) -> Verdict:
    try:
        sentence = found.judge(answer)
    except Wrong as verdict:
        return Verdict(found.id, False, str(verdict))
    except Exception as error:  # whatever an answer of another shape makes of the check
        text = " ".join(f"{type(error).__name__}: {_text(error)}".split())[:200]
        what = (
            "Calling your function went wrong"
            if callable(answer)
            else f"This check does not know what to do with {_kind(answer)}"
        )
        return Verdict(
            found.id,
            False,
            f'{what} ({text}). Read again what the answer should be, or ask `tl.hint("{found.id}")`.',
        )
    return Verdict(found.id, True, str(sentence))


def _gap(answer: Any) -> str:
    """Why there is nothing to judge yet; "" if there is something."""
    if answer is None or answer is Ellipsis:
        return "Put your answer where the `...` is, and run the cell again."
    if isinstance(answer, dict | list | tuple | set):
        parts = list(answer.values() if isinstance(answer, dict) else answer)
        if any(part is Ellipsis for part in parts):
            return "There is still a `...` in your answer: replace it, and run the cell again."
    if _unwritten(answer):
        return (
            "Your function does nothing yet: write it where the `...` is, and run the cell again."
        )
    return ""


def _bare() -> None: ...


def _documented() -> None:
    """A docstring, and nothing else."""


_NOTHING = {one.__code__.co_code for one in (_bare, _documented)}  # whatever their arguments are


def _unwritten(answer: Any) -> bool:
    """Whether it is a function without a body; one that returns a constant has another constant."""
    code = getattr(answer, "__code__", None)
    return getattr(code, "co_code", None) in _NOTHING and all(
        one is None or one == getattr(answer, "__doc__", None) for one in code.co_consts
    )


def _kind(answer: Any) -> str:
    """`a list of 3`, `an array of shape (2, 4)`, `the text 'abc'`: what was given, in words."""
    name = type(answer).__name__
    a = "an" if name[:1].lower() in "aeiou" else "a"
    if isinstance(answer, str):
        return f"the text {answer[:40]!r}"
    if isinstance(answer, bool | int | float):
        return f"the number {answer!r}" if not isinstance(answer, bool) else repr(answer)
    try:
        if hasattr(answer, "shape"):
            return f"{a} {name} of shape {tuple(answer.shape)}"
        return f"{a} {name} of {len(answer)}"
    except Exception:  # noqa: BLE001 - somebody's own class may do anything
        return f"{a} {name}"


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return "it cannot say why"


def _tried(notes: learner.Notes, id: str, right: bool, when: str) -> None:
    entry = notes["exercises"].setdefault(id, {})
    if not entry.get("solved"):
        entry["tried"] = entry.get("tried", 0) + 1
        entry["solved"] = when if right else None


def _lesson_of(id: str) -> str:
    if not isinstance(id, str) or not re.fullmatch(r"\d\d\.\d+", id):
        raise CourseError(f"Exercise {id!r} must be lesson and number, such as '02.1'.")
    return id[:2]
