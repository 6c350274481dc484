"""`tlcourse claims`: run the lessons and show which claims hold on this machine."""

import json
from pathlib import Path
from typing import Any

import click

from tlcourse.cli.run import TIER, TIMEOUT, chosen_lessons, folder_for
from tlcourse.files import write_atomically

GO_ON = {"TLCOURSE_CLAIMS": "go on"}  # a failed claim must not hide those after it


@click.command()
@click.argument("numbers", nargs=-1)
@TIER
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("out", "claims"),
    show_default=True,
    help="Notebooks, records and figures go there, and claims.json.",
)
@TIMEOUT
def command(numbers: tuple[str, ...], name: str | None, folder: Path, timeout_s: float) -> int:
    """Run lessons (all of them if none is named) and print which of their claims hold here.

    Exit code 0 if all hold, 1 if one does not, or a lesson did not run to its end.
    """
    from tlcourse.course import headless
    from tlcourse.course.figures import claims_of

    ran = []
    for taught, tier in chosen_lessons(numbers, not numbers, name):
        click.echo(f"Lesson {taught.number}: {taught.title}. Tier {tier.name} …", err=True)
        place = folder_for(folder, taught, tier.name, several=True)
        ran.append(headless.run(taught, tier.name, place, timeout_s, environ=GO_ON))
    text = json.dumps(ran, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / "claims.json", text)
    show(ran)
    click.echo(f"Everything that was measured: {folder / 'claims.json'}")
    held = all(claim["holds"] for figures in ran for claim in claims_of(figures))
    return 0 if held and all(figures["passed"] for figures in ran) else 1


def show(ran: list[dict[str, Any]]) -> None:
    """A table for each lesson: the claims, what was measured, and the threshold set beforehand."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tlcourse.course.figures import claims_of, measured_on
    from tlcourse.measure.claims import evidence_in_words, threshold_in_words

    console = Console()
    for figures in ran:
        name = f"{figures['lesson']} · {figures['title']}"
        title = escape(f"{name}, {figures['tier']} tier, {figures['seconds']:.0f} s")
        table = Table(title=title, title_justify="left")
        for column in ("", "claim"):
            table.add_column(column)
        for column in ("measured", "threshold"):
            table.add_column(column, justify="right")
        for claim in claims_of(figures):
            sign = "[green]holds[/green]" if claim["holds"] else "[bold red]fails[/bold red]"
            sentence = escape(f"{claim['id']} {claim['sentence']}")
            table.add_row(sign, sentence, evidence_in_words(claim), threshold_in_words(claim))
        console.print(table)
        if figures["failure"]:
            console.print(f"[bold red]It ended early[/bold red]: {escape(figures['failure'])}")
    console.print(escape(measured_on(ran[0])))
