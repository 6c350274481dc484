"""Where the cards stand: TOML files in this package, each read once, when it is asked for."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from tlcourse.cards.card import KINDS, Card, File, parse
from tlcourse.errors import CardError


def names(kind: str | None = None) -> list[str]:
    """Every card's name in order, or those of one kind: "data", "model", or "embedded"."""
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


@cache
def get(name: str) -> Card:
    """The card of that name. Raises CardError with the choices, or with what is wrong in it."""
    known = names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise CardError(f"No card {name!r}.{hint} There are: {', '.join(known)}.")
    folder = files(__package__)
    try:
        table = tomllib.loads((folder / f"{name}.toml").read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CardError(f"Card {name!r} is no valid TOML: {error}.") from error
    if table.get("name") != name:
        raise CardError(f"Card {name!r} calls itself {table.get('name')!r}.")
    wanted = {row["manifest"] for row in table.get("assets", ()) if "manifest" in row}
    present = {entry.name for entry in folder.iterdir() if entry.name in wanted}
    texts = {entry: (folder / entry).read_text("utf-8") for entry in present}
    return parse(table, {entry: read_manifest(text) for entry, text in texts.items()})


def read_manifest(text: str) -> tuple[File, ...]:
    """The files of a TSV with the header `path bytes sha256`. Raises CardError with the line."""
    header, *lines = text.splitlines() or [""]
    if header.split("\t") != ["path", "bytes", "sha256"]:
        raise CardError(f"A manifest starts with 'path, bytes, sha256' and tabs, not {header!r}.")
    rows = []
    for number, line in enumerate(lines, start=2):
        parts = line.split("\t")
        if len(parts) != 3 or not parts[1].isdecimal():
            raise CardError(f"Line {number} of a manifest is no 'path, bytes, sha256': {line!r}.")
        rows.append(File(parts[0], int(parts[1]), parts[2]))
    if not rows:
        raise CardError("A manifest is empty.")
    return tuple(rows)
