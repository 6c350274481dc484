"""How many bytes a fetch will take, and whether they fit on the disk, before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tlcourse.cards import Asset, Card, File
from tlcourse.supply import plan
from tlcourse.supply.bring import present
from tlcourse.supply.download import http
from tlcourse.supply.progress import silent
from tlcourse.supply.settings import Settings
from tlcourse.supply.store import part_of, place, require_room, verify


@dataclass(frozen=True, slots=True)
class Need:
    """What one card still needs: nothing if it is in `folder`; else bytes to receive and to write.

    exact: False if an archive's length is unknown; then the bytes of its members count.
    """

    card: Card
    folder: Path | None = None
    to_come: int = 0
    to_write: int = 0
    exact: bool = True


def needs(cards: Sequence[Card], settings: Settings) -> list[Need]:
    """One for each card, in order. Asks servers for the length of their archives."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda card: _need(card, settings), cards))


def _need(card: Card, settings: Settings) -> Need:
    if folder := present(card, settings):
        return Need(card, folder)
    lacking = [bad.file for bad in verify(card.files, place(card, settings.home), silent)]
    to_come = to_write = 0
    exact = True
    for asset, files in plan.todo(card, lacking):
        got = part_of(card, card.assets.index(asset), settings.home).read()
        size, known = _download(asset, files, settings)
        unpacked = sum(file.bytes for file in files) if asset.archive else 0
        exact = exact and known
        if size is None:
            to_come += unpacked
        else:
            rest = 0 if got.done else max(0, size - got.bytes)
            to_come += rest
            to_write += rest
        to_write += unpacked
    return Need(card, None, to_come, to_write, exact)


def _download(asset: Asset, files: Sequence[File], settings: Settings) -> tuple[int | None, bool]:
    """Bytes of this asset's download, and whether they are known.

    None: nothing is downloaded. The archive is in a mirror folder and is unpacked from there.
    """
    if asset.archive is None:
        return files[0].bytes, True
    for source in plan.sources(asset.urls, settings.mirrors, settings.offline):
        if source.kind == "folder":
            if Path(source.place).expanduser().is_file():
                return None, True
        elif (length := http.length(source.place, settings)) is not None:
            return length, True
    return sum(file.bytes for file in files), False


def kept(card: Card, settings: Settings) -> int:
    """Bytes of an unfinished card that the next call need not fetch again.

    A part of an archive counts only if its server named the version; otherwise the rest, fetched
    later, may belong to another version.
    """
    folder, count = place(card, settings.home).folder, 0
    for number, asset in enumerate(card.assets):
        part = part_of(card, number, settings.home).read()
        if part.done or part.validator or asset.archive is None:
            count += part.bytes
        count += sum(file.bytes for file in asset.files if (folder / file.path).is_file())
    return count


def check_room(lacking: Sequence[Need], settings: Settings) -> None:
    """Raises NoSpaceError if they do not fit on the disk together."""
    names = ", ".join(need.card.name for need in lacking)
    require_room(settings.home, sum(need.to_write for need in lacking), names)
