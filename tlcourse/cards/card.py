"""A card: what something is, whose it is, where it lies, and what its bytes must be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import unquote, urlsplit

from tlcourse.cards.hubcard import Hub, check_pinned, parse_hub
from tlcourse.errors import CardError

KINDS = ("data", "model")
ARCHIVES = ("tar.gz", "zip")


@dataclass(frozen=True, slots=True)
class File:
    """One file as it must lie on disk; `path` is relative to the card's folder, with slashes."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Asset:
    """One thing to bring: a single file, or an archive of which `files` are the members used."""

    urls: tuple[str, ...]
    files: tuple[File, ...]
    archive: str | None = None
    strip: int = 0
    at_most_bytes: int = 0

    @property
    def title(self) -> str:
        """What a message calls it."""
        return self.files[0].path if self.archive is None else "the archive"


@dataclass(frozen=True, slots=True)
class Package:
    """An installed Python package (its import name) that has the files in `folder`."""

    name: str
    folder: str


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
        """Whether every byte is known by its hash; only a hub card can lack that."""
        return self.hub is None or bool(self.assets)

    @property
    def files(self) -> tuple[File, ...]:
        """Every file that the card's folder holds when it is complete."""
        return tuple(file for asset in self.assets for file in asset.files)

    @property
    def bytes(self) -> int:
        """Size of those files on disk; an archive's download may be larger or smaller."""
        return sum(file.bytes for file in self.files)


def parse(table: Mapping[str, Any], manifests: Mapping[str, tuple[File, ...]]) -> Card:
    """The card that a TOML table describes. Raises CardError naming the field that is wrong."""
    name = str(table.get("name", "?"))
    _only(table, {field.name for field in fields(Card)}, f"Card {name!r}")
    text = {
        key: _text(table, key, name)
        for key in ("name", "title", "kind", "licence", "source_url", "citation", "description")
    }
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise CardError(f"Card {name!r}: a name has lower-case letters, digits and hyphens only.")
    if text["kind"] not in KINDS:
        raise CardError(f"Card {name!r}: kind {text['kind']!r} is none of {', '.join(KINDS)}.")
    _check_url(text["source_url"], name)
    assets = tuple(_asset(row, manifests, name) for row in table.get("assets", ()))
    card = Card(
        **text,
        assets=assets,
        package=_package(table["package"], name) if "package" in table else None,
        embedded=_text(table, "embedded", name) if "embedded" in table else None,
        hub=parse_hub(table["hub"], name) if "hub" in table else None,
    )
    _check_whole(card)
    return card


def why_unsafe(path: str) -> str | None:
    """Why `path` must not be written below a folder (or None): it could leave it, on some system.

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
        raise CardError(f"{where}: archive {row['archive']!r} is none of {', '.join(ARCHIVES)}.")
    if row.get("manifest") not in manifests:
        raise CardError(f"{where}: its manifest {row.get('manifest')!r} does not lie beside it.")
    if not urls or row.get("at_most_bytes", 0) <= 0 or row.get("strip", 0) < 0:
        raise CardError(f"{where}: an archive needs urls, at_most_bytes > 0 and strip ≥ 0.")
    files = manifests[row["manifest"]]
    for file in files:
        _check_file(file, name)
    return Asset(urls, files, row["archive"], row.get("strip", 0), row["at_most_bytes"])


def _package(row: Mapping[str, Any], name: str) -> Package:
    _only(row, {"name", "folder"}, f"Card {name!r}, package")
    package = Package(_text(row, "name", name), _text(row, "folder", name))
    if reason := why_unsafe(package.folder):
        raise CardError(f"Card {name!r}: package folder {package.folder!r} is refused: {reason}.")
    return package


def _check_whole(card: Card) -> None:
    if card.hub and (card.package or card.embedded or card.kind != "model"):
        raise CardError(f"Card {card.name!r}: what comes from a hub is a model, and not embedded.")
    if card.hub and not card.assets:
        return  # unpinned: it can be read about, but `cards.get` does not give it out
    if not card.assets and not (card.embedded and card.package):  # drawn by that package's code
        raise CardError(f"Card {card.name!r} has no assets.")
    fetchable = [bool(asset.urls) for asset in card.assets]
    if card.embedded and (any(fetchable) or card.package is None):
        raise CardError(f"Card {card.name!r}: an embedded card has a [package] and no urls.")
    if not card.embedded and not all(fetchable):
        raise CardError(f"Card {card.name!r}: every asset needs urls, or the card `embedded`.")
    # Macs and Windows know no difference between A.jpg and a.jpg.
    seen: dict[str, str] = {}
    for file in card.files:
        if other := seen.get(file.path.lower()):
            raise CardError(f"Card {card.name!r} has both {other!r} and {file.path!r}.")
        seen[file.path.lower()] = file.path
    if card.hub:
        check_pinned(card)


def _check_file(file: File, name: str) -> None:
    where = f"Card {name!r}, file {file.path!r}"
    if reason := why_unsafe(file.path):
        raise CardError(f"{where} is refused: {reason}.")
    if not isinstance(file.bytes, int) or file.bytes <= 0:
        raise CardError(f"{where}: bytes={file.bytes!r} must be a whole number > 0.")
    if not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
        raise CardError(f"{where}: sha256={file.sha256!r} must be 64 hex digits in lower case.")


def _check_url(url: str, name: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise CardError(f"Card {name!r}: {url!r} must be a plain https://HOST/PATH.")
    # In a mirror that is a folder, the file lies at HOST/PATH. (GitHub's names may end in a dot.)
    if not set(unquote(parts.path).split("/")).isdisjoint({"..", "."}) or "\\" in parts.path:
        raise CardError(f"Card {name!r}: the path of {url!r} must have no '..', '.' or backslash.")


def _text(table: Mapping[str, Any], key: str, name: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise CardError(f"Card {name!r} lacks its {key}.")
    return value.strip()


def _only(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if strange := sorted(set(table) - known):
        raise CardError(
            f"{where}: unknown {', '.join(strange)}. There are: {', '.join(sorted(known))}."
        )
