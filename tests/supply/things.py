"""Small real things to fetch: bodies, cards, archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tlcourse.cards import Asset, Card, File


def noise(count: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(count)


def file_of(path: str, body: bytes) -> File:
    return File(path, len(body), hashlib.sha256(body).hexdigest())


def card_of(*assets: Asset, name: str = "thing") -> Card:
    text = dict(title="A thing", kind="data", licence="MIT", source_url="", citation="")
    return Card(name=name, assets=assets, description="", **text)


def one(url: str, body: bytes, path: str = "thing.bin") -> Card:
    """A card of a single file."""
    return card_of(Asset((url,), (file_of(path, body),)))


def tarball(members: Mapping[str, bytes] | Iterable[tuple[tarfile.TarInfo | str, bytes]]) -> bytes:
    """A tar.gz of these members; a TarInfo stands for itself."""
    pairs = members.items() if isinstance(members, Mapping) else members
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member, body in pairs:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return gzip.compress(raw.getvalue(), mtime=0)


def zipball(members: Mapping[str, bytes] | Iterable[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    """A zip of these members; a ZipInfo stands for itself."""
    pairs = members.items() if isinstance(members, Mapping) else members
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two members of one name, on purpose
        for member, body in pairs:
            file.writestr(member, body)
    return raw.getvalue()


def packed(
    urls: tuple[str, ...], files: Mapping[str, bytes], limit: int = 10**7, kind: str = "tar.gz"
) -> Card:
    """A card of an archive whose members lie below one leading folder."""
    rows = tuple(file_of(path, body) for path, body in files.items())
    return card_of(Asset(urls, rows, archive=kind, strip=1, at_most_bytes=limit))


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


PHOTOS = {"photos/a.jpg": noise(50_000, 1), "photos/b.jpg": noise(70_000, 2)}


def archive(files: Mapping[str, bytes]) -> bytes:
    """As GitHub packs a repository: everything below one folder."""
    return tarball({f"repo-123/{path}": body for path, body in files.items()})
