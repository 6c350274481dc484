"""`tlcourse reset NN`: start a lesson again, without losing the old notebook."""

from pathlib import Path

import click

from tlcourse.course import lesson
from tlcourse.course.folder import DEFAULT, reset


@click.command()
@click.argument("number")
@click.argument("folder", type=click.Path(path_type=Path), default=DEFAULT)
def command(number: str, folder: Path) -> None:
    """Put a fresh lesson NUMBER into FOLDER; yours is kept beside it."""
    one = lesson(number)
    kept = reset(one, folder)
    if kept:
        click.echo(f"Your version is kept as {kept}")
    click.echo(f"Fresh again: {folder / one.notebook}")
    if kept:
        click.echo("If it is open in the browser, choose Revert there.")
