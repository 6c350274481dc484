"""`tlcourse fetch NAME…`: bring data and weights before they are needed."""

from __future__ import annotations

import click


@click.command("fetch")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "every", is_flag=True, help="Fetch every card.")
def command(names: tuple[str, ...], every: bool) -> None:
    """Fetch data sets and models by their cards' names, and verify every byte.

    What is already there is only checked. An interrupted fetch goes on where it stopped.
    TLCOURSE_MIRROR names folders or URLs to ask before the web, TLCOURSE_HOME the folder
    to put things in. `tlcourse cards` lists the names.
    """
    from tlcourse import cards, supply

    if not names and not every:
        raise click.UsageError(f"Name what to fetch: {', '.join(cards.names())}; or give --all.")
    # All of them before the first: a slip in the last name must not cost a download.
    chosen = [cards.get(name) for name in (cards.names() if every else dict.fromkeys(names))]
    for card in chosen:
        if folder := supply.path(card.name):
            click.echo(f"{card.name}: {_standing(card, folder)}")
            continue
        folder = supply.fetch(card.name)
        click.echo(f"{card.name}: fetched, every byte verified · {folder}")


def _standing(card, folder) -> str:
    if card.embedded:
        return f"embedded. {card.embedded}"
    return f"is here, verified · {folder}"
