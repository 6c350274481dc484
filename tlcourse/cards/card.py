"""A card: what something is, its licence, where it is on the web, and what its bytes must be.

A hub card says which files of which revision of a Hugging Face repository are wanted. Without assets
it is *unpinned*: no hash is known, so nothing can be fetched. `tlcourse cards pin NAME` asks the hub
once and makes an ordinary card of it (`tlcourse.supply.hub`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tlcourse.errors import CardError

KINDS = ("data", "model")
ARCHIVES = ("tar.gz", "zip")
HUB = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"[A-Za-z0-9][\w.-]*\.safetensors")
# Files that a card may want: tensors and text. (A .bin is a pickle: only a card that names it gets
# it, `load_model` never reads it, and transformers opens it with weights_only.)
HUB_FILES = (".safetensors", ".json", ".txt", ".model", ".bin")


@dataclass(frozen=True, slots=True)
class File:
    """A file as it must be on disk. path: relative to the card's folder, with slashes."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Asset:
    """One download: a single file, or an archive of which `files` are the members used."""

    urls: tuple[str, ...]
    files: tuple[File, ...]
    archive: str | None = None
    strip: int = 0
    at_most_bytes: int = 0

    @property
    def title(self) -> str:
        """Its name in messages."""
        return self.files[0].path if self.archive is None else "the archive"


@dataclass(frozen=True, slots=True)
class Package:
    """An installed Python package (by import name) that has the files in its `folder`."""

    name: str
    folder: str


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of the Hugging Face hub at one revision: a commit, once it is pinned.

    parameters: numbers in the weights, 4 bytes each in memory. loads: its name for `load_model`, ""
    if it is neither an image model nor a text encoder.
    """

    repo: str
    revision: str
    files: tuple[str, ...]
    parameters: int
    loads: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    title: str
    kind: str
    licence: str
    source_url: str
    citation: str
    description: str
    assets: tuple[Asset, ...]
    package: Package | None = None
    embedded: str | None = None
    hub: Hub | None = None

    @property
    def pinned(self) -> bool:
        """Whether every file's hash is known; only a hub card can lack one."""
        return self.hub is None or bool(self.assets)

    @property
    def files(self) -> tuple[File, ...]:
        """Every file of the card's folder when it is complete."""
        return tuple(file for asset in self.assets for file in asset.files)

    @property
    def bytes(self) -> int:
        """Size of those files on disk. The download of an archive may be larger or smaller."""
        return sum(file.bytes for file in self.files)


def parse(table: Mapping[str, Any], manifests: Mapping[str, tuple[File, ...]]) -> Card:
    """The card that a TOML table describes. Raises CardError that names the wrong field."""
    try:
        return _parse(table, manifests)
    except (TypeError, AttributeError, ValueError) as error:
        raise CardError(
            f"Card {table.get('name')!r} has a field of the wrong type ({error})."
        ) from error


def _parse(table: Mapping[str, Any], manifests: Mapping[str, tuple[File, ...]]) -> Card:
    name = str(table.get("name", "?"))
    _only(table, {field.name for field in fields(Card)}, f"Card {name!r}")
    text = {
        key: _text(table, key, name)
        for key in ("name", "title", "kind", "licence", "source_url", "citation", "description")
    }
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise CardError(f"Card {name!r}: a name has lower-case letters, digits and hyphens only.")
    if text["kind"] not in KINDS:
        raise CardError(f"Card {name!r}: kind {text['kind']!r} is not one of {', '.join(KINDS)}.")
    _check_url(text["source_url"], name)
    assets = tuple(_asset(row, manifests, name) for row in table.get("assets", ()))
    card = Card(
        **text,
        assets=assets,
        package=_package(table["package"], name) if "package" in table else None,
        embedded=_text(table, "embedded", name) if "embedded" in table else None,
        hub=_hub(table["hub"], name) if "hub" in table else None,
    )
    _check_whole(card)
    return card


def why_unsafe(path: str) -> str | None:
    """Why `path` is unsafe below a folder, on any system; None if it is safe.

    >>> why_unsafe("a/b.jpg") is None
    True
    >>> why_unsafe("../b.jpg")
    "it has a '..'"
    """
    parts = path.split("/")
    if not path:
        return "it is empty"
    if path.startswith("/"):
        return "it is absolute"
    if "\\" in path or ":" in path:
        return "it has a backslash or a colon"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "it has a control character"
    if ".." in parts:
        return "it has a '..'"
    if "" in parts or "." in parts:
        return "it has an empty part or a '.'"
    if any(part[-1] in ". " for part in parts):
        return "a part ends in a dot or a space"
    return None


def shards(index: str | bytes) -> tuple[str, ...]:
    """The files that an INDEX names as the weights, in order. Raises CardError if it is invalid."""
    try:
        named = sorted(set(json.loads(index)["weight_map"].values()))
        fine = bool(named) and all(map(SHARD.fullmatch, named))
    except (ValueError, KeyError, TypeError, AttributeError):
        fine = False
    if not fine:
        raise CardError(
            f"This {INDEX} does not name the .safetensors files that hold the weights. Choose another "
            f"repository or revision."
        )
    return tuple(named)


def address(repo: str, commit: str, path: str, place: str = HUB) -> str:
    """The URL of a file on the hub, or on the server `place` in its stead."""
    return f"{place}/{repo}/resolve/{commit}/{quote(path)}"


def endpoint() -> str:
    """The hub's URL, or HF_ENDPOINT, as for huggingface_hub."""
    url = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise CardError(f"HF_ENDPOINT={url!r} must be an http(s) URL; unset it to ask {HUB}.")
    return url or HUB


def _asset(row: Mapping[str, Any], manifests: Mapping[str, tuple[File, ...]], name: str) -> Asset:
    where = f"Card {name!r}, asset"
    urls = tuple(row.get("urls", ()))
    for url in urls:
        _check_url(url, name)
    if "archive" not in row:
        _only(row, {"path", "bytes", "sha256", "urls"}, where)
        file = File(row.get("path", ""), row.get("bytes", 0), row.get("sha256", ""))
        _check_file(file, name)
        return Asset(urls, (file,))
    _only(row, {"archive", "urls", "manifest", "strip", "at_most_bytes"}, where)
    if row["archive"] not in ARCHIVES:
        raise CardError(f"{where}: archive {row['archive']!r} is not one of {', '.join(ARCHIVES)}.")
    if row.get("manifest") not in manifests:
        raise CardError(f"{where}: there is no manifest {row.get('manifest')!r} beside it.")
    strip, most = row.get("strip", 0), row.get("at_most_bytes", 0)
    if not urls or type(strip) is not int or strip < 0 or type(most) is not int or most <= 0:
        raise CardError(f"{where}: an archive needs urls, at_most_bytes > 0 and strip ≥ 0.")
    files = manifests[row["manifest"]]
    for file in files:
        _check_file(file, name)
    return Asset(urls, files, row["archive"], strip, most)


def _package(row: Mapping[str, Any], name: str) -> Package:
    _only(row, {"name", "folder"}, f"Card {name!r}, package")
    package = Package(_text(row, "name", name), _text(row, "folder", name))
    if reason := why_unsafe(package.folder):
        raise CardError(f"Card {name!r}: package folder {package.folder!r} is refused: {reason}.")
    return package


def _hub(row: Mapping[str, Any], name: str) -> Hub:
    """The [hub] table of a card. Raises CardError that names the wrong field."""
    where = f"Card {name!r}, hub"
    _only(row, {field.name for field in fields(Hub)}, where)
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
    if not hub.files or any(not file.endswith(HUB_FILES) for file in hub.files):
        raise CardError(f"{where}: files must name one or more, each {', '.join(HUB_FILES)}.")
    if type(hub.parameters) is not int or hub.parameters <= 0:
        raise CardError(f"{where}: parameters={hub.parameters!r} must be a whole number > 0.")
    if hub.loads and not re.fullmatch(r"(timm|hf)/\S+", hub.loads):
        raise CardError(
            f"{where}: loads={hub.loads!r} must begin with timm/ or hf/, or be left out."
        )
    return hub


def _check_pinned(card: Card) -> None:
    """Raises CardError unless a pinned card's files are those of its repository at its commit."""
    hub = card.hub
    if not COMMIT.fullmatch(hub.revision):
        raise CardError(
            f"Card {card.name!r} has hashes, but its revision {hub.revision!r} is not a commit: pin it"
            f" again."
        )
    wanted = {path: (address(hub.repo, hub.revision, path),) for path in hub.files}
    if {asset.files[0].path: asset.urls for asset in card.assets} != wanted:
        raise CardError(
            f"Card {card.name!r}: its assets are not the files of {hub.repo} at {hub.revision}."
        )


def _check_whole(card: Card) -> None:
    if card.hub and (card.package or card.embedded or card.kind != "model"):
        raise CardError(f"Card {card.name!r}: a hub card must be a model, and not embedded.")
    if card.hub and not card.assets:
        return  # unpinned: `cards.get` refuses it
    if not card.assets and not (card.embedded and card.package):  # rendered by that package's code
        raise CardError(f"Card {card.name!r} has no assets.")
    fetchable = [bool(asset.urls) for asset in card.assets]
    if card.embedded and (any(fetchable) or card.package is None):
        raise CardError(f"Card {card.name!r}: an embedded card has a [package] and no urls.")
    if not card.embedded and not all(fetchable):
        raise CardError(f"Card {card.name!r}: every asset needs urls, or the card `embedded`.")
    # On macOS and Windows, A.jpg and a.jpg are the same file.
    seen: dict[str, str] = {}
    for file in card.files:
        if other := seen.get(file.path.lower()):
            raise CardError(f"Card {card.name!r} has both {other!r} and {file.path!r}.")
        seen[file.path.lower()] = file.path
    if card.hub:
        _check_pinned(card)


def _check_file(file: File, name: str) -> None:
    where = f"Card {name!r}, file {file.path!r}"
    if reason := why_unsafe(file.path):
        raise CardError(f"{where} is refused: {reason}.")
    if type(file.bytes) is not int or file.bytes <= 0:
        raise CardError(f"{where}: bytes={file.bytes!r} must be a whole number > 0.")
    if not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
        raise CardError(f"{where}: sha256={file.sha256!r} must be 64 hex digits in lower case.")


def _check_url(url: str, name: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise CardError(f"Card {name!r}: {url!r} must be a plain https://HOST/PATH.")
    # In a mirror folder, this is the file HOST/PATH. (GitHub's names may end in a dot.)
    if not set(unquote(parts.path).split("/")).isdisjoint({"..", "."}) or "\\" in parts.path:
        raise CardError(f"Card {name!r}: the path of {url!r} must have no '..', '.' or backslash.")


def _text(table: Mapping[str, Any], key: str, name: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise CardError(f"Card {name!r} lacks its {key}.")
    return value.strip()


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(table) - known):
        raise CardError(
            f"{where}: unknown {', '.join(unknown)}. There are: {', '.join(sorted(known))}."
        )
