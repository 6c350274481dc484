"""`tlcourse test`: everything in the clone that can run on this machine, in one pytest run.

Unit and contract tests, browser tests, and the lessons in the pocket tier, which nbval compares with
their references.

    --quick     every room's fast tests, in three minutes, while you work on the code
    --release   also the variants that are too many for every day
    --public    the lessons in the public tier, minutes each; nothing else. With TLCOURSE_MIRROR, or
                ../shared/mirror beside the clone
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from tlcourse.course.build import CLONE
from tlcourse.errors import CourseError
from tlcourse.spoken import command as spoken

NOT_QUICK = ("slow", "browser", "public", "release")  # markers
SETTINGS = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=SETTINGS)
@click.option("--quick", is_flag=True, help="Every room's fast tests, without the lessons.")
@click.option("--release", is_flag=True, help="Also the variants that run before a release only.")
@click.option("--public", is_flag=True, help="The lessons in the public tier, and nothing else.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(quick: bool, release: bool, public: bool, pytest_arguments: tuple[str, ...]) -> int:
    """Run the project's tests; PYTEST_ARGUMENTS (say `-k supply` or a path) narrow them down."""
    if quick + release + public > 1:
        raise click.UsageError("Choose one of --quick, --release and --public.")
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
    arguments = plan(pytest_arguments, CLONE, quick=quick, public=public)
    if release:
        arguments = ["-m", "", *arguments]
    elif not (pytest_arguments or quick or public):
        click.echo(
            "Every test that can run here: about twenty minutes on two cores; --quick takes four."
        )
    return subprocess.call([sys.executable, "-m", "pytest", *arguments], cwd=CLONE)


def plan(
    arguments: tuple[str, ...], clone: Path, *, quick: bool = False, public: bool = False
) -> list[str]:
    """pytest's arguments: the whole selection, narrowed down by `arguments`. Changes nothing.

    All tests of a file run in one worker (`loadfile`), because a notebook's cells share a kernel. The
    notebooks come first: at the end, one of them would keep one worker busy and the other idle. (xdist
    itself would begin with the files of the most tests.)
    """
    parallel = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    paths = [one.partition("::")[0] for one in arguments if not one.startswith("-")]
    narrowed = any((clone / path).exists() for path in paths)
    if quick:
        chosen = ["-m", " and ".join(f"not {marker}" for marker in NOT_QUICK)]
        chosen += ["-p", "no:nbval"]  # whose import takes seconds
        return [
            *parallel,
            *chosen,
            *(arguments if narrowed else (*arguments, str(clone / "tests"))),
        ]
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "600"]
    nbval += ["--nbval-sanitize-with", str(clone / "tests" / "nbval-sanitize.cfg")]
    folder = clone / "notebooks" if public else clone / "tests" / "notebooks"
    notebooks = [str(path) for path in sorted(folder.glob("[0-9]*.ipynb"))]
    if public:  # which lie beside tests/, whose conftest sets the tier and has a hand recorded
        return ["-p", "tests.conftest", *parallel, *nbval, *arguments, *notebooks]
    if not arguments:
        return [*parallel, *nbval, *notebooks, str(clone / "tests")]
    if narrowed:
        return [*nbval, *arguments]
    return [*parallel, *arguments, str(clone / "tests")]
