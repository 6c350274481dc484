"""Recorded hands: in a headless run, a lesson's live cell is steered by `lessons/hands/NN.jsonl`.

A recorded hand is a plan for a run of any length, not the record of one that happened:

    {"tlcourse_hand": 1, "note": "Lesson 00: what a learner might do"}
    {"share": 0.35, "command": {"kind": "unfreeze", "group": "stage4", "lr": 0.0003}}

`share` is the part of the run that is over when the command is due, from 0 to 1. The commands reach
the run as a click does. TLCOURSE_HAND=recorded asks for the hand; `tlcourse run` and the tests of the
notebooks set it.
"""

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlcourse.checks import is_number
from tlcourse.course.syllabus import LESSONS
from tlcourse.errors import CommandError, CourseError
from tlcourse.spoken import command as spoken

if TYPE_CHECKING:
    from tlcourse.session import Command, Session

VARIABLE = "TLCOURSE_HAND"
FORMAT = 1


def headless() -> bool:
    """Whether nobody watches: a recorded hand steers, and nothing counts as the learner's."""
    return os.environ.get(VARIABLE) == "recorded"


def hand(run: "Session", number: str) -> int:
    """Schedule the lesson's recorded commands on `run` in a headless run.

    Returns the number of commands; 0 where a learner is there to click. Nobody watches a headless
    run, so it also drops its pace and goes as fast as it can.
    """
    if not headless():
        return 0
    path = LESSONS / "hands" / f"{number}.jsonl"
    if not path.exists():
        raise CourseError(f"Lesson {number} has no recorded hand; leave out tl.hand(…).")
    moves = load(path)
    run.pace = None
    for share, command in moves:
        run.at(due(share, run.recipe.steps), command)
    return len(moves)


def due(share: float, steps: int) -> int:
    """The step after which a command at `share` of a run of `steps` is due.

    >>> due(0.29, 100)
    29
    """
    return math.floor(round(share * steps, 6))  # 0.29 * 100 is 28.999999999999996


def load(path: Path) -> "list[tuple[float, Command]]":
    """The commands of a recorded hand, each with its share of the run.

    Raises CourseError that names the file and the line at fault.
    """
    try:
        rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read as a recorded hand: {error}.") from None
    moves = []
    for number, line in enumerate(rows or ["null"], start=1):
        try:
            row = json.loads(line)
            if number == 1:
                _check_header(row)
            else:
                moves.append(_move(row))
        except (ValueError, CommandError) as error:
            raise CourseError(f"{path}, line {number}: {error}") from None
    return moves


def _check_header(row: Any) -> None:
    if isinstance(row, dict) and "tlcourse_record" in row:
        raise ValueError(
            "this is the record of a run, whose ticks are steps, and not a recorded hand. "
            f"`{spoken('replay')}` runs it again."
        )
    if not isinstance(row, dict) or "tlcourse_hand" not in row:
        raise ValueError(f'a recorded hand begins with {{"tlcourse_hand": {FORMAT}}}.')
    if row["tlcourse_hand"] != FORMAT:
        raise ValueError(
            f"format {row['tlcourse_hand']!r} is not known; this version reads {FORMAT}."
        )


def _move(row: Any) -> "tuple[float, Command]":
    from tlcourse.session import from_json

    if not isinstance(row, dict) or set(row) != {"share", "command"}:
        raise ValueError("a line of a recorded hand has a share and a command, and nothing else.")
    share = row["share"]
    if not is_number(share) or not 0 <= share <= 1:
        raise ValueError(f"the share of the run is a number from 0 to 1, not {share!r}.")
    return float(share), from_json(row["command"])
