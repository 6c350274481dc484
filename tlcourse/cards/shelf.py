"""Finding and reading cards: TOML files in this package, each read when first needed.

Cards of hub models are in `hub/`: only the gpu tier uses them, and most are not pinned. A pinned
copy in the user's store (TLCOURSE_HOME/cards) takes precedence.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path

from tlcourse.cards.card import HUB, KINDS, NAME, Asset, Card, File, address, endpoint, parse
from tlcourse.errors import CardError
from tlcourse.schema import read_toml, shown
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
    own = [path.stem for path in pins().glob("*.toml")] if pins().is_dir() else []
    return sorted({*_shipped(), *filter(NAME.fullmatch, own)} - set(names()))


def shipped(name: str) -> Card | None:
    """The hub card of that name as the course ships it, whatever the user's store has."""
    return _shipped().get(name)


def hub(name: str) -> Card:
    """A hub model's card, pinned or not. Raises CardError, also if the store's own card takes a name or
    a repository of a card that the course ships, for other files."""
    if name not in hub_names():
        raise CardError(f"No hub card {name!r}. There are: {', '.join(hub_names())}.")
    own = pins() / f"{name}.toml"
    if not own.is_file():
        return _shipped()[name]
    try:
        card = read_hub_card(own.read_bytes(), name)
        refuse_foreign(card, _shipped().values())
        return card
    except (CardError, OSError) as error:
        raise CardError(
            f"{error} It was read from {own}: delete that file, then pin the model again."
        ) from error


def read_hub_card(text: bytes, name: str) -> Card:
    """The hub card in this TOML. Raises CardError if it is another, or not well formed."""
    card = parse(read_toml(text, CardError, f"The card {name!r} cannot be used"), {})
    if card.name != name or card.hub is None:
        raise CardError(f"The card {name!r} calls itself {card.name!r}, or has no [hub].")
    return card


def hub_card(model: str) -> str | None:
    """The card's name for a model: "timm/ARCH", "timm/ARCH.TAG", "hf/NAME" or "hf/REPO"."""
    # What the course ships comes first, whatever the names of the others.
    every = sorted(hub_names(), key=lambda name: name not in _shipped())
    for name in every:
        if model in _asked_by(hub(name)):
            return name
    if model.startswith("timm/") and "." not in model:
        for name in every:
            if hub(name).hub.loads.startswith(f"{model}."):
                return name
    return None


def refuse_foreign(card: Card, known: Iterable[Card]) -> None:
    """Raises CardError if `card` would be loaded in place of a known one and has other files."""
    for other in known:
        same = card.assets == other.assets or not (other.assets or card.name != other.name)
        if card.name == other.name:
            same = same and card.hub == other.hub
        if _asked_by(card) & _asked_by(other) and not same:
            told = ", ".join(changes(other, card)) or "its hashes cannot be compared"
            raise CardError(
                f"The card {card.name!r} would be loaded in place of {other.name!r}, but differs: "
                f"{told}."
            )


def changes(before: Card, after: Card) -> list[str]:
    """What differs between two cards of a model, in words; empty if nothing does."""
    words = []
    for key, verb in (("repo", "changed"), ("revision", "moved"), ("loads", "changed")):
        old, new = getattr(before.hub, key), getattr(after.hub, key)
        if old != new:
            what = {"repo": "repository", "loads": "name for load_model"}.get(key, key)
            words.append(f"the {what} {verb} from {old or 'none'} to {new or 'none'}")
    old = {file.path: file.sha256 for file in before.files} or dict.fromkeys(before.hub.files)
    new = {file.path: file.sha256 for file in after.files} or dict.fromkeys(after.hub.files)
    words += [f"{path} is gone" for path in old if path not in new]
    for path, sha256 in new.items():
        if path not in old:
            words.append(f"{path} is new")
        elif old[path] and sha256 and old[path] != sha256:
            words.append(f"{path} changed")
    return words


def _asked_by(card: Card) -> set[str]:
    """What `load_model` finds a hub card by."""
    return {f"hf/{card.name}", f"hf/{card.hub.repo}", card.hub.loads} - {""}


@cache
def _shipped() -> dict[str, Card]:
    found = {}
    for entry in (files(__package__) / "hub").iterdir():
        if entry.name.endswith(".toml"):
            name = entry.name.removesuffix(".toml")
            found[name] = read_hub_card(entry.read_bytes(), name)
    return found


def pins() -> Path:
    """Where `tlcourse cards pin` puts pinned cards: the folder `cards` in the store."""
    if home := os.environ.get("TLCOURSE_HOME", "").strip():
        return Path(home).expanduser().absolute() / "cards"
    from platformdirs import user_cache_path

    return user_cache_path("tlcourse", appauthor=False) / "cards"


@cache
def _read(name: str) -> Card:
    folder = files(__package__)
    table = read_toml(
        (folder / f"{name}.toml").read_bytes(), CardError, f"The card {name!r} is wrong"
    )
    wanted = {row["manifest"] for row in table.get("assets", ()) if "manifest" in row}
    present = {entry.name for entry in folder.iterdir() if entry.name in wanted}
    texts = {entry: (folder / entry).read_text("utf-8") for entry in present}
    return parse(table, {entry: read_manifest(text) for entry, text in texts.items()})


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
        if len(parts) != 3 or not re.fullmatch(r"[0-9]{1,15}", parts[1]):
            told = f"Line {number} of a manifest is not 'path, bytes, sha256': {shown(line)}."
            raise CardError(told)
        rows.append(File(parts[0], int(parts[1]), parts[2]))
    if not rows:
        raise CardError("A manifest is empty.")
    return tuple(rows)
