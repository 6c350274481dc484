"""What a card says of a hub: which files of which revision, and how many numbers they hold.

A hub card is *unpinned* while it has no assets: it says what is wanted, but no hash is known, so
nothing can be fetched by it. `tlcourse cards pin NAME` asks the hub once and makes an ordinary card
of it. (`tlcourse.supply.pin` does that; this module only knows what such cards look like.)
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tlcourse.errors import CardError

if TYPE_CHECKING:
    from tlcourse.cards.card import Card

HUB = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"[A-Za-z0-9][\w.-]*\.safetensors")
# What may be asked of a hub: tensors and text. (A .bin is a pickle: only a card that names it gets
# it, `load_model` never reads it, and transformers opens it with weights_only.)
KINDS = (".safetensors", ".json", ".txt", ".model", ".bin")


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of the Hugging Face hub, at one revision: a commit, once it is pinned.

    parameters: numbers in the weights, each 4 bytes in memory. loads: what `load_model` calls it,
    "" if it is neither an image model nor a text encoder.
    """

    repo: str
    revision: str
    files: tuple[str, ...]
    parameters: int
    loads: str = ""


def parse_hub(row: Mapping[str, Any], name: str) -> Hub:
    """The [hub] table of a card. Raises CardError naming the field that is wrong."""
    where = f"Card {name!r}, hub"
    known = {"repo", "revision", "files", "parameters", "loads"}
    if strange := sorted(set(row) - known):
        raise CardError(f"{where}: unknown {', '.join(strange)}. There are: {', '.join(known)}.")
    hub = Hub(
        row.get("repo", ""),
        row.get("revision", ""),
        tuple(row.get("files", ())),
        row.get("parameters", 0),
        row.get("loads", ""),
    )
    if not REPO.fullmatch(hub.repo):
        raise CardError(f"{where}: repo={hub.repo!r} must be OWNER/NAME.")
    if not hub.revision or ".." in hub.revision:
        raise CardError(f"{where}: revision={hub.revision!r} must be a commit, a tag or a branch.")
    if not hub.files or any(not file.endswith(KINDS) for file in hub.files):
        raise CardError(f"{where}: files must name one or more, each {', '.join(KINDS)}.")
    if not isinstance(hub.parameters, int) or hub.parameters <= 0:
        raise CardError(f"{where}: parameters={hub.parameters!r} must be a whole number > 0.")
    if hub.loads and not re.fullmatch(r"(timm|hf)/\S+", hub.loads):
        raise CardError(
            f"{where}: loads={hub.loads!r} must begin with timm/ or hf/, or be left out."
        )
    return hub


def check_pinned(card: Card) -> None:
    """CardError unless a pinned card's files are those of its repository, at its commit."""
    hub = card.hub
    if not COMMIT.fullmatch(hub.revision):
        raise CardError(
            f"Card {card.name!r} has hashes, but its revision {hub.revision!r} is no commit: pin it"
            f" again."
        )
    wanted = {path: (address(hub.repo, hub.revision, path),) for path in hub.files}
    if {asset.files[0].path: asset.urls for asset in card.assets} != wanted:
        raise CardError(
            f"Card {card.name!r}: its assets are not the files of {hub.repo} at {hub.revision}."
        )


def shards(index: str | bytes) -> tuple[str, ...]:
    """The files that an INDEX divides weights into, in order. Raises CardError if it is none."""
    try:
        named = sorted(set(json.loads(index)["weight_map"].values()))
        fine = bool(named) and all(map(SHARD.fullmatch, named))
    except (ValueError, KeyError, TypeError, AttributeError):
        fine = False
    if not fine:
        raise CardError(
            f"This {INDEX} does not say which .safetensors beside it hold the weights. Choose another "
            f"repository, or another revision."
        )
    return tuple(named)


def address(repo: str, commit: str, path: str, place: str = HUB) -> str:
    """Where the hub (or the `place` that stands in for it) has a file."""
    return f"{place}/{repo}/resolve/{commit}/{quote(path)}"


def endpoint() -> str:
    """The hub, or what HF_ENDPOINT names instead of it (as the hub's own library understands it)."""
    said = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if said and not said.startswith(("http://", "https://")):
        raise CardError(f"HF_ENDPOINT={said!r} must be an http(s) URL; unset it to ask {HUB}.")
    return said or HUB


def to_toml(card: Card) -> str:
    """A hub card as the text of its file; `parse` makes the same card of it."""
    hub = card.hub
    keys = ("name", "title", "kind", "licence", "source_url", "citation", "description")
    lines = [f"{key} = {_quoted(getattr(card, key))}" for key in keys]
    lines += ["", "[hub]"]
    lines += [f"{key} = {_quoted(getattr(hub, key))}" for key in ("repo", "revision")]
    lines += [f"loads = {_quoted(hub.loads)}"] if hub.loads else []
    lines += [f"parameters = {hub.parameters}", f"files = {json.dumps(list(hub.files))}"]
    for asset in card.assets:
        (file,) = asset.files
        lines += ["", "[[assets]]", f"path = {_quoted(file.path)}", f"bytes = {file.bytes}"]
        lines += [f"sha256 = {_quoted(file.sha256)}", f"urls = {json.dumps(list(asset.urls))}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of its own, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
