"""The cards that a command is about: by name, by lesson and tier, or all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tlcourse.errors import TierError

if TYPE_CHECKING:
    from tlcourse.cards import Card

TIERS = ("pocket", "public", "gpu")  # as in course.syllabus, without importing it for --help


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the parameters `names`, `numbers`, `tier` and `every` to a command."""
    for add in (
        click.option("--all", "every", is_flag=True, help="Every card except the hub models."),
        click.option(
            "--tier", type=click.Choice(TIERS), help="Which tier of the lessons [public]."
        ),
        click.option(
            "--lesson",
            "numbers",
            multiple=True,
            metavar="NN",
            help="The cards that a lesson needs; may be repeated.",
        ),
        click.argument("names", nargs=-1, metavar="[NAME]…"),
    ):
        command = add(command)
    return command


def chosen(
    names: Sequence[str], numbers: Sequence[str], tier: str | None, every: bool
) -> list[Card]:
    """The chosen cards, each once. Raises CardError, CourseError, TierError or UsageError."""
    from tlcourse import cards

    if not (names or numbers or tier or every):
        raise click.UsageError(
            f"Name a card ({', '.join(cards.names())}), a --lesson, a --tier, or --all."
        )
    wanted = [*names, *(cards.names() if every else ())]
    if numbers or tier:
        wanted += _needed(numbers, tier or "public")
    return [cards.get(name) for name in dict.fromkeys(wanted)]


def _needed(numbers: Sequence[str], tier: str) -> list[str]:
    """The cards that these lessons need, or all lessons with this tier."""
    from tlcourse.course.syllabus import lesson, lessons

    named = [lesson(number) for number in numbers]
    for one in named:
        if tier not in one.tiers:
            raise TierError(
                f"Lesson {one.number} has no {tier} tier. It has: {', '.join(one.tiers)}."
            )
    several = named or [one for one in lessons() if tier in one.tiers]
    if not several:
        raise TierError(f"No lesson has a {tier} tier yet.")
    return [name for one in several for name in one.cards[tier]]
