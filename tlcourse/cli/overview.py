"""`tlcourse lessons`: the lessons, and the tiers that can run here."""

import os

import click

from tlcourse.course import lessons
from tlcourse.course.tiers import VARIABLE, checked, obstacle


@click.command()
def command() -> None:
    """List the lessons, and the tiers that can run here."""
    checked(os.environ.get(VARIABLE, ""))
    known = lessons()
    if not known:
        click.echo("No lessons yet.")
    for one in known:
        click.echo(f"{one.number}  {one.title}")
        for tier in one.tiers:
            problem = obstacle(tier, [one])
            click.echo(f"      {tier:<7} {problem or 'can run here'}")
