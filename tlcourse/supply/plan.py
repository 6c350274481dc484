"""Deciding what to do, from what is wanted and what is there. Nothing here touches disk or network."""

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
    """A file as it was when its hash was last computed."""

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Check:
    """`good` need nothing; `doubtful` must be hashed; `bad` are missing or of the wrong size."""

    good: tuple[File, ...]
    doubtful: tuple[File, ...]
    bad: tuple[File, ...]


def check(files: Sequence[File], seen: Mapping[str, Seen], proofs: Mapping[str, Proof]) -> Check:
    """Sort a card's files by what a listing and the remembered proofs say.

    What has changed size or time since its proof is doubtful, so only that is read again. (A change
    that keeps both, done on purpose, goes unnoticed until the proofs are deleted.)
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
    """The assets to bring, each with the files that are wanted from it."""
    lacking = set(lacking)
    pairs = ((asset, tuple(f for f in asset.files if f in lacking)) for asset in card.assets)
    return tuple((asset, files) for asset, files in pairs if files)


@dataclass(frozen=True, slots=True)
class Source:
    """One place to ask: a path below a mirror folder, or a URL of a mirror or of the web."""

    kind: Literal["folder", "mirror", "web"]
    place: str


def sources(urls: Sequence[str], mirrors: Sequence[str], offline: bool) -> tuple[Source, ...]:
    """Every place that may have the file, mirrors first, then (unless offline) the web."""
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


@dataclass(frozen=True, slots=True)
class Partial:
    """A download that was begun: its length, whence, and what identifies that version there."""

    bytes: int
    url: str = ""
    validator: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """How to begin: nothing to ask if `done`, else from `offset`, guarded by If-Range."""

    offset: int = 0
    if_range: str = ""
    done: bool = False


def start(partial: Partial, url: str, expected: int | None) -> Start:
    """Where to begin, given what an earlier call left. `expected`: the card's bytes, if it has a hash.

    With a hash the prefix may come from anywhere: the hash will tell. Without one (an archive) it
    must be the same version at the same place.
    """
    same = partial.url == url and bool(partial.validator)
    if expected is not None:
        if partial.bytes == expected:
            return Start(expected, done=True)
        if partial.bytes > expected:
            return Start()
        return Start(partial.bytes, partial.validator if same and partial.bytes else "")
    if partial.done and partial.url == url:
        return Start(partial.bytes, done=True)
    return Start(partial.bytes, partial.validator) if same and partial.bytes else Start()


def space_needed(asset: Asset, files: Sequence[File], partial_bytes: int) -> int:
    """Bytes that fetching these files will still take on disk, as far as the card tells."""
    wanted = sum(file.bytes for file in files)
    return wanted if asset.archive else max(0, wanted - partial_bytes)
