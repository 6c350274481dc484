"""Fetching files and verifying them: nothing is used before its hash was checked.

    fetch("caltech24")       # downloads what is missing; the folder, every byte verified
    path("caltech24")        # the folder if it is present, else None; no network
    available("caltech24")   # whether it is present, or a mirror has it; never asks the web

`settings` has what a learner can set: the cache folder, mirrors, offline.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from tlcourse import cards
from tlcourse.supply.progress import Progress, Tell, silent
from tlcourse.supply.settings import Settings, check_mirrors, read_settings

__all__ = ["Progress", "Settings", "Tell", "available", "fetch", "path", "read_settings"]


def fetch(name: str, *, progress: Tell | bool | None = None) -> Path:
    """The folder with the card's files, fetched if need be, every byte verified.

    progress: None shows a bar on a terminal and one line elsewhere, if there is something to fetch;
    False shows nothing; a function is called with every `Progress`. Raises CardError for an unknown
    card, or a SupplyError; after either, a second call resumes where this one stopped.
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
    """The folder with the card's files, verified; None if any is missing or wrong."""
    from tlcourse.supply.bring import present

    return present(cards.get(name), read_settings())


def available(name: str) -> bool:
    """Whether `fetch` needs no web: the files are present, or the mirrors have all of them.

    It asks mirrors only whether they have the files; `fetch` may still reject the bytes.
    """
    from tlcourse.supply import plan
    from tlcourse.supply.bring import present
    from tlcourse.supply.download import http

    card, settings = cards.get(name), read_settings()
    if present(card, settings):
        return True
    check_mirrors(settings)

    def has(source: plan.Source) -> bool:
        if source.kind == "folder":
            return Path(source.place).expanduser().is_file()
        return http.has(source.place, settings)

    return all(
        any(has(source) for source in plan.sources(asset.urls, settings.mirrors, offline=True))
        for asset in card.assets
    )
