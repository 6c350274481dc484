"""`tlcourse fetch NAME…`: fetch data and weights before they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlcourse.cli.choice import chosen, options
from tlcourse.errors import FetchError

if TYPE_CHECKING:
    from tlcourse.cards import Card
    from tlcourse.supply import Settings
    from tlcourse.supply.many import Outcome


@click.command("fetch")
@options
def command(
    names: tuple[str, ...], numbers: tuple[str, ...], tier: str | None, every: bool
) -> None:
    """Fetch data sets and models by their cards' names, and verify every byte.

    Files that are present are only checked. An interrupted fetch resumes, and a card that fails
    stops no other. TLCOURSE_MIRROR names folders or URLs to try before the web, TLCOURSE_HOME the
    folder for the files. The command `cards` lists the names.
    """
    from tlcourse.supply import read_settings

    # Look up all names first: a typo in the last one must not cost a download.
    cards = chosen(names, numbers, tier, every)
    failed = bring_here(cards, read_settings(), say_present=True)[1]
    if failed and len(cards) == 1:  # its error was printed
        click.get_current_context().exit(FetchError.exit_code)
    if failed:
        others = "The others are here. " if len(failed) < len(cards) else ""
        raise FetchError(
            f"{len(failed)} of {len(cards)} could not be fetched: {', '.join(failed)}. "
            f"{others}Run the same command again to resume."
        )


def bring_here(
    cards: Sequence[Card], settings: Settings, *, say_present: bool
) -> tuple[dict[str, Path], list[str]]:
    """Fetch what is missing and show it. Returns each card's folder, and the names that failed."""
    from tlcourse.supply.estimate import check_room, needs
    from tlcourse.supply.many import bring_all
    from tlcourse.supply.settings import check_mirrors
    from tlcourse.supply.show import announcement, board
    from tlcourse.supply.store import free_bytes

    check_mirrors(settings)
    found = needs(cards, settings)
    folders = {need.card.name: need.folder for need in found if need.folder}
    for need in found if say_present else ():
        if need.folder:
            click.echo(f"{need.card.name}: {_state(need.card, need.folder)}")
    lacking = sorted((need for need in found if not need.folder), key=lambda need: -need.to_come)
    if not lacking:
        return folders, []
    home = settings.home
    click.echo(announcement(lacking, free_bytes(home), str(home)), err=True)
    check_room(lacking, settings)
    whole: set[str] = set()

    def ended(outcome: Outcome) -> None:
        whole.update({outcome.card.name} if outcome.folder else ())
        done(outcome)

    try:
        with board(lacking) as (tell, done):
            outcomes = bring_all([need.card for need in lacking], settings, tell, ended)
    except KeyboardInterrupt:
        raise click.Abort(_stopped([need.card for need in lacking], whole, settings)) from None
    folders |= {one.card.name: one.folder for one in outcomes if one.folder}
    return folders, sorted(one.card.name for one in outcomes if one.error)


def _stopped(cards: Sequence[Card], whole: set[str], settings: Settings) -> str:
    """What an interrupted fetch has kept."""
    from tlcourse.supply.estimate import kept
    from tlcourse.supply.readable import size

    got = size(sum(kept(card, settings) for card in cards if card.name not in whole))
    if len(cards) > 1:
        got = f"{len(whole)} of {len(cards)} cards whole, {got} of the others"
    return f"stopped. What was fetched is kept ({got}): run the same command to resume."


def _state(card: Card, folder: Path) -> str:
    if card.embedded:
        return f"embedded. {card.embedded}"
    return f"is here, verified · {folder}"
