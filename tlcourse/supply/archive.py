"""Taking the manifest's members out of an archive, and nothing else.

Streaming: the archive is read once from its beginning, up to the last member that is wanted; each
is hashed while it is written beside its place, and moved there only if the hash fits.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tlcourse.cards import File
from tlcourse.cards.card import why_unsafe
from tlcourse.errors import IntegrityError, UnsafePathError

BROKEN = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


def unpack(
    archive: Path,
    files: Sequence[File],
    folder: Path,
    scratch: Path,
    *,
    strip: int,
    tick: Callable[[int], None],
) -> None:
    """Put `files` of a tar.gz below `folder`. `tick` hears the bytes written so far.

    Raises UnsafePathError for a member that wants to leave the folder, wanted or not, and for a
    wanted one that is no plain file; IntegrityError if the archive is broken, lacks a wanted
    member, or has other bytes in it. What was put there before the error is whole and right.
    """
    wanted = {file.path: file for file in files}
    made: set[Path] = set()
    written = 0
    try:
        for path, member, tar in _members(archive, strip):
            file = wanted.get(path)
            if file is None:
                continue
            if member.type not in REGULAR:
                raise UnsafePathError(f"{path} is a link or a device in the archive, not a file")
            target = folder / path
            if target.parent not in made:
                make_folder(target.parent, folder)
                made.add(target.parent)
            _place(tar, member, file, target, scratch)
            del wanted[path]
            written += file.bytes
            tick(written)
            if not wanted:
                return
    except BROKEN as error:
        raise IntegrityError(f"the archive is broken or cut short ({error})") from error
    first = next(iter(wanted))
    raise IntegrityError(f"it lacks {len(wanted):,} of {len(files):,} files, the first is {first}")


def make_folder(parent: Path, folder: Path) -> None:
    """Make `parent` below `folder`, refusing a way that a link leads elsewhere."""
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.resolve().is_relative_to(folder.resolve()):
        raise UnsafePathError(f"{parent} leads out of {folder} by a link; remove that link")


def _members(archive: Path, strip: int) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile]]:
    """Every member with its path after stripping. A path that could leave is refused at once."""
    with gzip.open(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            name = member.name.removeprefix("./").rstrip("/")
            if member.isdir() and name in ("", "."):
                continue
            if ".." in name.split("/") or name.startswith("/") or "\\" in name or "\0" in name:
                raise UnsafePathError(f"the archive's member {name!r} wants to leave its folder")
            path = "/".join(name.split("/")[strip:])
            # Names that only some systems dislike are no reason to refuse what nobody asked for.
            if path and not why_unsafe(path):
                yield path, member, tar


def _place(
    tar: tarfile.TarFile, member: tarfile.TarInfo, file: File, target: Path, scratch: Path
) -> None:
    if member.size != file.bytes:
        raise IntegrityError(f"{file.path}: expected {file.bytes:,} bytes, got {member.size:,}")
    source = tar.extractfile(member)
    digest = hashlib.sha256()
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with open(scratch, "wb") as sink:
        while block := source.read(1 << 20):
            digest.update(block)
            sink.write(block)
    if (got := digest.hexdigest()) != file.sha256:
        raise IntegrityError(f"{file.path}: expected sha256 {file.sha256}, got {got}")
    os.replace(scratch, target)
