"""A card: what something is, its licence, where it is on the web, and what its bytes must be.

A hub card says which files of which revision of a Hugging Face repository are wanted. Without assets
it is *unpinned*: no hash is known, so nothing can be fetched. `tlcourse cards pin NAME` asks the hub
once and makes an ordinary card of it (`tlcourse.supply.hub`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tlcourse.errors import CardError
from tlcourse.schema import (
    LINE,
    SHA256,
    TEXT,
    Field,
    check,
    dict_of,
    is_text,
    list_of,
    matching,
    one_of,
    read_json,
    shown,
    whole,
)

KINDS = ("data", "model")
ARCHIVES = ("tar.gz", "zip")
HUB = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"[A-Za-z0-9][\w.-]*\.safetensors", re.ASCII)
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


def parse(table: Any, manifests: Mapping[str, tuple[File, ...]]) -> Card:
    """The card that a TOML table describes. Raises CardError that names the wrong field."""
    name = table.get("name", "?") if isinstance(table, dict) else "?"
    where = f"Card {shown(name)}"
    check(table, CARD, CardError, where, "assets", "package", "embedded", "hub", only=True)
    card = Card(
        **{key: table[key].strip() for key in TEXTS},
        assets=tuple(_asset(row, manifests, where) for row in table.get("assets", ())),
        package=_package(table["package"], where) if "package" in table else None,
        embedded=table.get("embedded"),
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
    if not is_text(path):
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
    where = f"The {INDEX} does not name the .safetensors files that hold the weights"
    told = read_json(index, CardError, where)
    check(
        told,
        {"weight_map": dict_of(matching(SHARD, "the name of a .safetensors file"))},
        CardError,
        where,
    )
    if named := sorted(set(told["weight_map"].values())):
        return tuple(named)
    raise CardError(f"{where}. Choose another repository or revision.")


def address(repo: str, commit: str, path: str, place: str = HUB) -> str:
    """The URL of a file on the hub, or on the server `place` in its stead."""
    return f"{place}/{repo}/resolve/{commit}/{quote(path)}"


def endpoint() -> str:
    """The hub's URL, or HF_ENDPOINT, as for huggingface_hub."""
    url = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise CardError(f"HF_ENDPOINT={url!r} must be an http(s) URL; unset it to ask {HUB}.")
    return url or HUB


def _asset(row: Any, manifests: Mapping[str, tuple[File, ...]], card: str) -> Asset:
    where = f"{card}, asset"
    if "archive" not in row:
        check(row, FILE, CardError, where, "urls", only=True)
        file = File(row["path"], row["bytes"], row["sha256"])
        _check_file(file, card)
        return Asset(tuple(row.get("urls", ())), (file,))
    check(row, ARCHIVE, CardError, where, "strip", only=True)
    if row["manifest"] not in manifests:
        raise CardError(f"{where}: there is no manifest {row['manifest']!r} beside it.")
    files = manifests[row["manifest"]]
    for file in files:
        _check_file(file, card)
    return Asset(
        tuple(row["urls"]), files, row["archive"], row.get("strip", 0), row["at_most_bytes"]
    )


def _package(row: Any, card: str) -> Package:
    check(row, {"name": LINE, "folder": LINE}, CardError, f"{card}, package", only=True)
    if reason := why_unsafe(row["folder"]):
        raise CardError(f"{card}: package folder {row['folder']!r} is refused: {reason}.")
    return Package(row["name"], row["folder"])


def _hub(row: Any, name: str) -> Hub:
    """The [hub] table of a card. Raises CardError that names the wrong field."""
    where = f"Card {name!r}, hub"
    check(row, HUB_TABLE, CardError, where, "loads", only=True)
    hub = Hub(**row | {"files": tuple(row["files"])})
    own = {hub.repo} if hub.repo.startswith("timm/") else {f"hf/{name}"}
    if hub.loads and hub.loads not in own | {f"hf/{hub.repo}"}:
        raise CardError(
            f"{where}: loads={hub.loads!r} must name its own repository {hub.repo} (timm/… as it is, "
            f"another as hf/{name} or hf/{hub.repo}), or be left out."
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


def _check_file(file: File, card: str) -> None:
    where = f"{card}, file {file.path!r}"
    if reason := why_unsafe(file.path):
        raise CardError(f"{where} is refused: {reason}.")
    values = {"bytes": file.bytes, "sha256": file.sha256}
    check(values, {key: FILE[key] for key in values}, CardError, where)


def _is_url(url: Any) -> bool:
    try:
        parts = urlsplit(url if LINE.fits(url) else "")
    except ValueError:
        return False
    # In a mirror folder, this is the file HOST/PATH. (GitHub's names may end in a dot.)
    way = set(unquote(parts.path).split("/")).isdisjoint({"..", "."}) and "\\" not in parts.path
    return (
        parts.scheme == "https"
        and bool(parts.hostname)
        and way
        and not parts.query + parts.fragment
    )


URL = Field("a plain https://HOST/PATH without '..', '.' or backslash", _is_url)
TEXTS = {
    "name": matching(NAME, "lower-case letters, digits and hyphens"),
    "title": LINE, "kind": one_of(KINDS), "licence": LINE, "source_url": URL, "citation": LINE,
    "description": Field(f"{TEXT.says} that is not empty", lambda v: TEXT.fits(v) and bool(v.strip())),
}  # fmt: skip
TABLE = Field("a table", lambda v: isinstance(v, dict))
CARD = TEXTS | {"assets": list_of(TABLE), "package": TABLE, "embedded": LINE, "hub": TABLE}
FILE = {"path": LINE, "bytes": whole(1), "sha256": SHA256, "urls": list_of(URL)}
ARCHIVE = {
    "archive": one_of(ARCHIVES), "manifest": LINE, "strip": whole(0, 9), "at_most_bytes": whole(1),
    "urls": Field(f"{list_of(URL).says}, not empty", lambda v: list_of(URL).fits(v) and bool(v)),
}  # fmt: skip
HUB_FILE = Field(
    "a file of a repository",
    lambda v: LINE.fits(v) and v.endswith(HUB_FILES) and why_unsafe(v) is None,
)
HUB_TABLE = {
    "repo": matching(REPO, "OWNER/NAME"),
    "revision": Field(
        "a commit, a tag or a branch",
        lambda v: matching(r"[\w./+-]{1,200}", "").fits(v) and ".." not in v and v.isascii(),
    ),
    "files": Field(
        f"a list of one or more names, each once and ending in {', '.join(HUB_FILES)}",
        lambda v: bool(v) and list_of(HUB_FILE).fits(v) and len(set(v)) == len(v),
    ),
    "parameters": whole(1),
    "loads": matching(r"((timm|hf)/\S+)?", "a name that begins with timm/ or hf/"),
}  # fmt: skip
