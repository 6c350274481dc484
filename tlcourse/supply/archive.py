"""Taking the manifest's members out of an archive, and nothing else.

The archive is read once, up to the last member that is wanted; each is hashed while it is written
beside its place, and moved there only if the hash fits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from tlcourse.cards import File
from tlcourse.errors import IntegrityError, UnsafePathError
from tlcourse.supply.members import BROKEN, Member, tar_members, zip_members
from tlcourse.supply.show import brief

READERS = {"tar.gz": tar_members, "zip": zip_members}


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
    """Put `files` of an archive of that `kind` below `folder`. `tick` hears the bytes so far.

    Raises UnsafePathError for a member that wants to leave the folder, wanted or not, and for a
    wanted one that is no plain file; IntegrityError if the archive is broken, lacks a wanted
    member, or has other bytes in it. What was put there before the error is whole and right.
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
    """Why this archive would not give `files`; None if it does. Nothing is written."""
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
    """Make `parent` below `folder`, refusing a way that a link leads elsewhere."""
    parent.mkdir(parents=True, exist_ok=True)
    if not parent.resolve().is_relative_to(folder.resolve()):
        raise UnsafePathError(f"{parent} leads out of {folder} by a link; remove that link")


def _place(member: Member, file: File, target: Path, scratch: Path) -> None:
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with open(scratch, "wb") as sink:
        _copy(member, file, sink)
    os.replace(scratch, target)


def _copy(member: Member, file: File, sink: BinaryIO | None) -> None:
    """Read a member to its end, into `sink` if there is one. Raises IntegrityError if it is wrong."""
    if member.bytes != file.bytes:
        raise IntegrityError(f"{file.path}: expected {file.bytes:,} bytes, got {member.bytes:,}")
    digest, got = hashlib.sha256(), 0
    with member.open() as source:
        # The header's size is a claim as well: no more is read than the card promises.
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
