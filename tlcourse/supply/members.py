"""What is in an archive, member by member, without believing a word of it.

A path that could leave its folder refuses the whole archive, asked for or not; so does an archive
that unpacks to absurdly much. What a member's bytes are worth, only its hash tells (`archive`).
"""

from __future__ import annotations

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlcourse.cards.card import why_unsafe
from tlcourse.errors import IntegrityError, UnsafePathError

# Fuzzed archives raise more than the two libraries document.
BROKEN = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    OverflowError,
    IndexError,
    RuntimeError,
    struct.error,
)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound
RATIO = 100  # repositories of text shrink to a tenth; a bomb to a thousandth
HEADERS = 16 << 20  # bytes between two members' contents: a name may be long, not endless


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its path after stripping, whether it is a plain file, and how to read it."""

    path: str
    regular: bool
    bytes: int
    open: Callable[[], BinaryIO]


def tar_members(archive: Path, strip: int) -> Iterator[Member]:
    """The members of a tar.gz in their order; each must be read before the next is asked for."""
    with (
        gzip.open(archive, "rb") as stream,
        closing(_Bounded(stream, max(RATIO * archive.stat().st_size, HEADERS))) as bounded,
        tarfile.open(fileobj=bounded, mode="r|") as tar,
    ):
        for info in tar:
            bounded.allow(info.size + HEADERS)
            if path := _stripped(info.name, strip, folder=info.isdir()):
                regular = info.type in REGULAR
                yield Member(path, regular, info.size, lambda info=info: tar.extractfile(info))


def zip_members(archive: Path, strip: int) -> Iterator[Member]:
    """The members of a zip. All names are judged before the first member is given."""
    try:
        file = zipfile.ZipFile(archive)
    except OSError as error:  # what it says of itself sends the reader before its beginning
        raise zipfile.BadZipFile(error.strerror or "unreadable") from error
    with file:
        infos = file.infolist()
        # The name as it is written there: zipfile itself cuts it at a NUL.
        paths = [_stripped(info.orig_filename, strip, folder=info.is_dir()) for info in infos]
        for path, info in zip(paths, infos, strict=True):
            if path:
                yield Member(
                    path, _plain(info), info.file_size, lambda info=info: _opened(file, info)
                )


def _stripped(name: str, strip: int, *, folder: bool) -> str | None:
    """The path below the card's folder; None for what no card can want; UnsafePathError."""
    clean = name.removeprefix("./").rstrip("/")
    if folder and clean in ("", "."):
        return None
    if ".." in clean.split("/") or clean.startswith("/") or "\\" in clean or "\0" in clean:
        raise UnsafePathError(f"the archive's member {clean!r} wants to leave its folder")
    path = "/".join(clean.split("/")[strip:])
    # Names that only some systems dislike are no reason to refuse what nobody asked for.
    return None if not path or why_unsafe(path) else path


def _plain(info: zipfile.ZipInfo) -> bool:
    """Unix keeps the kind of file in the upper half; other systems leave it zero."""
    return not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)


def _opened(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    if info.flag_bits & 0x1:
        raise IntegrityError(f"{info.filename} is encrypted in the archive")
    if info.compress_type not in METHODS:
        raise IntegrityError(f"{info.filename} is packed by an uncommon method in the archive")
    try:
        return file.open(info)
    except OSError as error:
        raise zipfile.BadZipFile(error.strerror or "unreadable") from error


class _Bounded:
    """A stream that ends in an error when it has given more than it may.

    `most` bounds the whole, whatever the members claim; `allow` says how much until the next
    member, since tarfile reads a header's text into memory however long it says it is.
    """

    def __init__(self, stream: BinaryIO, most: int):
        self.stream, self.most = stream, most
        self.given, self.until = 0, HEADERS

    def allow(self, count: int) -> None:
        self.until = self.given + count

    def read(self, count: int) -> bytes:
        block = self.stream.read(count)
        self.given += len(block)
        if self.given > min(self.most, self.until):
            raise IntegrityError(f"it unpacks to more than {min(self.most, self.until):,} bytes")
        return block

    def close(self) -> None:
        """gzip closes itself."""
