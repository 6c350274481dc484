"""Deciding what to fetch and from where. Nothing here touches disk or network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from tlcourse.cards import Asset, Card, File


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as the file system lists it."""

    bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Proof:
    """A file when its hash was last computed."""

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Check:
    """Files: `good` ones need nothing, `doubtful` ones a hash; `bad` ones lack or have a wrong size."""

    good: tuple[File, ...]
    doubtful: tuple[File, ...]
    bad: tuple[File, ...]


def check(files: Sequence[File], seen: Mapping[str, Seen], proofs: Mapping[str, Proof]) -> Check:
    """Sort a card's files by a listing of the folder and the proofs.

    A file is doubtful if its size or time changed since its proof; only those are hashed again. (A
    deliberate change that keeps both goes unnoticed until the proofs are deleted.)
    """
    good, doubtful, bad = [], [], []
    for file in files:
        now = seen.get(file.path)
        if now is None or now.bytes != file.bytes:
            bad.append(file)
        elif proofs.get(file.path) == Proof(now.bytes, now.mtime_ns, file.sha256):
            good.append(file)
        else:
            doubtful.append(file)
    return Check(tuple(good), tuple(doubtful), tuple(bad))


def todo(card: Card, lacking: Collection[File]) -> tuple[tuple[Asset, tuple[File, ...]], ...]:
    """The assets to fetch, each with the files that are wanted from it."""
    lacking = set(lacking)
    pairs = ((asset, tuple(f for f in asset.files if f in lacking)) for asset in card.assets)
    return tuple((asset, files) for asset, files in pairs if files)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file may be: a path below a mirror folder, or a URL of a mirror or of the web."""

    kind: Literal["folder", "mirror", "web"]
    place: str


def sources(urls: Sequence[str], mirrors: Sequence[str], offline: bool) -> tuple[Source, ...]:
    """Every source that may have the file: mirrors first, then (unless offline) the web."""
    found = []
    for mirror in mirrors:
        for url in urls:
            parts = urlsplit(url)
            if mirror.lower().startswith(("http://", "https://")):
                place = f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}"
                found.append(Source("mirror", place))
            else:
                found.append(Source("folder", f"{mirror}/{parts.netloc}{unquote(parts.path)}"))
    if not offline:
        found += [Source("web", url) for url in urls]
    return tuple(found)


def space_needed(asset: Asset, files: Sequence[File], partial_bytes: int) -> int:
    """Bytes that fetching these files will still take on disk, as far as the card says."""
    wanted = sum(file.bytes for file in files)
    return wanted if asset.archive else max(0, wanted - partial_bytes)
