"""Reading archives without trusting them, and taking out only the manifest's members.

A path that could leave its folder refuses the whole archive, wanted or not; so does an archive that
unpacks to far more than its size. An archive is read once, up to the last wanted member. Each member
is hashed while it is written to a scratch file, and moved to its place only if the hash fits.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlcourse.cards import File
from tlcourse.cards.card import why_unsafe
from tlcourse.errors import IntegrityError, UnsafePathError
from tlcourse.supply.readable import brief

# More than the two libraries document: found by fuzzing.
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
METHODS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # the others cannot be bounded while they unpack
RATIO = 100  # text compresses to a tenth of its size, a bomb to a thousandth
HEADERS = 16 << 20  # bytes between two members' contents: names may be long, but not endless


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its path after stripping, whether it is a plain file, and how to read it."""

    path: str
    regular: bool
    bytes: int
    open: Callable[[], BinaryIO]


def unpack(
    archive: Path,
    kind: str,
    files: Sequence[File],
    folder: Path,
    scratch: Path,
    *,
    strip: int,
    tick: Callable[[int], None],
) -> None:
    """Extract `files` from an archive into `folder`. `tick` is called with the bytes written so far.

    kind: "tar.gz" or "zip". strip: leading folders to drop from members' names. scratch: a path on
    the same disk. Raises UnsafePathError for any member whose path leads out of the folder, and
    for a wanted one that is not a plain file; IntegrityError if the archive is broken, lacks a wanted
    member, or has other bytes in it. Files extracted before the error are whole and right.
    """
    wanted = {file.path: file for file in files}
    made: set[Path] = set()
    written = 0
    try:
        for member in READERS[kind](archive, strip):
            file = wanted.get(member.path)
            if file is None:
                continue
            if not member.regular:
                raise UnsafePathError(
                    f"{member.path} is a link or a device in the archive, not a file"
                )
            target = folder / member.path
            if target.parent not in made:
                make_folder(target.parent, folder)
                made.add(target.parent)
            _place(member, file, target, scratch)
            del wanted[member.path]
            written += file.bytes
            tick(written)
            if not wanted:
                return
    except BROKEN as error:
        raise IntegrityError(f"the archive is broken or cut short ({error})") from error
    first = next(iter(wanted))
    raise IntegrityError(f"it lacks {len(wanted):,} of {len(files):,} files, the first is {first}")


def why_wrong(archive: Path, kind: str, files: Sequence[File], *, strip: int) -> str | None:
    """Why `files` cannot be extracted from this archive; None if they can. Writes nothing."""
    wanted = {file.path: file for file in files}
    try:
        for member in READERS[kind](archive, strip):
            if (file := wanted.pop(member.path, None)) is None:
                continue
            if not member.regular:
                return f"{member.path} is a link or a device in the archive, not a file"
            _copy(member, file, None)
            if not wanted:
                return None
    except BROKEN as error:
        return f"the archive is broken or cut short ({error})"
    except (IntegrityError, UnsafePathError) as error:
        return str(error)
    return f"it lacks {len(wanted):,} of {len(files):,} files, the first is {next(iter(wanted))}"


def make_folder(parent: Path, folder: Path) -> None:
    """Make the folder `parent` below `folder`. Raises UnsafePathError if a link leads out of it."""
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.resolve().is_relative_to(folder.resolve()):
        raise UnsafePathError(f"{parent} leads out of {folder} by a link; remove that link")


def _place(member: Member, file: File, target: Path, scratch: Path) -> None:
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with open(scratch, "wb") as sink:
        _copy(member, file, sink)
    os.replace(scratch, target)


def _copy(member: Member, file: File, sink: BinaryIO | None) -> None:
    """Read a member to its end, into `sink` if given. Raises IntegrityError if it is wrong."""
    if member.bytes != file.bytes:
        raise IntegrityError(f"{file.path}: expected {file.bytes:,} bytes, got {member.bytes:,}")
    digest, got = hashlib.sha256(), 0
    with member.open() as source:
        # The header's size may be wrong as well: never read more than the card promises.
        while block := source.read(min(1 << 20, file.bytes - got + 1)):
            got += len(block)
            if got > file.bytes:
                raise IntegrityError(f"{file.path}: expected {file.bytes:,} bytes, got more")
            digest.update(block)
            if sink:
                sink.write(block)
    if (found := digest.hexdigest()) != file.sha256:
        raise IntegrityError(
            f"{file.path}: expected sha256 {brief(file.sha256)}, got {brief(found)}"
        )


def tar_members(archive: Path, strip: int) -> Iterator[Member]:
    """The members of a tar.gz in order; each must be read before the next is requested."""
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
    """The members of a zip. All names are checked before the first member is yielded."""
    try:
        file = zipfile.ZipFile(archive)
    except OSError as error:  # its directory points before the start of the file
        raise zipfile.BadZipFile(error.strerror or "unreadable") from error
    with file:
        infos = file.infolist()
        # The name as it is stored: `filename` is cut at a NUL.
        paths = [_stripped(info.orig_filename, strip, folder=info.is_dir()) for info in infos]
        for path, info in zip(paths, infos, strict=True):
            if path:
                yield Member(
                    path, _plain(info), info.file_size, lambda info=info: _opened(file, info)
                )


def _stripped(name: str, strip: int, *, folder: bool) -> str | None:
    """The path below the card's folder, or None if no card can want it. Raises UnsafePathError."""
    clean = name.removeprefix("./").rstrip("/")
    if folder and clean in ("", "."):
        return None
    if ".." in clean.split("/") or clean.startswith("/") or "\\" in clean or "\0" in clean:
        raise UnsafePathError(f"the archive's member {clean!r} leads out of its folder")
    path = "/".join(clean.split("/")[strip:])
    # A name that only some systems forbid is skipped: nobody asked for that member.
    return None if not path or why_unsafe(path) else path


def _plain(info: zipfile.ZipInfo) -> bool:
    """Whether it is a plain file: Unix stores the type in the upper 16 bits, other systems zero."""
    return not info.is_dir() and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)


def _opened(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    if info.flag_bits & 0x1:
        raise IntegrityError(f"{info.filename} is encrypted in the archive")
    if info.compress_type not in METHODS:
        raise IntegrityError(
            f"{info.filename} is compressed by an unsupported method in the archive"
        )
    try:
        return file.open(info)
    except OSError as error:
        raise zipfile.BadZipFile(error.strerror or "unreadable") from error


class _Bounded:
    """A stream that raises IntegrityError when more is read than allowed.

    most: bytes of the whole, whatever the members claim. `allow` sets how many may come before the
    next member, since tarfile reads a long header into memory whatever its length.
    """

    def __init__(self, stream: BinaryIO, most: int):
        self.stream, self.most = stream, most
        self.read_bytes, self.until = 0, HEADERS

    def allow(self, count: int) -> None:
        self.until = self.read_bytes + count

    def read(self, count: int) -> bytes:
        block = self.stream.read(count)
        self.read_bytes += len(block)
        if self.read_bytes > min(self.most, self.until):
            raise IntegrityError(f"it unpacks to more than {min(self.most, self.until):,} bytes")
        return block

    def close(self) -> None:
        """gzip closes itself."""


READERS = {"tar.gz": tar_members, "zip": zip_members}
