"""Bytes from the network and the disk, none of them believed before its hash was computed.

    fetch("caltech24")       # bring what is missing; the folder, every byte verified
    path("caltech24")        # the folder if it is there, else None; never asks the network
    available("caltech24")   # there, or a mirror has it; never asks the web

What a learner can set (a cache folder, mirrors, offline) is in `settings`.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from tlcourse import cards
from tlcourse.supply.progress import Progress, Tell, silent
from tlcourse.supply.settings import Settings, check_mirrors, read_settings

__all__ = ["Progress", "Settings", "Tell", "available", "fetch", "path", "read_settings"]


def fetch(name: str, *, progress: Tell | bool | None = None) -> Path:
    """The folder that holds the card's files, fetched if need be, every byte verified.

    progress: None shows a bar on a terminal and one line elsewhere, only if there is something to
    fetch; False shows nothing; a function hears every `Progress`. Raises CardError for an unknown
    card, else a SupplyError; after any of them a second call goes on where this one stopped.
    """
    from tlcourse.supply.bring import bring, present
    from tlcourse.supply.show import shown

    card, settings = cards.get(name), read_settings()
    if folder := present(card, settings):
        return folder
    check_mirrors(settings)
    if callable(progress):
        teller = nullcontext(progress)
    else:
        teller = nullcontext(silent) if progress is False or card.embedded else shown(card)
    with teller as tell:
        return bring(card, settings, tell)


def path(name: str) -> Path | None:
    """Where the card's files lie, verified; None if any is missing or wrong."""
    from tlcourse.supply.bring import present

    return present(cards.get(name), read_settings())


def available(name: str) -> bool:
    """Whether `fetch` can do without the web: it is there, or the mirrors have all of it.

    A mirror's bytes are not read, only its listing: `fetch` may still refuse them.
    """
    from tlcourse.supply import plan, transport
    from tlcourse.supply.bring import present

    card, settings = cards.get(name), read_settings()
    if present(card, settings):
        return True
    check_mirrors(settings)

    def has(source: plan.Source) -> bool:
        if source.kind == "folder":
            return Path(source.place).expanduser().is_file()
        return transport.has(source.place, settings)

    return all(
        any(has(source) for source in plan.sources(asset.urls, settings.mirrors, offline=True))
        for asset in card.assets
    )
