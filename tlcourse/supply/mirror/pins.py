"""The pins in a mirror: cards/NAME.toml, for hub models pinned on the machine that built it.

A learner takes one with `tlcourse cards pin NAME --from PLACE`. It is never automatic: whoever
supplies the hashes decides which bytes are accepted, so the learner has to choose to trust them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tlcourse import cards
from tlcourse.cards import Card
from tlcourse.cards.card import NAME
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

    Raises FetchError if there is none, CardError if it is not the card of a pinned hub model, or would
    be loaded in place of another that is known here and differs.
    """
    if not NAME.fullmatch(name) or name in cards.names():
        raise CardError(
            f"{name!r} is not the name of a hub model's card. Give it as the mirror has it."
        )
    text, own = _read(place, f"{FOLDER}/{name}.toml", settings), cards.pins() / f"{name}.toml"
    try:
        card = cards.read_hub_card(text, name)
        if not card.pinned:
            raise CardError("It is not pinned.")
        # The name may be trusted already, or be another that leads to the same model.
        cards.refuse_foreign(card, map(cards.hub, cards.hub_names()))
    except CardError as error:
        again = f" If you trust this mirror more, delete {own} first." if own.is_file() else ""
        raise CardError(
            f"The card {name!r} of {place} is refused: {error} Nothing was written.{again}"
        ) from error
    return card


def _read(place: str, path: str, settings: Settings) -> bytes:
    try:
        if place.lower().startswith(("http://", "https://")):
            return http.read(f"{place.rstrip('/')}/{path}", settings, LARGEST)
        with open(Path(place).expanduser() / path, "rb") as file:
            return file.read(LARGEST)
    except (SupplyError, OSError) as error:
        raise FetchError(
            f"{place} has no {path} ({error}). Check the place, and whether the model was pinned on "
            f"the machine that built this mirror."
        ) from error
