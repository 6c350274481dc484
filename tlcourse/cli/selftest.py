"""`tlcourse test`: everything in the clone that can run on this machine, in one pytest run.

The unit and contract tests, the browser's, and the lessons compared with their references in the
pocket tier by nbval. Those of the public tier take minutes each and are a command of their own, for
before a release: `tlcourse test --public`, with TLCOURSE_MIRROR or ../shared/mirror beside the clone.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from tlcourse.course.build import CLONE
from tlcourse.errors import CourseError
from tlcourse.spoken import command as spoken

SETTINGS = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=SETTINGS)
@click.option("--public", is_flag=True, help="The lessons in the public tier, and nothing else.")
@click.option("--release", is_flag=True, help="Also the variants that run before a release only.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(public: bool, release: bool, pytest_arguments: tuple[str, ...]) -> int:
    """Run the project's tests; PYTEST_ARGUMENTS (say `-k supply` or a path) narrow them down."""
    if not (CLONE / "tests" / "conftest.py").exists():
        raise CourseError(
            "The tests come with the clone, not with the installed package: clone the project and "
            f"run `python start.py test` there. `{spoken('doctor')}` checks an installation."
        )
    absent = [name for name in ("pytest", "xdist", "nbval") if not importlib.util.find_spec(name)]
    if absent:
        raise CourseError(
            f"The tests need {', '.join(absent)}: run `python start.py test`, which installs them."
        )
    arguments = plan(pytest_arguments, CLONE, public=public)
    if release:
        arguments = ["-m", "", *arguments]
    return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=CLONE)


def plan(asked: tuple[str, ...], clone: Path, *, public: bool = False) -> list[str]:
    """pytest's arguments: the whole selection, or what was asked for. Changes nothing.

    One file is one worker's (`loadfile`): a notebook's cells share a kernel. Big files first, or
    one worker would be left with them at the end.
    """
    parallel = ["-n", "2", "--dist", "loadfile"]
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "600"]
    nbval += ["--nbval-sanitize-with", str(clone / "tests" / "nbval-sanitize.cfg")]
    folder = clone / "notebooks" if public else clone / "tests" / "notebooks"
    notebooks = [str(path) for path in sorted(folder.glob("[0-9]*.ipynb"))]
    if public:  # which lie beside tests/, whose conftest sets the tier and has a hand recorded
        return ["-p", "tests.conftest", *parallel, *nbval, *asked, *notebooks]
    if not asked:
        return [*parallel, *nbval, *notebooks, str(clone / "tests")]
    if any((clone / one.partition("::")[0]).exists() for one in asked if not one.startswith("-")):
        return [*nbval, *asked]
    return [*parallel, *asked, str(clone / "tests")]
