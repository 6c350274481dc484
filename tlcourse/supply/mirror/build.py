"""Copying cards into a mirror, from the store in which their files were verified."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlcourse import cards
from tlcourse.cards import Asset, Card, File
from tlcourse.errors import CardError, IntegrityError, SupplyError
from tlcourse.files import replacing
from tlcourse.supply import plan
from tlcourse.supply.archive import make_folder, why_wrong
from tlcourse.supply.mirror.index import NAME, Row, read_index
from tlcourse.supply.readable import brief
from tlcourse.supply.store import disk_errors, hash_file, require_room

LEAD = "subset"  # in place of the leading folders that a card strips


@dataclass(frozen=True, slots=True)
class Job:
    """One file of the mirror: its path, and the cards' assets that it serves."""

    path: str
    assets: tuple[tuple[Card, Asset], ...]

    @property
    def archive(self) -> str | None:
        return self.assets[0][1].archive


def check_folder(folder: Path) -> None:
    """Raises SupplyError if the folder holds anything but a mirror."""
    if folder.exists() and not folder.is_dir():
        raise SupplyError(f"{folder} is a file. Name a folder for the mirror.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NAME).is_file():
        raise SupplyError(
            f"{folder} holds something else (no {NAME} in it). Name an empty or a new folder."
        )


def plan_jobs(chosen: Sequence[Card]) -> tuple[Job, ...]:
    """The files of a mirror of these cards. Cards may share an archive, which is one file."""
    shared: dict[str, list[tuple[Card, Asset]]] = {}
    for card in chosen:
        for asset in card.assets:
            # The last URL is the card's own; HF_ENDPOINT may have put one before it.
            (source,) = plan.sources(asset.urls[-1:], [""], offline=True)
            shared.setdefault(source.place.lstrip("/"), []).append((card, asset))
    return tuple(Job(path, tuple(pairs)) for path, pairs in shared.items())


def put(
    folder: Path, chosen: Sequence[Card], folders: Mapping[str, Path], tell: Callable[[str], None]
) -> list[Row]:
    """Copy the cards' files into the mirror. Returns their rows of the index.

    folders: where each card's files are. Files that are present and right are left alone. Raises a
    SupplyError if a source file has changed or the disk is full; files copied before are whole,
    and another call resumes.
    """
    rows: list[Row] = []
    with disk_errors(folder, "the mirror"):
        for job in plan_jobs(chosen):
            target = folder / job.path
            if why := why_not(job, target):
                needed = sum(asset_bytes(asset) for _, asset in job.assets)
                require_room(folder, needed, job.path)
                make_folder(target.parent, folder)
                with replacing(target, sync=True, sole_writer=True) as sink:
                    _write(job, folders, sink)
                if why := why_not(job, target):
                    raise IntegrityError(
                        f"{target} was written, but reads back wrong: {why}. Check that disk."
                    )
                names = dict.fromkeys(card.name for card, _ in job.assets)
                tell(f"{', '.join(names)} · {job.path.split('/')[-1]}")
            digest, size = hash_file(target), target.stat().st_size
            rows += [Row(card.name, job.path, size, digest) for card, _ in job.assets]
    return rows


def asset_bytes(asset: Asset) -> int:
    return sum(file.bytes for file in asset.files)


def why_not(job: Job, target: Path) -> str | None:
    """Why this file is not what its cards need; None if it is."""
    if not target.is_file():
        return "it is missing"
    for card, asset in job.assets:
        if asset.archive:
            why = why_wrong(target, asset.archive, asset.files, strip=asset.strip)
            if why is None and (size := target.stat().st_size) > asset.at_most_bytes:
                why = f"its {size:,} bytes are more than the card's {asset.at_most_bytes:,}"
        else:
            (file,) = asset.files
            why, got = None, hash_file(target)
            if got != file.sha256:
                why = f"expected sha256 {brief(file.sha256)}, got {brief(got)}"
        if why:
            return f"{card.name}: {why}"
    return None


def earlier_cards(folder: Path) -> list[Card]:
    """The cards that the mirror already holds."""
    found = []
    for name in dict.fromkeys(row.name for row in read_index(folder)):
        with suppress(CardError):  # wheels, and cards that this version of the course does not have
            found.append(cards.get(name))
    return found


def _write(job: Job, folders: Mapping[str, Path], sink: BinaryIO) -> None:
    if job.archive is None:
        card, asset = job.assets[0]
        with open(folders[card.name] / asset.files[0].path, "rb") as source:
            shutil.copyfileobj(source, sink, 1 << 20)
        return
    members = {}
    for card, asset in job.assets:
        for file in asset.files:
            members["/".join([LEAD] * asset.strip + [file.path])] = (folders[card.name], file)
    pack = _tar if job.archive == "tar.gz" else _zip
    # Sorted and without dates, so that the same cards make the same bytes on every machine.
    pack(((name, _read(*members[name])) for name in sorted(members)), sink)


def _tar(members: Iterator[tuple[str, bytes]], sink: BinaryIO) -> None:
    with (
        gzip.GzipFile("", "wb", 6, sink, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))


def _zip(members: Iterator[tuple[str, bytes]], sink: BinaryIO) -> None:
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as file:
        for name, body in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            file.writestr(info, body, zipfile.ZIP_DEFLATED, 6)


def _read(folder: Path, file: File) -> bytes:
    body = (folder / file.path).read_bytes()
    if hashlib.sha256(body).hexdigest() != file.sha256:
        raise IntegrityError(f"{folder / file.path} has changed since it was verified. Try again.")
    return body
