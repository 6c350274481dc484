"""Fetching one card: plan, download, unpack, verify. `bring` is what `supply.fetch` calls."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlcourse.cards import Asset, Card, File
from tlcourse.errors import FetchError, IntegrityError, SupplyError, UnsafePathError
from tlcourse.supply import plan
from tlcourse.supply.archive import make_folder, unpack
from tlcourse.supply.download import http
from tlcourse.supply.download.http import Wanted
from tlcourse.supply.download.part import Part
from tlcourse.supply.plan import Source
from tlcourse.supply.progress import Progress, Tell, silent
from tlcourse.supply.readable import brief
from tlcourse.supply.settings import Settings
from tlcourse.supply.store import (
    Bad,
    Place,
    disk_errors,
    hash_file,
    locked,
    package_place,
    part_of,
    place,
    require_room,
    verify,
)


def present(card: Card, settings: Settings, tell: Tell = silent) -> Path | None:
    """The folder that has the whole card, an installed package's or the store's, else None."""
    for where in (package_place(card, settings.home), place(card, settings.home)):
        if where and os.path.isdir(where.folder) and not verify(card.files, where, tell):
            return where.folder
    return None


def bring(card: Card, settings: Settings, tell: Tell = silent) -> Path:
    """Fetch what the card lacks. Returns its folder. Raises a SupplyError that says what to do."""
    if folder := present(card, settings, tell):
        return folder
    if card.embedded:
        raise _broken_package(card, settings)
    where = place(card, settings.home)
    with locked(card, settings.home, settings.lock_s, tell), disk_errors(settings.home, card.name):
        lacking = verify(card.files, where, tell)
        for asset, files in plan.todo(card, [bad.file for bad in lacking]):
            _Fetch(card, asset, files, where, settings, tell).run(lacking)
        # Read again what was just written: disk and memory may be faulty as well.
        if bad := verify(card.files, where, tell):
            raise IntegrityError(
                f"{bad[0].file.path} of {card.name!r} was written to {where.folder}, but reads back "
                f"as {bad[0].found} (expected {brief(bad[0].file.sha256)}). Check that disk."
            )
    return where.folder


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One asset, from the first source that has it."""

    card: Card
    asset: Asset
    files: tuple[File, ...]
    where: Place
    settings: Settings
    tell: Tell

    @property
    def part(self) -> Part:
        return part_of(self.card, self.card.assets.index(self.asset), self.settings.home)

    @property
    def wanted(self) -> Wanted:
        if self.asset.archive:
            return Wanted(None, self.asset.at_most_bytes)
        return Wanted(self.asset.files[0].bytes, self.asset.files[0].bytes)

    def run(self, lacking: Sequence[Bad]) -> None:
        found = plan.sources(self.asset.urls, self.settings.mirrors, self.settings.offline)
        self.room(plan.space_needed(self.asset, self.files, self.part.read().bytes))
        failures: list[tuple[Source, SupplyError]] = []
        for source in found:
            try:
                return self.from_source(source)
            except UnsafePathError as error:
                raise UnsafePathError(
                    f"{source.place} is refused: {error}. Nothing of it was kept; tell whoever "
                    f"runs that source, or unset TLCOURSE_MIRROR."
                ) from error
            except (FetchError, IntegrityError) as error:
                failures.append((source, error))
        raise _failed(self.card, self.asset, failures, lacking)

    def from_source(self, source: Source) -> None:
        """Download and accept. A resumed download that turns out wrong is started afresh, once."""
        while True:
            resumed = self.part.read().bytes > 0
            try:
                return self.accept(self.obtain(source))
            except (IntegrityError, UnsafePathError) as error:
                self.part.discard()
                if not resumed or isinstance(error, UnsafePathError) or source.kind == "folder":
                    raise
                self.tell(
                    Progress("note", f"the unfinished download of {self.asset.title} was wrong")
                )

    def obtain(self, source: Source) -> Path:
        """The downloaded file. An archive in a mirror folder is used in place."""
        if source.kind == "folder" and self.asset.archive:
            http.size_of(Path(source.place).expanduser())
            return Path(source.place).expanduser()
        if source.kind == "folder":
            folder_file = Path(source.place).expanduser()
            http.copy(folder_file, self.part, self.wanted, self.tick)
        else:
            http.download(
                source.place,
                self.part,
                self.wanted,
                self.settings,
                self.tick,
                self.room,
                lambda text: self.tell(Progress("note", f"{self.asset.title}: {text}")),
            )
        return self.part.path

    def accept(self, path: Path) -> None:
        """Move verified files to their place. Raises if they are not what the card promises."""
        if self.asset.archive:
            total = sum(file.bytes for file in self.files)
            unpack(
                path,
                self.asset.archive,
                self.files,
                self.where.folder,
                self.part.path.with_name("member.tmp"),
                strip=self.asset.strip,
                tick=lambda n: self.tell(Progress("unpack", self.asset.title, n, total)),
            )
        else:
            (file,) = self.files
            if (got := hash_file(path)) != file.sha256:
                raise IntegrityError(f"expected sha256 {brief(file.sha256)}, got {brief(got)}")
            make_folder((self.where.folder / file.path).parent, self.where.folder)
            with open(path, "rb") as whole:
                os.fsync(whole.fileno())  # its bytes before its name, in case the power fails
            os.replace(path, self.where.folder / file.path)
        self.part.discard()

    def tick(self, done: int, total: int | None) -> None:
        self.tell(Progress("download", self.asset.title, done, total))

    def room(self, needed: int) -> None:
        """Raises NoSpaceError if the disk cannot hold it."""
        require_room(self.settings.home, needed, self.card.name)


def _failed(
    card: Card,
    asset: Asset,
    failures: Sequence[tuple[Source, SupplyError]],
    lacking: Sequence[Bad],
) -> SupplyError:
    """What was tried, and what to do."""
    altered = next(
        (bad for bad in lacking if bad.file in asset.files and bad.found != "no file"), None
    )
    start = f"Could not fetch {asset.title} of {card.name!r}"
    if altered:
        start += f" again ({altered.file.path} was altered: {altered.found})"
    if not failures:
        return FetchError(
            f"{start}: no mirror is set, and the web is switched off. Unset TLCOURSE_OFFLINE "
            f"(and HF_HUB_OFFLINE), or set TLCOURSE_MIRROR to a folder or URL that has it."
        )
    tried = "; ".join(f"{source.place}: {error}" for source, error in failures)
    if any(isinstance(error, IntegrityError) for _, error in failures):
        advice = (
            "The wrong bytes were deleted: try again, or set TLCOURSE_MIRROR to another source."
        )
        return IntegrityError(f"{start}: {tried}. {advice}")
    if any(source.kind == "web" for source, _ in failures):
        advice = (
            "Check the connection and try again (the download resumes), or set TLCOURSE_MIRROR."
        )
    else:
        advice = "Check TLCOURSE_MIRROR, or unset TLCOURSE_OFFLINE to ask the web."
    return FetchError(f"{start}: {tried}. {advice}")


def _broken_package(card: Card, settings: Settings) -> SupplyError:
    where = package_place(card, settings.home)
    if where is None:
        return SupplyError(
            f"{card.name!r} is in the package {card.package.name!r}, which is not installed. "
            f"Install the course's packages again."
        )
    bad = verify(card.files, where, silent)[0]
    expected = f"{bad.file.bytes:,} bytes with sha256 {brief(bad.file.sha256)}"
    return IntegrityError(
        f"{where.folder / bad.file.path} of {card.name!r} was altered: expected "
        f"{expected}, got {bad.found}. Install the package {card.package.name!r} again."
    )
