"""The learner's folder: once a notebook is there, it belongs to the learner.

Only missing lessons are copied; nothing that the learner wrote is overwritten. `reset` puts a fresh
lesson there and keeps the old one beside it.
"""

from datetime import datetime
from pathlib import Path

from tlcourse.course.build import notebook, write
from tlcourse.course.syllabus import Lesson, lessons
from tlcourse.errors import CourseError
from tlcourse.spoken import command

DEFAULT = Path("tlcourse-lessons")


def missing(folder: Path, taught: list[Lesson]) -> list[Lesson]:
    """The lessons that have no notebook in the folder yet."""
    return [one for one in taught if not (folder / one.notebook).exists()]


def prepare(folder: Path, taught: list[Lesson] | None = None) -> list[Path]:
    """Copy every missing lesson into the folder; returns what was added."""
    wanted = missing(folder, lessons() if taught is None else taught)
    return [_put(one, folder) for one in wanted]


def reset(one: Lesson, folder: Path) -> Path | None:
    """Put a fresh lesson into the folder; returns the new path of the learner's version, if any."""
    path = folder / one.notebook
    if not folder.is_dir():
        raise CourseError(
            f"No folder {str(folder)!r}. Name the one that `{command('lab')}` opened."
        )
    if not path.exists():
        _put(one, folder)
        return None
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    kept = path.with_name(f"{path.stem}.before-{stamp}.ipynb")
    path.rename(kept)
    _put(one, folder)
    return kept


def _put(one: Lesson, folder: Path) -> Path:
    path = folder / one.notebook
    try:
        write(notebook(one, solutions=False), path)
    except OSError as error:
        raise CourseError(
            f"Cannot write {path}: {error.strerror}. Name another folder, as in "
            f"`{command('lab my-lessons')}`."
        ) from error
    return path
