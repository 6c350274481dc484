"""The pins that a mirror carries: cards/NAME.toml, for hub models that were pinned where it was built.

A learner takes one with `tlcourse cards pin NAME --from PLACE`. Nothing does so by itself: whoever
gives the hashes decides what is believed, so that has to be somebody's own choice.
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
from tlcourse.cards.hubcard import to_toml
from tlcourse.errors import CardError, FetchError
from tlcourse.files import write_atomically
from tlcourse.supply.mirror.index import Row
from tlcourse.supply.settings import Settings

FOLDER = "cards"
LARGEST = 1_000_000  # bytes; a card of a thousand files is shorter


def put_pins(folder: Path, chosen: Sequence[Card]) -> list[Row]:
    """Put beside their files the cards that another installation would not have; their rows."""
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
    """The names of the cards that a mirror with this index carries."""
    return sorted({row.name for row in rows if row.path == f"{FOLDER}/{row.name}.toml"})


def take(name: str, place: str, settings: Settings) -> Card:
    """The pinned card of that name in the mirror at `place`, a folder or an address. Writes nothing.

    Raises FetchError if it is not there, CardError if it is none or not a pinned hub model's.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name in cards.names():
        raise CardError(f"{name!r} is no name of a hub model's card. Give it as its mirror has it.")
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
            body = _get(f"{place.rstrip('/')}/{path}", settings)
        else:
            body = (Path(place).expanduser() / path).read_bytes()
        return body[:LARGEST].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:  # requests' errors are OSErrors
        raise FetchError(
            f"{place} gives no {path} ({type(error).__name__}). Check the place, and whether the model "
            f"was pinned on the machine that built this mirror."
        ) from error


def _get(url: str, settings: Settings) -> bytes:
    import requests

    timeout = (settings.connect_s, settings.stall_s)
    with requests.get(url, timeout=timeout, stream=True) as answer:
        answer.raise_for_status()
        body = b""
        for block in answer.iter_content(1 << 16):
            body += block
            if len(body) > LARGEST:
                break
        return body
