"""`tlcourse progress`: how far the learner is, from the learner's own file."""

import json

import click

from tlcourse.course import learner
from tlcourse.spoken import command as spoken


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything, for other programs.")
def command(as_json: bool) -> None:
    """Show what you predicted and solved, and which claims you saw hold, lesson by lesson.

    It is kept in one file on this machine and goes nowhere else.
    """
    from tlcourse.course.progress import progress

    standings = progress()
    if as_json:
        place = {"file": str(learner.path())}
        click.echo(json.dumps(standings.as_json() | place, indent=1, ensure_ascii=False))
        return
    click.echo(repr(standings))
    if not learner.path().exists():
        click.echo(f"Nothing was done yet. Open the lessons: {spoken('lab')}")
