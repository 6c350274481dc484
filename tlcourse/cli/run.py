"""`tlcourse run NN`: a lesson from end to end without a browser, for homework and for CI."""

import json
import time
from pathlib import Path
from typing import Any

import click

from tlcourse.course import TIERS, Lesson, lesson, lessons
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

    Ends with a non-zero exit code when a cell or a claim fails, and says which one. Of several lessons
    each runs, whatever became of the one before.
    """
    failures = []
    chosen = wanted(numbers, every, name)
    for taught, tier in chosen:
        place = where(folder, taught, tier.name, several=len(chosen) > 1)
        click.echo(f"Lesson {taught.number}: {taught.title}. Tier {tier.name}, {tier.reason}")
        if failure := run(taught, tier.name, place, timeout_s):
            failures.append(
                f"Lesson {taught.number} failed in {failure}\nThe notebook so far, with the "
                f"traceback: {place / taught.notebook}"
            )
        else:
            click.echo(f"Lesson {taught.number} passed. See {place / taught.notebook}")
    if failures:
        raise CourseError("\n".join(failures))
    return 0


def wanted(numbers: tuple[str, ...], every: bool, name: str | None) -> list[tuple[Lesson, Any]]:
    """The lessons that were asked for, each with the tier it runs in.

    All of them are those that have the tier; one that was named has to have it.
    """
    if bool(numbers) == every:
        raise click.UsageError("Name lessons by number, such as 01 02, or say --all.")
    if not every:
        return [(taught, choose(taught, name)) for taught in map(lesson, numbers)]
    fitting = [one for one in lessons() if name in (None, "auto") or name in one.tiers]
    if not fitting:
        raise CourseError(f"No lesson has the tier {name}.")
    return [(taught, choose(taught, name)) for taught in fitting]


def where(folder: Path | None, taught: Lesson, tier: str, *, several: bool) -> Path:
    """The folder for what comes of one lesson."""
    if folder is None or several:
        return (folder or Path("out")) / f"{taught.number}-{tier}"
    return folder


def choose(taught: Lesson, name: str | None):
    """The tier to run in; a name given on the command line counts as TLCOURSE_TIER would."""
    import os

    from tlcourse.course.tiers import VARIABLE, tier

    if name:
        os.environ[VARIABLE] = name
    return tier(taught.number)


def run(
    taught: Lesson,
    tier: str,
    folder: Path,
    timeout_s: float,
    environ: dict[str, str] | None = None,
    *,
    quiet: bool = False,
) -> str | None:
    """Execute the lesson in `folder` and write what came of it; returns why it failed, or None."""
    from tlcourse.course.build import notebook, write
    from tlcourse.course.execute import execute, fetch_cards

    fetch_cards(taught, tier)
    try:
        (folder / "records").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"Cannot write {folder}: {error.strerror}. Name another folder with --out."
        ) from error
    began = time.time()
    done = execute(
        notebook(taught, solutions=True),
        folder.resolve(),
        tier,
        cell_timeout_s=timeout_s,
        progress=None if quiet else _progress,
        environ=environ,
    )
    write(done.notebook, folder / taught.notebook)
    records = sorted(
        str(path.relative_to(folder))
        for path in (folder / "records").glob("*.jsonl")
        if path.stat().st_mtime >= began - 1  # not those of an earlier run
    )
    told = report(taught, tier, done, records)
    figures = folder / f"{taught.number}-figures.json"
    figures.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return done.failure


def report(taught: Lesson, tier: str, done: Any, records: list[str]) -> dict[str, Any]:
    """What a later reader of the figures needs to know about the run."""
    from tlcourse.course import figures

    return {
        "lesson": taught.number,
        "title": taught.title,
        "tier": tier,
        "passed": done.failure is None,
        "failure": done.failure,
        "seconds": round(done.seconds, 3),
        **done.peak,
        "records": records,
        "versions": figures.versions(),
        "hardware": figures.hardware(),
        "figures": figures.collect(done.notebook),
    }


def _progress(number: int, total: int, cell: Any, seconds: float) -> None:
    from tlcourse.course.execute import first_line

    click.echo(f"  [{number:>2}/{total}] {seconds:6.1f} s  {first_line(cell)}")
