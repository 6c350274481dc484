"""`tlcourse cards`: what the course can bring, whose it is, and what is here already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tlcourse.cards import Card

STYLES = {"present": "green", "embedded": "cyan", "not fetched": "dim", "broken": "red"}


@click.command("cards")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(name: str | None, as_json: bool) -> None:
    """List data sets and models, or show the whole card of NAME."""
    from tlcourse import cards

    chosen = [cards.get(name)] if name else [cards.get(each) for each in cards.names()]
    rows = [_row(card) for card in chosen]
    if as_json:
        import json

        click.echo(json.dumps(rows[0] if name else rows, indent=2, ensure_ascii=False))
    elif name:
        _show_card(chosen[0], rows[0])
    else:
        _show_table(rows)


def _row(card: Card) -> dict[str, Any]:
    """Everything a card says, and how it stands here."""
    from tlcourse import supply

    folder = supply.path(card.name)
    state = "present" if folder else "not fetched"
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
    }


def _show_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tlcourse.course.spoken import command as spoken
    from tlcourse.supply.show import size

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", style="bold", no_wrap=True)
    table.add_column("what")
    table.add_column("licence")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True, min_width=len("not fetched"))
    for row in rows:
        state = Text(row["state"], style=STYLES[row["state"]])
        what = Text(row["title"])
        licence = Text(row["licence"].split(";")[0])
        table.add_row(row["name"], what, licence, size(row["bytes"]), state)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"\n[bold]{spoken('cards NAME')}[/] shows a whole card, "
        f"[bold]{spoken('fetch NAME')}[/] brings it."
    )


def _show_card(card: Card, row: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from tlcourse.supply.show import summary

    facts = {
        "state": f"{row['state']}. {card.embedded}" if card.embedded else row["state"],
        "folder": row["path"],
        "size": summary(card),
        "licence": card.licence,
        "cite": card.citation,
        "about": card.source_url,
        "from": _common(row["urls"]),
    }
    console = Console(highlight=False)
    console.print(Text(f"{card.name}: {card.title} ({card.kind})", style="bold"))
    console.print()
    for line in _wrapped(row["description"], console.width):
        console.print(line, markup=False)
    console.print()
    for key, value in facts.items():
        for number, line in enumerate(_wrapped(value or "", console.width - 9)):
            text = Text(f"{'' if number else key:<9}", style="dim")
            text.append(
                line, style=f"not dim {STYLES[row['state']]}" if key == "state" else "not dim"
            )
            # An address stays in one piece, to be clicked or copied.
            console.print(text, soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, min(width, 100), break_long_words=False, break_on_hyphens=False)


def _common(urls: list[str]) -> str:
    """One address as it is; several files of one folder as that folder."""
    folders = {url.rsplit("/", 1)[0] for url in urls}
    return (
        f"{folders.pop()}/… ({len(urls)} files)"
        if len(folders) == 1 < len(urls)
        else " ".join(urls)
    )
