"""Write datasets/README.md from the cards: `python datasets/make_readme.py`."""

from __future__ import annotations

from pathlib import Path

from tlcourse import cards
from tlcourse.cards import Card
from tlcourse.cards.counts import in_words
from tlcourse.supply.readable import size

HEAD = """\
# Data and weights

The data sets and models of the course, with their licences and sources. `make_readme.py` writes this
file from the cards in `tlcourse/cards/`; edit those. This repository contains no one else's data: a
card holds names, sizes and hashes, and `tlcourse fetch NAME` downloads the files from the pinned
source (or a mirror) and verifies every byte.
"""
FOOT = """
## To add a card

Write `tlcourse/cards/NAME.toml`; `tlcourse/cards/__init__.py` describes the fields. For an archive,
make its manifest: `python datasets/make_manifest.py ARCHIVE [PREFIX…] > NAME.tsv`. When a loader
reads it, count its examples: `python datasets/measure_counts.py`. Then run
`python datasets/make_readme.py`.
"""


def readme() -> str:
    every = [cards.get(name) for name in cards.names()]
    lines = [HEAD, "| name | what | licence | files | size | comes |", "|---|---|---|--:|--:|---|"]
    lines += [_row(card) for card in every]
    lines += ["", *(_sheet(card) for card in every)]
    return "\n".join(lines) + FOOT


def _row(card: Card) -> str:
    comes = "embedded" if card.embedded else "from the web"
    if card.package and not card.embedded:
        comes = "with the installation, or from the web"
    cells = (f"[`{card.name}`](#{card.name})", card.title, card.licence, f"{len(card.files):,}")
    return f"| {' | '.join(cells)} | {size(card.bytes)} | {comes} |"


def _sheet(card: Card) -> str:
    embedded = f"{card.embedded}\n\n" if card.embedded else ""
    urls = [url for asset in card.assets for url in asset.urls]
    if len(urls) > 1:
        urls = sorted({url.rsplit("/", 1)[0] for url in urls})
    places = "".join(f"- Fetched from: <{url}>\n" for url in urls)
    gives = f"- `load_data` gives: {in_words(card.name)}\n" if in_words(card.name) else ""
    return (
        f"## {card.name}\n\n{card.title} ({card.kind}). {' '.join(card.description.split())}\n\n"
        f"{embedded}{gives}- Licence: {card.licence}\n- About: <{card.source_url}>\n"
        f"- Cite: {card.citation}\n{places}"
    )


if __name__ == "__main__":
    Path(__file__).with_name("README.md").write_text(readme(), "utf-8")
