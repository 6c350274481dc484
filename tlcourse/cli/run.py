"""`tlcourse run NN`: a lesson from end to end without a browser, for homework and for CI."""

import json
import time
from pathlib import Path
from typing import Any

import click

from tlcourse.course import TIERS, Lesson, lesson
from tlcourse.errors import CourseError


@click.command()
@click.argument("number")
@click.option(
    "--tier", "name", type=click.Choice(["auto", *TIERS]), help="Default: TLCOURSE_TIER, or auto."
)
@click.option("--out", "folder", type=click.Path(path_type=Path), help="Default: out/NN-TIER.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=1800,
    show_default=True,
    help="Seconds that one cell may take.",
)
def command(number: str, name: str | None, folder: Path | None, timeout_s: float) -> None:
    """Run lesson NUMBER and write its executed notebook, its records and its figures.

    Ends with a non-zero exit code when a cell or a claim fails, and says which one.
    """
    taught = lesson(number)
    chosen = choose(taught, name)
    folder = folder or Path("out", f"{taught.number}-{chosen.name}")
    click.echo(f"Lesson {taught.number}: {taught.title}. Tier {chosen.name}, {chosen.reason}")
    failure = run(taught, chosen.name, folder, timeout_s)
    if failure:
        raise CourseError(
            f"Lesson {taught.number} failed in {failure}\nThe notebook so far, with the traceback: "
            f"{folder / taught.notebook}"
        )
    click.echo(f"Lesson {taught.number} passed. See {folder / taught.notebook}")


def choose(taught: Lesson, name: str | None):
    """The tier to run in; a name given on the command line counts as TLCOURSE_TIER would."""
    import os

    from tlcourse.course.tiers import VARIABLE, tier

    if name:
        os.environ[VARIABLE] = name
    return tier(taught.number)


def run(taught: Lesson, tier: str, folder: Path, timeout_s: float) -> str | None:
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
        progress=_progress,
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
        "records": records,
        "versions": figures.versions(),
        "hardware": figures.hardware(),
        "figures": figures.collect(done.notebook),
    }


def _progress(number: int, total: int, cell: Any, seconds: float) -> None:
    from tlcourse.course.execute import first_line

    click.echo(f"  [{number:>2}/{total}] {seconds:6.1f} s  {first_line(cell)}")
