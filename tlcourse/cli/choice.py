"""Which cards a command is about: by name, by lesson and tier, or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tlcourse.errors import TierError

if TYPE_CHECKING:
    from tlcourse.cards import Card

TIERS = ("pocket", "public", "gpu")  # as course.syllabus has them, without importing it for --help


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `names`, `numbers`, `tier` and `every`."""
    for add in (
        click.option("--all", "every", is_flag=True, help="Every card but the hubs' models."),
        click.option(
            "--tier", type=click.Choice(TIERS), help="Which tier of the lessons [public]."
        ),
        click.option(
            "--lesson",
            "numbers",
            multiple=True,
            metavar="NN",
            help="What a lesson needs; may be repeated.",
        ),
        click.argument("names", nargs=-1, metavar="[NAME]…"),
    ):
        command = add(command)
    return command


def chosen(
    names: Sequence[str], numbers: Sequence[str], tier: str | None, every: bool
) -> list[Card]:
    """The cards, each once. Raises CardError, CourseError or TierError before anything is fetched."""
    from tlcourse import cards

    if not (names or numbers or tier or every):
        raise click.UsageError(
            f"Name what is wanted: {', '.join(cards.names())}; or a --lesson, a --tier, or --all."
        )
    wanted = [*names, *(cards.names() if every else ())]
    if numbers or tier:
        wanted += _needed(numbers, tier or "public")
    return [cards.get(name) for name in dict.fromkeys(wanted)]


def _needed(numbers: Sequence[str], tier: str) -> list[str]:
    """What these lessons, or all that have this tier, take from outside."""
    from tlcourse.course.syllabus import lesson, lessons

    asked = [lesson(number) for number in numbers]
    for one in asked:
        if tier not in one.tiers:
            raise TierError(
                f"Lesson {one.number} has no {tier} tier. It has: {', '.join(one.tiers)}."
            )
    several = asked or [one for one in lessons() if tier in one.tiers]
    if not several:
        raise TierError(f"No lesson has a {tier} tier yet.")
    return [name for one in several for name in one.cards[tier]]
