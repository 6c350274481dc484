"""`tlcourse cards`: the data sets and models of the course, their licences, and what is present."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

    from tlcourse.cards import Card
    from tlcourse.supply import Settings

FLOAT = 4  # bytes of a parameter in memory
NAMES = 18  # columns of the longest name, and one more
WIDE = 120  # columns of a terminal that has room for licences

STYLES = {
    "present": "green",
    "embedded": "cyan",
    "not fetched": "dim",
    "broken": "red",
    "not pinned": "yellow",
}


class Words(click.Group):
    """`cards pin NAME` is a command of its own; anything else is for `show`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("cards", cls=Words, subcommand_metavar="[NAME | pin NAME…]")
def command() -> None:
    """List data sets and models, or show the whole card of NAME.

    Hub models (for the gpu tier) are listed separately: one that is not pinned has no hashes yet,
    and `cards pin NAME` has to ask the hub for them before it can be fetched.
    """


@command.command("show")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--hub", "hubs", is_flag=True, help="Only the hub models.")
def show(name: str | None, as_json: bool, hubs: bool) -> None:
    """List all cards (the default), or show the whole card of NAME."""
    from tlcourse import cards

    if name:
        chosen = [cards.hub(name) if name in cards.hub_names() else cards.get(name)]
    else:
        chosen = [] if hubs else [cards.get(each) for each in cards.names()]
    of_hubs = [cards.hub(each) for each in cards.hub_names()] if not name else []
    rows = [_row(card) for card in chosen]
    if as_json:
        import json

        table = rows[0] if name else [_row(card) for card in of_hubs] if hubs else rows
        click.echo(json.dumps(table, indent=2, ensure_ascii=False))
    elif name:
        _show_card(chosen[0], rows[0])
    else:
        _show_table(rows, [_row(card) for card in of_hubs])


@command.command("pin")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the cards into this folder instead of your store.",
)
@click.option(
    "--from",
    "place",
    metavar="PLACE",
    help="Take the card from the mirror in this folder or at this address; ask no hub.",
)
def pin(names: tuple[str, ...], into: Path | None, place: str | None) -> None:
    """Ask the hub for the commit and the hashes of a model's files, and keep them in a card.

    NAME is a hub card's name, or timm/ARCH.TAG or hf/OWNER/NAME for a model without a card. This is
    the only command that asks a hub about its files; whatever is loaded later is compared with the
    answer. It needs a network. HF_ENDPOINT names another server with the hub's API. A mirror
    contains the pins of the machine that built it: --from takes those, if you trust its builder.
    """
    from tlcourse import cards, supply
    from tlcourse.spoken import command as spoken
    from tlcourse.supply import hub
    from tlcourse.supply.mirror.pins import take
    from tlcourse.supply.readable import summary

    settings = supply.read_settings()
    for name in names:
        known = name if name in cards.hub_names() else cards.hub_card(name)
        before = cards.hub(known) if known else None
        if place:
            after = take(name, place, settings)
        else:
            unpinned = _unpinned(before, settings) if before else hub.draft(name, settings)
            after = hub.pin(unpinned, settings)
        earlier = before if into is None and before and before.pinned else None
        where = hub.save(after, into or cards.pins())
        click.echo(f"{after.name}: {after.hub.repo} at {after.hub.revision}, {summary(after)}")
        for file in after.files:
            click.echo(f"  {file.sha256}  {file.path}")
        if earlier:
            changes = cards.changes(earlier, after)
            click.echo(
                "  Since it was last pinned, " + (", ".join(changes) or "nothing changed") + "."
            )
        click.echo(f"  Written to {where}. `{spoken(f'fetch {after.name}')}` fetches it.")


def _unpinned(card: Card, settings: Settings) -> Card:
    """The card without its pin, to pin it anew: at its branch, if it came from one."""
    from tlcourse import cards
    from tlcourse.supply.hub import draft

    if not card.pinned:
        return card
    if shipped := cards.shipped(card.name):
        return replace(shipped, assets=())
    if card.hub.loads in (card.hub.repo, f"hf/{card.hub.repo}"):  # made by `draft`
        return draft(card.hub.loads, settings)
    return replace(card, assets=())


def _row(card: Card) -> dict[str, Any]:
    """Everything in a card, and its state on this machine."""
    from tlcourse import cards, supply

    folder = supply.path(card.name) if card.pinned else None
    state = "present" if folder else "not fetched" if card.pinned else "not pinned"
    if card.embedded:
        state = "embedded" if folder else "broken"
    return {
        "name": card.name,
        "title": card.title,
        "kind": card.kind,
        "licence": card.licence,
        "files": len(card.files),
        "bytes": card.bytes,
        "state": state,
        "path": str(folder) if folder else None,
        "embedded": card.embedded,
        "description": " ".join(card.description.split()),
        "source_url": card.source_url,
        "citation": card.citation,
        "urls": [url for asset in card.assets for url in asset.urls],
        "gives": [asdict(one) for one in cards.gives(card.name)],
    } | (_of_hub(card) if card.hub else {})


def _of_hub(card: Card) -> dict[str, Any]:
    return {
        "pinned": card.pinned,
        "repo": card.hub.repo,
        "revision": card.hub.revision,
        "loads": card.hub.loads or None,
        "parameters": card.hub.parameters,
        "wanted": list(card.hub.files),
    }


def _show_table(rows: list[dict[str, Any]], of_hubs: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from tlcourse.spoken import command as spoken
    from tlcourse.supply.readable import size

    console = Console(highlight=False)
    wide = console.width >= WIDE
    if rows:
        sizes = [size(row["bytes"]) for row in rows]
        console.print(_table("name", "size", rows, sizes, licences=wide))
        console.print()
    memories = [size(FLOAT * row["parameters"]) for row in of_hubs]  # of the weights as float32
    console.print(_table("for the gpu tier", "memory", of_hubs, memories, licences=wide))
    console.print()
    console.print(f"[bold]{spoken('cards NAME')}[/] shows a whole card, with its licence.")
    console.print(f"[bold]{spoken('fetch NAME')}[/] fetches the files of a card.")
    if not all(row["pinned"] for row in of_hubs):
        console.print(f"[bold]{spoken('cards pin NAME')}[/] asks the hub for missing hashes.")


def _table(
    heading: str, measure: str, rows: list[dict[str, Any]], amounts: list[str], *, licences: bool
) -> Table:
    """One card a line; in 80 columns without licences."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(heading, style="bold", no_wrap=True, min_width=NAMES)
    table.add_column("what")
    if licences:
        table.add_column("licence")
    table.add_column(measure, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True, min_width=len("not fetched"))
    for row, amount in zip(rows, amounts, strict=True):
        licence = [Text(row["licence"].split(";")[0])] if licences else []
        state = Text(row["state"], style=STYLES[row["state"]])
        table.add_row(row["name"], Text(row["title"]), *licence, amount, state)
    return table


def _show_card(card: Card, row: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from tlcourse.cards.counts import in_words
    from tlcourse.supply.readable import summary

    facts = {
        "state": f"{row['state']}. {card.embedded}" if card.embedded else row["state"],
        "folder": row["path"],
        "size": summary(card) if card.pinned else _without_hashes(card),
        "gives": in_words(card.name) or None,
        "loads": row.get("loads"),
        "memory": _memory(card) if card.hub else None,
        "licence": card.licence,
        "cite": card.citation,
        "about": card.source_url,
        "from": _common(row["urls"]) or (row["repo"] if card.hub else ""),
    }
    console = Console(highlight=False)
    console.print(Text(f"{card.name}: {card.title} ({card.kind})", style="bold"))
    console.print()
    for line in _wrapped(row["description"], console.width):
        console.print(line, markup=False)
    console.print()
    for key, value in facts.items():
        if value is None and key in ("gives", "loads", "memory"):
            continue
        for number, line in enumerate(_wrapped(value or "", console.width - 9)):
            text = Text(f"{'' if number else key:<9}", style="dim")
            text.append(
                line, style=f"not dim {STYLES[row['state']]}" if key == "state" else "not dim"
            )
            # Do not break an address: it is to be clicked or copied.
            console.print(text, soft_wrap=True)


def _without_hashes(card: Card) -> str:
    from tlcourse.spoken import command as spoken

    wanted = f"{len(card.hub.files)} files are wanted, their hashes are unknown"
    return f"{wanted}: {spoken(f'cards pin {card.name}')}"


def _memory(card: Card) -> str:
    from tlcourse.supply.readable import size

    return f"{size(FLOAT * card.hub.parameters)} for {card.hub.parameters:,} parameters as float32"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, min(width, 100), break_long_words=False, break_on_hyphens=False)


def _common(urls: list[str]) -> str:
    """One address as it is; several files of one folder as the folder."""
    folders = {url.rsplit("/", 1)[0] for url in urls}
    return (
        f"{folders.pop()}/… ({len(urls)} files)"
        if len(folders) == 1 < len(urls)
        else " ".join(urls)
    )
