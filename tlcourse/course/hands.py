"""A recorded hand for when there is none: under a headless run, a lesson's live cell is steered by the
commands in `lessons/records/NN.jsonl`, by the same way that a click takes.

TLCOURSE_HAND=recorded asks for it; `tlcourse run` and the notebook tests set it.
"""

import os
from typing import TYPE_CHECKING

from tlcourse.course.syllabus import LESSONS
from tlcourse.errors import CourseError

if TYPE_CHECKING:
    from tlcourse.session import Session

VARIABLE = "TLCOURSE_HAND"
WHOLE = 1000  # the records count in thousandths of a run, because its length differs by tier


def headless() -> bool:
    """Whether nobody is there to look or to learn: a recorded hand steers."""
    return os.environ.get(VARIABLE) == "recorded"


def hand(run: "Session", number: str) -> int:
    """Plan the lesson's recorded commands for `run`, if nobody is there to click.

    Returns how many were planned: 0 wherever a learner has their own hands. The recorded hand needs
    no time to look, so the run goes as fast as it can.
    """
    if not headless():
        return 0
    from tlcourse.session import Record

    path = LESSONS / "records" / f"{number}.jsonl"
    if not path.exists():
        raise CourseError(f"Lesson {number} has no recorded hand; leave out tl.hand(…).")
    run.pace = None
    commands = Record.load(path).commands
    for share, command in commands:
        run.at(share * run.recipe.steps // WHOLE, command)
    return len(commands)
