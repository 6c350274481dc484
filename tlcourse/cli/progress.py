"""`tlcourse progress`: what the learner has done, from the learner's own file."""

import json

import click

from tlcourse.course import learner
from tlcourse.spoken import command as spoken


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(as_json: bool) -> None:
    """Show your predictions, solved exercises and the claims you saw hold, lesson by lesson.

    They are kept in one file on this machine and sent nowhere.
    """
    from tlcourse.course.progress import progress

    done = progress()
    if as_json:
        place = {"file": str(learner.path())}
        click.echo(json.dumps(done.as_json() | place, indent=1, ensure_ascii=False))
        return
    click.echo(repr(done))
    if not learner.path().exists():
        click.echo(f"Nothing has been done yet. Open the lessons: {spoken('lab')}")
