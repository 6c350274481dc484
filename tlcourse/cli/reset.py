"""`tlcourse reset NN`: start a lesson afresh; your version is kept."""

from pathlib import Path

import click

from tlcourse.course import lesson
from tlcourse.course.folder import DEFAULT, reset


@click.command()
@click.argument("number")
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT)
def command(number: str, folder: Path) -> None:
    """Restore lesson NUMBER in FOLDER to its original; your version is kept beside it."""
    one = lesson(number)
    kept = reset(one, folder)
    if kept:
        click.echo(f"Your version is kept as {kept}")
    click.echo(f"Restored: {folder / one.notebook}")
    if kept:
        click.echo("If it is open in the browser, choose Revert there.")
