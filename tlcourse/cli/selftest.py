"""`tlcourse test`: everything in the clone that can run on this machine, in one pytest run.

The unit and contract tests, the browser's, and the notebooks compared with their references by
nbval: tests/notebooks in the pocket tier, and notebooks/ in the public tier where a mirror has the
data (TLCOURSE_MIRROR, or ../shared/mirror beside the clone).
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import click

from tlcourse.course.build import CLONE
from tlcourse.errors import CourseError

SETTINGS = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=SETTINGS)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(pytest_arguments: tuple[str, ...]) -> int:
    """Run the project's tests; PYTEST_ARGUMENTS (say `-k supply` or a path) narrow them down."""
    if not (CLONE / "tests" / "conftest.py").exists():
        raise CourseError(
            "The tests come with the clone, not with the installed package: clone the project and "
            "run `python start.py test` there. `tlcourse doctor` checks an installation."
        )
    absent = [name for name in ("pytest", "xdist", "nbval") if not importlib.util.find_spec(name)]
    if absent:
        raise CourseError(
            f"The tests need {', '.join(absent)}: run `python start.py test`, which installs them."
        )
    arguments = plan(pytest_arguments, CLONE, mirror(CLONE))
    return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=CLONE)


def mirror(clone: Path) -> str | None:
    """Where public data can be had without the web: as set, or beside the clone."""
    beside = clone.parent / "shared" / "mirror"
    return os.environ.get("TLCOURSE_MIRROR") or (str(beside) if beside.is_dir() else None)


def plan(asked: tuple[str, ...], clone: Path, mirror: str | None) -> list[str]:
    """pytest's arguments: the whole selection, or what was asked for. Changes nothing.

    One file is one worker's (`loadfile`): a notebook's cells share a kernel. Big files first, or
    one worker would be left with them at the end.
    """
    parallel = ["-n", "2", "--dist", "loadfile"]
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "600"]
    nbval += ["--nbval-sanitize-with", str(clone / "tests" / "nbval-sanitize.cfg")]
    folders = [clone / "notebooks"] if mirror else []
    folders += [clone / "tests" / "notebooks"]
    notebooks = [str(path) for folder in folders for path in sorted(folder.glob("[0-9]*.ipynb"))]
    if not asked:
        return [*parallel, *nbval, *notebooks, str(clone / "tests")]
    if any((clone / one.partition("::")[0]).exists() for one in asked if not one.startswith("-")):
        return [*nbval, *asked]
    return [*parallel, *asked, str(clone / "tests")]
