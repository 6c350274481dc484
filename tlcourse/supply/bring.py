"""The main act: a card in, a folder out in which every byte is right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlcourse.cards import Asset, Card, File
from tlcourse.errors import FetchError, IntegrityError, SupplyError, UnsafePathError
from tlcourse.supply import plan, transport
from tlcourse.supply.archive import make_folder, unpack
from tlcourse.supply.part import Part
from tlcourse.supply.plan import Source
from tlcourse.supply.progress import Progress, Tell, silent
from tlcourse.supply.settings import Settings
from tlcourse.supply.show import brief
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
from tlcourse.supply.transport import Wanted


def present(card: Card, settings: Settings, tell: Tell = silent) -> Path | None:
    """The folder in which the card lies whole: a package's, in place, or the store's."""
    for where in (package_place(card, settings.home), place(card, settings.home)):
        if where and os.path.isdir(where.folder) and not verify(card.files, where, tell):
            return where.folder
    return None


def bring(card: Card, settings: Settings, tell: Tell = silent) -> Path:
    """Fetch what the card lacks; the folder. Raises a SupplyError with one sentence of advice."""
    if folder := present(card, settings, tell):
        return folder
    if card.embedded:
        raise _broken_package(card, settings)
    where = place(card, settings.home)
    with locked(card, settings.home, settings.lock_s, tell), disk_errors(settings.home, card.name):
        lacking = verify(card.files, where, tell)
        for asset, files in plan.todo(card, [bad.file for bad in lacking]):
            _Errand(card, asset, files, where, settings, tell).run(lacking)
        # Also what was just written is read again, once: disks and memory can lie as well.
        if bad := verify(card.files, where, tell):
            raise IntegrityError(
                f"{bad[0].file.path} of {card.name!r} was written to {where.folder}, but then "
                f"{bad[0].found} was read (expected {brief(bad[0].file.sha256)}). Check that disk."
            )
    return where.folder


@dataclass(frozen=True, slots=True)
class _Errand:
    """One asset on its way from the first source that really has it."""

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
        choices = plan.sources(self.asset.urls, self.settings.mirrors, self.settings.offline)
        self.room(plan.space_needed(self.asset, self.files, self.part.read().bytes))
        troubles: list[tuple[Source, SupplyError]] = []
        for source in choices:
            try:
                return self.from_source(source)
            except UnsafePathError as error:
                raise UnsafePathError(
                    f"{source.place} is refused: {error}. Nothing of it was kept; tell whoever "
                    f"runs that source, or unset TLCOURSE_MIRROR."
                ) from error
            except (FetchError, IntegrityError) as error:
                troubles.append((source, error))
        raise _failed(self.card, self.asset, troubles, lacking)

    def from_source(self, source: Source) -> None:
        """Download and accept; a resumed download that turns out wrong is begun afresh, once."""
        while True:
            resumed = self.part.read().bytes > 0
            try:
                return self.accept(self.obtain(source))
            except (IntegrityError, UnsafePathError) as error:
                self.part.discard()
                if not resumed or isinstance(error, UnsafePathError) or source.kind == "folder":
                    raise
                self.tell(Progress("note", f"what was left of {self.asset.title} was wrong"))

    def obtain(self, source: Source) -> Path:
        """The whole download as a file: a mirror folder's archive is read where it lies."""
        if source.kind == "folder" and self.asset.archive:
            transport.size_of(Path(source.place).expanduser())
            return Path(source.place).expanduser()
        if source.kind == "folder":
            folder_file = Path(source.place).expanduser()
            transport.copy(folder_file, self.part, self.wanted, self.tick)
        else:
            transport.download(
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
        """Move what is right to its place; raise if it is not what the card says."""
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
                os.fsync(whole.fileno())  # its bytes before its name: the power may fail
            os.replace(path, self.where.folder / file.path)
        self.part.discard()

    def tick(self, done: int, total: int | None) -> None:
        self.tell(Progress("download", self.asset.title, done, total))

    def room(self, needed: int) -> None:
        """Refuse to begin what the disk cannot hold."""
        require_room(self.settings.home, needed, self.card.name)


def _failed(
    card: Card,
    asset: Asset,
    troubles: Sequence[tuple[Source, SupplyError]],
    lacking: Sequence[Bad],
) -> SupplyError:
    """Everything that was tried, in one sentence, and what to do."""
    altered = next(
        (bad for bad in lacking if bad.file in asset.files and bad.found != "no file"), None
    )
    start = f"Could not fetch {asset.title} of {card.name!r}"
    if altered:
        start += f" again ({altered.file.path} was altered: {altered.found})"
    if not troubles:
        return FetchError(
            f"{start}: no mirror is set and the web is not to be asked. Unset TLCOURSE_OFFLINE "
            f"(and HF_HUB_OFFLINE), or set TLCOURSE_MIRROR to a folder or URL that has it."
        )
    tried = "; ".join(f"{source.place}: {error}" for source, error in troubles)
    if any(isinstance(error, IntegrityError) for _, error in troubles):
        advice = (
            "The wrong bytes were thrown away: try again, or set TLCOURSE_MIRROR to another source."
        )
        return IntegrityError(f"{start}: {tried}. {advice}")
    if any(source.kind == "web" for source, _ in troubles):
        advice = (
            "Check the connection and try again (it goes on where it stopped), "
            "or set TLCOURSE_MIRROR."
        )
    else:
        advice = "Check TLCOURSE_MIRROR, or unset TLCOURSE_OFFLINE to ask the web."
    return FetchError(f"{start}: {tried}. {advice}")


def _broken_package(card: Card, settings: Settings) -> SupplyError:
    where = package_place(card, settings.home)
    if where is None:
        return SupplyError(
            f"{card.name!r} lies in the package {card.package.name!r}, which is not installed. "
            f"Install the course's packages again."
        )
    bad = verify(card.files, where, silent)[0]
    expected = f"{bad.file.bytes:,} bytes with sha256 {brief(bad.file.sha256)}"
    return IntegrityError(
        f"{where.folder / bad.file.path} of {card.name!r} is not as it was shipped: expected "
        f"{expected}, got {bad.found}. Install the package {card.package.name!r} again."
    )
