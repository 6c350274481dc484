"""`tlcourse run NN`: a lesson from end to end without a browser, for homework and for CI."""

import os
from pathlib import Path
from typing import Any

import click

from tlcourse.course import TIERS, Lesson, Tier, lesson, lessons, tiers
from tlcourse.errors import CourseError

TIER = click.option(
    "--tier", "name", type=click.Choice(["auto", *TIERS]), help="Default: TLCOURSE_TIER, or auto."
)
TIMEOUT = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=1800,
    show_default=True,
    help="Seconds that one cell may take.",
)


@click.command()
@click.argument("numbers", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All lessons that the tier has.")
@TIER
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    help="Default: out/NN-TIER. Several lessons get a folder each in it.",
)
@TIMEOUT
def command(
    numbers: tuple[str, ...], every: bool, name: str | None, folder: Path | None, timeout_s: float
) -> int:
    """Run the lessons of these NUMBERS, and write executed notebooks, records and figures.

    Ends with a non-zero exit code when a cell or a claim fails, and says which one. If a lesson fails,
    those after it still run.
    """
    from tlcourse.course import headless

    failures = []
    chosen = chosen_lessons(numbers, every, name)
    for taught, tier in chosen:
        place = folder_for(folder, taught, tier.name, several=len(chosen) > 1)
        click.echo(f"Lesson {taught.number}: {taught.title}. Tier {tier.name}, {tier.reason}")
        figures = headless.run(taught, tier.name, place, timeout_s, progress=_show_cell)
        if figures["passed"]:
            click.echo(f"Lesson {taught.number} passed. See {place / taught.notebook}")
        else:
            failures.append(
                f"Lesson {taught.number} failed in {figures['failure']}\nThe notebook so far, with "
                f"the traceback: {place / taught.notebook}"
            )
    if failures:
        raise CourseError("\n".join(failures))
    return 0


def chosen_lessons(
    numbers: tuple[str, ...], every: bool, name: str | None
) -> list[tuple[Lesson, Tier]]:
    """The lessons of these numbers, or every lesson that has the tier; each with the tier it runs in."""
    if bool(numbers) == every:
        raise click.UsageError("Name lessons by number, such as 01 02, or say --all.")
    chosen = [lesson(number) for number in numbers]
    if every:
        chosen = [one for one in lessons() if name in (None, "auto") or name in one.tiers]
    if not chosen:
        raise CourseError(f"No lesson has the tier {name}.")
    if name:  # --tier counts like TLCOURSE_TIER
        os.environ[tiers.VARIABLE] = name
    return [(one, tiers.tier(one.number)) for one in chosen]


def folder_for(folder: Path | None, taught: Lesson, tier: str, *, several: bool) -> Path:
    """The folder for one lesson's results."""
    if folder is None or several:
        return (folder or Path("out")) / f"{taught.number}-{tier}"
    return folder


def _show_cell(number: int, total: int, cell: Any, seconds: float) -> None:
    from tlcourse.course.execute import first_line

    click.echo(f"  [{number:>2}/{total}] {seconds:6.1f} s  {first_line(cell)}")
