"""Where fetched files are stored, and how they are verified.

HOME/files/NAME/…       whole files only, each moved here after its hash was checked
HOME/parts/NAME/…       unfinished downloads
HOME/proofs/NAME.json   size, time and hash of each file when it was last hashed
HOME/locks/NAME.lock    held by the one process that fetches NAME
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from tlcourse.cards import Card, File
from tlcourse.cards.card import Package
from tlcourse.errors import FetchError, NoSpaceError, SupplyError
from tlcourse.files import write_atomically
from tlcourse.supply.download.part import Part
from tlcourse.supply.plan import Proof, Seen, check
from tlcourse.supply.progress import Progress, Tell
from tlcourse.supply.readable import brief

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that may hold a card's files, and the file of proofs about it."""

    folder: Path
    proofs: Path


def place(card: Card, home: Path) -> Place:
    """Where a card's fetched files are, or would be."""
    return Place(home / "files" / card.name, home / "proofs" / f"{card.name}.json")


def package_place(card: Card, home: Path) -> Place | None:
    """Where an installed package has the card's files, else None. Imports nothing."""
    if card.package is None or (folder := package_folder(card.package)) is None:
        return None
    return Place(folder, home / "proofs" / f"{card.name}-package.json")


def package_folder(package: Package) -> Path | None:
    spec = find_spec(package.name)
    roots = spec.submodule_search_locations if spec else None
    return Path(next(iter(roots)), package.folder) if roots else None


def part_of(card: Card, number: int, home: Path) -> Part:
    """The unfinished download of asset `number` of the card."""
    return Part(home / "parts" / card.name / f"{number}.part")


@dataclass(frozen=True, slots=True)
class Bad:
    """A file that is missing or wrong, and what was found instead."""

    file: File
    found: str


def verify(files: Sequence[File], where: Place, tell: Tell) -> tuple[Bad, ...]:
    """What is missing or wrong in `where`. Hashes only files that changed since their proof."""
    proofs = _read_proofs(where)
    seen = _listing(files, where.folder)
    result = check(files, seen, proofs)
    bad = [Bad(file, _found(seen.get(file.path))) for file in result.bad]
    proved = {file.path: proofs[file.path] for file in result.good}
    total, done = sum(file.bytes for file in result.doubtful), 0
    for file in result.doubtful:
        try:
            digest = hash_file(where.folder / file.path)
            found = f"sha256 {brief(digest)}"
        except OSError as error:
            digest, found = "", f"a file that cannot be read ({error.strerror})"
        done += file.bytes
        tell(Progress("verify", file.path, done, total))
        if digest == file.sha256:
            now = seen[file.path]
            proved[file.path] = Proof(now.bytes, now.mtime_ns, digest)
        else:
            bad.append(Bad(file, found))
    if proved != proofs:
        _write_proofs(where, proved)
    return tuple(bad)


def hash_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _found(seen: Seen | None) -> str:
    return "no file" if seen is None else f"{seen.bytes:,} bytes"


def _listing(files: Sequence[File], folder: Path) -> dict[str, Seen]:
    seen = {}
    root = str(folder)
    for file in files:
        try:
            stat = os.stat(f"{root}/{file.path}")
        except OSError:
            continue
        seen[file.path] = Seen(stat.st_size, stat.st_mtime_ns)
    return seen


def _read_proofs(where: Place) -> dict[str, Proof]:
    """The proofs about this folder; an unreadable file counts as none."""
    try:
        note = json.loads(where.proofs.read_text("utf-8"))
        if note["folder"] != str(where.folder):
            return {}
        return {path: Proof(*row) for path, row in note["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _write_proofs(where: Place, proofs: dict[str, Proof]) -> None:
    """Keep the proofs; where that fails (a read-only home), the next load hashes the files again."""
    rows = {path: list(asdict(proof).values()) for path, proof in proofs.items()}
    with suppress(OSError):
        write_atomically(where.proofs, json.dumps({"folder": str(where.folder), "files": rows}))


@contextmanager
def locked(card: Card, home: Path, timeout_s: float, tell: Tell) -> Iterator[None]:
    """Hold the card's lock, after any other process that fetches the same card."""
    from filelock import FileLock, Timeout

    file = home / "locks" / f"{card.name}.lock"
    with disk_errors(home):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell(Progress("note", f"another process is fetching {card.name}; waiting for it"))
            try:
                lock.acquire(timeout=timeout_s)
            except Timeout:
                raise FetchError(
                    f"Another process has been fetching {card.name!r} for {timeout_s:,.0f} s. "
                    f"End it, or delete {file} if there is none."
                ) from None
    try:
        yield
    finally:
        lock.release()


def require_room(home: Path, needed: int, name: str) -> None:
    """Raises NoSpaceError if `needed` more bytes do not fit on the disk of `home`."""
    if needed > (free := free_bytes(home)):
        raise no_space(home, name, needed, free)


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk where `folder` is, or would be."""
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    return shutil.disk_usage(existing).free


def no_space(home: Path, name: str, needed: int | None, free: int) -> NoSpaceError:
    wants = f"{needed:,} bytes are needed, " if needed else ""
    return NoSpaceError(
        f"The disk is too full for {name!r}: {wants}{free:,} are free in {home}. Make room, or set "
        f"TLCOURSE_HOME to a folder on another disk. Nothing is lost: the next call resumes."
    )


@contextmanager
def disk_errors(home: Path, name: str = "") -> Iterator[None]:
    """Turn an OSError of the disk into a SupplyError that says what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or home
        if error.errno in FULL:
            raise no_space(home, name, None, shutil.disk_usage(home).free) from error
        if error.errno in FORBIDDEN:
            raise SupplyError(
                f"No permission to write {where}. Set TLCOURSE_HOME to a folder that you may write."
            ) from error
        raise SupplyError(
            f"Cannot write {where} ({error.strerror or error}). Remove what is in the way, or set "
            f"TLCOURSE_HOME to another folder."
        ) from error
