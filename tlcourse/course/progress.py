"""How far a learner is: predictions made, exercises solved, claims seen to hold.

The totals come from the lessons, the rest from the learner's own file (`learner`).
"""

import html
import re
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any

from tlcourse.course import learner
from tlcourse.course.exercises import exercises
from tlcourse.course.syllabus import Lesson, lessons
from tlcourse.errors import ClaimFailed
from tlcourse.measure import claim as _claim

_CALLS = re.compile(r'\btl\.(predict|claim)\(\s*"(\d\d\.\d+)"')


@dataclass(frozen=True)
class Standing:
    """One lesson: how many of each there are, and the ids of what was done."""

    lesson: str
    title: str
    predictions: int
    predicted: tuple[str, ...]
    exercises: int
    tried: tuple[str, ...]
    solved: tuple[str, ...]
    hints: int
    claims: int
    held: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """Every lesson's standing; shows itself as a table."""

    standings: tuple[Standing, ...]

    def as_json(self) -> dict[str, Any]:
        return {"lessons": [asdict(one) for one in self.standings]}

    def rows(self) -> list[tuple[str, ...]]:
        """The table's cells, its head first."""
        head = ("lesson", "predicted", "exercises solved", "hints", "claims seen to hold")
        return [head, *(_row(one) for one in self.standings)]

    def __repr__(self) -> str:
        rows = self.rows()
        room = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, room, strict=True)).rstrip()
            for row in rows
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        def line(tag: str, row: tuple[str, ...]) -> str:
            style = "text-align: left; padding: 3px 14px 3px 6px"
            cells = (html.escape(cell, quote=False) for cell in row)
            return "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell in cells)

        head, *rows = self.rows()
        body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
        shown = f"<table><thead><tr>{line('th', head)}</tr></thead><tbody>{body}</tbody></table>"
        return {"text/plain": repr(self), "text/html": shown}


def progress() -> Progress:
    """What was predicted, solved and seen to hold, lesson by lesson, on this machine."""
    notes = learner.read()
    return Progress(tuple(standing(one, notes) for one in lessons()))


def standing(taught: Lesson, notes: learner.Notes) -> Standing:
    """A lesson's standing by these notes, without items that the lesson no longer has."""
    called = _CALLS.findall(taught.path.read_text(encoding="utf-8"))
    asked = {id for what, id in called if what == "predict"}
    claimed = {id for what, id in called if what == "claim"}
    known = exercises(taught.number)
    predictions, tries, claims = (
        {id: entry for id, entry in notes[section].items() if id in those}
        for section, those in (("predictions", asked), ("exercises", known), ("claims", claimed))
    )

    def those(entries: learner.Notes, field: str, value: bool = True) -> tuple[str, ...]:
        found = [id for id, entry in entries.items() if bool(entry.get(field)) is value]
        return tuple(sorted(found, key=_by_number))

    return Standing(
        lesson=taught.number,
        title=taught.title,
        predictions=len(asked),
        predicted=those(predictions, "values"),
        exercises=len(known),
        tried=those(tries, "tried"),
        solved=those(tries, "solved"),
        hints=sum(entry.get("hints", 0) for entry in tries.values()),
        claims=len(claimed),
        held=those(claims, "holds"),
        failed=those(claims, "holds", False),
    )


@wraps(_claim)
def claim(*args: Any, **kwargs: Any) -> Any:
    try:
        result = _claim(*args, **kwargs)
    except ClaimFailed as failure:
        _note(failure.claim.id, False)
        raise
    _note(result.id, result.holds)
    return result


def _note(id: str, holds: bool) -> None:
    """Note whether a claim held this time."""
    when = learner.now()

    def act(notes: learner.Notes) -> None:
        notes["claims"][id] = {"holds": holds, "when": when}

    learner.change(act)


def _row(one: Standing) -> tuple[str, ...]:
    open_ = [id for id in one.tried if id not in one.solved]
    solved = f"{len(one.solved)} of {one.exercises}" + (f" ({len(open_)} tried)" if open_ else "")
    held = f"{len(one.held)} of {one.claims}" + (
        f" ({len(one.failed)} failed)" if one.failed else ""
    )
    return (
        f"{one.lesson} {one.title}",
        f"{len(one.predicted)} of {one.predictions}",
        solved if one.exercises else "–",
        str(one.hints),
        held,
    )


def _by_number(id: str) -> tuple[str, int]:
    lesson, _, number = id.partition(".")
    return lesson, int(number)
