"""Finding and reading cards: TOML files in this package, each read when first needed.

Cards of hub models are in `hub/`: only the gpu tier uses them, and most are not pinned. A pinned
copy in the user's store (TLCOURSE_HOME/cards) takes precedence.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tlcourse.cards.card import HUB, KINDS, Asset, Card, File, address, endpoint, parse
from tlcourse.errors import CardError
from tlcourse.spoken import command as spoken


def names(kind: str | None = None) -> list[str]:
    """The names of all cards, sorted, or of one kind: "data", "model" or "embedded"."""
    every = sorted(
        entry.name.removesuffix(".toml")
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".toml")
    )
    if kind is None:
        return every
    if kind == "embedded":
        return [name for name in every if get(name).embedded]
    if kind not in KINDS:
        raise CardError(f"No kind of card {kind!r}. There are: {', '.join(KINDS)}, embedded.")
    return [name for name in every if get(name).kind == kind]


def get(name: str) -> Card:
    """The card of that name, with every hash that is needed to fetch and verify its files.

    Raises CardError with the choices, with what is wrong in the card, or, for an unpinned hub model,
    with the command that pins it.
    """
    if name in names():
        return _read(name)
    if name not in hub_names():
        every = [*names(), *hub_names()]
        near = get_close_matches(name, every, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise CardError(f"No card {name!r}.{hint} There are: {', '.join(every)}.")
    card = hub(name)
    if not card.pinned:
        raise CardError(
            f"{name!r} is not pinned yet: its hashes are unknown, and nothing loads without them. "
            f"Run `{spoken(f'cards pin {name}')}` once, with a network."
        )
    return _at_endpoint(card)


def hub_names() -> list[str]:
    """The names of all hub models with a card, pinned or not, sorted."""
    shipped = [entry.name for entry in (files(__package__) / "hub").iterdir()]
    own = [path.name for path in pins().glob("*.toml")] if pins().is_dir() else []
    every = {entry.removesuffix(".toml") for entry in [*shipped, *own] if entry.endswith(".toml")}
    return sorted(every - set(names()))


def shipped(name: str) -> Card | None:
    """The hub card of that name as the course ships it, whatever the user's store has."""
    place = files(__package__) / "hub" / f"{name}.toml"
    return parse(_table(place.read_text("utf-8"), name), {}) if place.is_file() else None


def hub(name: str) -> Card:
    """A hub model's card, pinned or not. Raises CardError."""
    if name not in hub_names():
        raise CardError(f"No hub card {name!r}. There are: {', '.join(hub_names())}.")
    own = pins() / f"{name}.toml"
    place = own if own.is_file() else files(__package__) / "hub" / f"{name}.toml"
    try:
        card = parse(_table(place.read_text("utf-8"), name), {})
        if card.hub is None:
            raise CardError(f"Card {name!r} is in hub/ but has no [hub].")
    except (CardError, OSError, UnicodeError) as error:
        if place is not own:
            raise
        raise CardError(
            f"{error} It was read from {own}: delete that file, or pin the model again."
        ) from error
    return card


def hub_card(model: str) -> str | None:
    """The card's name for a model: "timm/ARCH", "timm/ARCH.TAG", "hf/NAME" or "hf/REPO"."""
    family, _, rest = model.partition("/")
    every = [hub(name) for name in hub_names()]
    for card in every:
        if card.hub.loads == model or (family == "hf" and rest in (card.name, card.hub.repo)):
            return card.name
    if family == "timm" and "." not in rest:
        for card in every:
            if card.hub.loads.startswith(f"{model}."):
                return card.name
    return None


def pins() -> Path:
    """Where `tlcourse cards pin` puts pinned cards: the folder `cards` in the store."""
    if home := os.environ.get("TLCOURSE_HOME", "").strip():
        return Path(home).expanduser().absolute() / "cards"
    from platformdirs import user_cache_path

    return user_cache_path("tlcourse", appauthor=False) / "cards"


@cache
def _read(name: str) -> Card:
    folder = files(__package__)
    table = _table((folder / f"{name}.toml").read_text("utf-8"), name)
    wanted = {row["manifest"] for row in table.get("assets", ()) if "manifest" in row}
    present = {entry.name for entry in folder.iterdir() if entry.name in wanted}
    texts = {entry: (folder / entry).read_text("utf-8") for entry in present}
    return parse(table, {entry: read_manifest(text) for entry, text in texts.items()})


def _table(text: str, name: str) -> Mapping[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CardError(f"Card {name!r} is not valid TOML: {error}.") from error
    if table.get("name") != name:
        raise CardError(f"Card {name!r} calls itself {table.get('name')!r}.")
    return table


def _at_endpoint(card: Card) -> Card:
    """With HF_ENDPOINT, try that URL first; mirrors keep files under the hub's own address."""
    if (place := endpoint()) == HUB:
        return card

    def moved(asset: Asset) -> Asset:
        url = address(card.hub.repo, card.hub.revision, asset.files[0].path, place)
        return replace(asset, urls=(url, *asset.urls))

    return replace(card, assets=tuple(map(moved, card.assets)))


def read_manifest(text: str) -> tuple[File, ...]:
    """The files of a TSV with the header `path bytes sha256`. Raises CardError that names the line."""
    header, *lines = text.splitlines() or [""]
    if header.split("\t") != ["path", "bytes", "sha256"]:
        raise CardError(f"A manifest starts with 'path, bytes, sha256' and tabs, not {header!r}.")
    rows = []
    for number, line in enumerate(lines, start=2):
        parts = line.split("\t")
        if len(parts) != 3 or not parts[1].isdecimal():
            raise CardError(f"Line {number} of a manifest is not 'path, bytes, sha256': {line!r}.")
        rows.append(File(parts[0], int(parts[1]), parts[2]))
    if not rows:
        raise CardError("A manifest is empty.")
    return tuple(rows)
