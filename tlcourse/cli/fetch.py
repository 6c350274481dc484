"""`tlcourse fetch NAME…`: bring data and weights before they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlcourse.cli.choice import chosen, options
from tlcourse.errors import FetchError

if TYPE_CHECKING:
    from tlcourse.cards import Card


@click.command("fetch")
@options
def command(
    names: tuple[str, ...], numbers: tuple[str, ...], tier: str | None, every: bool
) -> None:
    """Fetch data sets and models by their cards' names, and verify every byte.

    What is already there is only checked. An interrupted fetch goes on where it stopped, and one
    card's trouble stops no other. TLCOURSE_MIRROR names folders or URLs to ask before the web,
    TLCOURSE_HOME the folder to put things in. `tlcourse cards` lists the names.
    """
    from tlcourse.supply import read_settings
    from tlcourse.supply.board import announcement, board
    from tlcourse.supply.estimate import check_room, needs
    from tlcourse.supply.many import bring_all
    from tlcourse.supply.settings import check_mirrors
    from tlcourse.supply.store import free_bytes

    # All of them before the first: a slip in the last name must not cost a download.
    cards, settings = chosen(names, numbers, tier, every), read_settings()
    check_mirrors(settings)
    found = needs(cards, settings)
    for need in found:
        if need.folder:
            click.echo(f"{need.card.name}: {_standing(need.card, need.folder)}")
    lacking = sorted((need for need in found if not need.folder), key=lambda need: -need.to_come)
    if not lacking:
        return
    home = settings.home
    click.echo(announcement(lacking, free_bytes(home), str(home)), err=True)
    check_room(lacking, settings)
    with board(lacking) as (tell, done):
        outcomes = bring_all([need.card for need in lacking], settings, tell, done)
    failed = [outcome for outcome in outcomes if outcome.error]
    if failed and len(cards) == 1:  # its sentence was said
        click.get_current_context().exit(failed[0].error.exit_code)
    if failed:
        raise FetchError(
            f"{len(failed)} of {len(cards)} could not be fetched: "
            f"{', '.join(outcome.card.name for outcome in failed)}. The others are here; "
            f"the same command again goes on where it stopped."
        )


def _standing(card: Card, folder: Path) -> str:
    if card.embedded:
        return f"embedded. {card.embedded}"
    return f"is here, verified · {folder}"
