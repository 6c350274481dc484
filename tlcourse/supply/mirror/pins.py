"""The pins in a mirror: cards/NAME.toml, for hub models pinned on the machine that built it.

A learner takes one with `tlcourse cards pin NAME --from PLACE`. It is never automatic: whoever
supplies the hashes decides which bytes are accepted, so the learner has to choose to trust them.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tlcourse import cards
from tlcourse.cards import Card
from tlcourse.cards.card import parse
from tlcourse.errors import CardError, FetchError, SupplyError
from tlcourse.files import write_atomically
from tlcourse.supply.download import http
from tlcourse.supply.hub import to_toml
from tlcourse.supply.mirror.index import Row
from tlcourse.supply.settings import Settings

FOLDER = "cards"
LARGEST = 1_000_000  # bytes; a card of a thousand files is shorter


def put_pins(folder: Path, chosen: Sequence[Card]) -> list[Row]:
    """Write the cards that other installations do not have pinned. Returns their rows."""
    rows = []
    for card in chosen:
        if card.hub is None or (own := cards.hub(card.name)) == cards.shipped(card.name):
            continue
        path, text = f"{FOLDER}/{card.name}.toml", to_toml(own)
        write_atomically(folder / path, text)
        body = (folder / path).read_bytes()
        rows.append(Row(card.name, path, len(body), hashlib.sha256(body).hexdigest()))
    return rows


def pinned_in(rows: Iterable[Row]) -> list[str]:
    """The names of the cards whose pins are in a mirror with this index."""
    return sorted({row.name for row in rows if row.path == f"{FOLDER}/{row.name}.toml"})


def take(name: str, place: str, settings: Settings) -> Card:
    """The pinned card of that name in the mirror at `place`, a folder or an address. Writes nothing.

    Raises FetchError if there is none, CardError if it is not the card of a pinned hub model.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name in cards.names():
        raise CardError(
            f"{name!r} is not the name of a hub model's card. Give it as the mirror has it."
        )
    text = _read(place, f"{FOLDER}/{name}.toml", settings)
    try:
        card = parse(tomllib.loads(text), {})
    except (tomllib.TOMLDecodeError, CardError) as error:
        raise CardError(f"The card {name!r} of {place} cannot be used: {error}") from error
    if card.name != name or card.hub is None or not card.pinned:
        raise CardError(f"The card {name!r} of {place} is not that of a pinned hub model.")
    return card


def _read(place: str, path: str, settings: Settings) -> str:
    try:
        if place.lower().startswith(("http://", "https://")):
            return http.read(f"{place.rstrip('/')}/{path}", settings, LARGEST).decode("utf-8")
        return (Path(place).expanduser() / path).read_text("utf-8")
    except (SupplyError, OSError, UnicodeDecodeError) as error:
        raise FetchError(
            f"{place} has no {path} ({error}). Check the place, and whether the model was pinned on "
            f"the machine that built this mirror."
        ) from error
