"""Pinning a hub card: ask the hub which commit a revision is, and what the hash of each file is.

    pinned = pin(cards.hub("resnet50"), read_settings())
    save(pinned, cards.pins())

The hub knows the sha256 of its large files (Git LFS). Of a small one it knows git's blob id, a
sha1 over its length and content: such a file is fetched, compared with that, and hashed here.
HF_ENDPOINT names another place that speaks the hub's language, as for the hub's own library.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tlcourse.cards import Asset, Card, File, Hub
from tlcourse.cards.hubcard import COMMIT, INDEX, WEIGHTS, address, endpoint, shards, to_toml
from tlcourse.errors import CardError, FetchError, IntegrityError
from tlcourse.files import write_atomically
from tlcourse.spoken import command as spoken
from tlcourse.supply.answer import TRY_AGAIN
from tlcourse.supply.settings import Settings
from tlcourse.supply.store import disk_errors

LARGEST_TEXT = 30_000_000  # bytes; what the hub does not keep in LFS is small
USEFUL = (  # of a repository that has no card here: what loading may need, if it is there
    "config.json preprocessor_config.json tokenizer.json tokenizer_config.json "
    "special_tokens_map.json added_tokens.json vocab.txt vocab.json merges.txt spiece.model "
    "tokenizer.model generation_config.json"
).split()


@dataclass(frozen=True, slots=True)
class Listing:
    """What the hub says of a revision: its commit, and (bytes, blob id, LFS sha256) of each file."""

    commit: str
    files: dict[str, tuple[int | None, str, str | None]]
    licence: str


def pin(card: Card, settings: Settings) -> Card:
    """The card with its commit and every hash, as the hub tells them now. Writes nothing.

    Raises FetchError if the hub cannot be asked, CardError if it has not got what the card wants,
    IntegrityError if it answers with another commit or file than it says.
    """
    hub = card.hub
    seen = listing(hub.repo, hub.revision, settings)
    if lost := [path for path in hub.files if path not in seen.files]:
        raise CardError(
            f"{hub.repo} has no {', '.join(lost)} at {seen.commit}. It has: "
            f"{', '.join(sorted(seen.files))}. Correct the files in the card {card.name!r}."
        )
    found = [_file(hub.repo, seen, path, settings) for path in hub.files]
    assets = tuple(Asset((address(hub.repo, seen.commit, f.path),), (f,)) for f in found)
    return replace(card, hub=replace(hub, revision=seen.commit), assets=assets)


def draft(asked: str, settings: Settings) -> Card:
    """An unpinned card for a repository that has none here: "timm/ARCH.TAG" or "hf/OWNER/NAME"."""
    family, _, rest = asked.partition("/")
    repo = asked if family == "timm" else rest
    if family not in ("timm", "hf") or repo.count("/") != 1:
        raise CardError(f"No card {asked!r}. Give a card's name, timm/ARCH.TAG, or hf/OWNER/NAME.")
    seen = listing(repo, "main", settings)
    weights = _weights(repo, seen, settings)
    wanted = (*(path for path in USEFUL if path in seen.files), *weights)
    held = sum(seen.files[path][0] or 0 for path in weights if path != INDEX)
    name = "".join(c if c.isalnum() else "-" for c in asked.lower()).strip("-")
    where = f"https://huggingface.co/{repo}"
    return Card(
        name=name,
        title=repo,
        kind="model",
        licence=seen.licence or "not stated by the repository",
        source_url=where,
        citation=f"See {where}",
        description="A repository of the hub that somebody pinned on this machine.",
        assets=(),
        # Weights are float32 or shorter: so many at least, and the need for memory follows.
        hub=Hub(repo, seen.commit, wanted, max(1, held // 4), asked),
    )


def save(card: Card, folder: Path) -> Path:
    """Write the card as FOLDER/NAME.toml, whole or not at all."""
    target = folder / f"{card.name}.toml"
    with disk_errors(folder):
        write_atomically(target, to_toml(card))
    return target


def changes(before: Card, after: Card) -> list[str]:
    """What another pin changed, in words; none if all is as it was."""
    old = {file.path: file.sha256 for file in before.files}
    words = [f"{f.path} changed" for f in after.files if old.get(f.path, f.sha256) != f.sha256]
    if before.hub.revision != after.hub.revision:
        words.insert(0, f"the revision moved from {before.hub.revision} to {after.hub.revision}")
    return words


def listing(repo: str, revision: str, settings: Settings) -> Listing:
    """The hub's answer about a revision, not believed further than it can be checked."""
    if settings.offline:
        raise FetchError(
            f"Pinning asks the hub about {repo}, and the web is not to be asked: unset "
            f"TLCOURSE_OFFLINE and HF_HUB_OFFLINE. {elsewhere()}"
        )
    path = f"/api/models/{repo}/revision/{quote(revision, safe='')}?{urlencode({'blobs': True})}"
    body = _get(endpoint() + path, repo, revision, settings)
    try:
        said: dict[str, Any] = json.loads(body)
        files = {row["rfilename"]: _row(row) for row in said["siblings"]}
        commit, licence = said["sha"], (said.get("cardData") or {}).get("license", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(
            f"{endpoint()} does not answer about {repo} as a hub does ({error!r}). Check HF_ENDPOINT."
        ) from error
    if not COMMIT.fullmatch(str(commit)):
        raise FetchError(f"{endpoint()} calls {repo}'s revision {commit!r}, which is no commit.")
    if COMMIT.fullmatch(revision) and revision != commit:
        raise IntegrityError(f"{endpoint()} has {commit} of {repo} where {revision} was asked for.")
    return Listing(commit, files, licence if isinstance(licence, str) else "")


def elsewhere() -> str:
    """What to do where the hub cannot be asked."""
    from tlcourse.cards import pins

    return (
        f"Where the hub can be reached, run `{spoken('cards pin NAME --into FOLDER')}` and bring "
        f"FOLDER/NAME.toml to {pins()}; take what a mirror carries by "
        f"`{spoken('cards pin NAME --from PLACE')}`; or set HF_ENDPOINT to a place that answers as the "
        f"hub does."
    )


def mirrored(name: str) -> str:
    """What to do where the files of a pinned card cannot be had."""
    return (
        f"Where the hub can be reached, `{spoken(f'mirror build DIR {name}')}` makes a mirror: bring DIR"
        f" here and set TLCOURSE_MIRROR to it, or set HF_ENDPOINT to a place that has the hub's files."
    )


def _weights(repo: str, seen: Listing, settings: Settings) -> tuple[str, ...]:
    """The one file of weights, or the index and the shards it names. CardError where there are none."""
    if WEIGHTS in seen.files:
        return (WEIGHTS,)
    if INDEX not in seen.files:
        raise CardError(
            f"{repo} has no {WEIGHTS}: pickles are not loaded here. Choose another repository, or "
            f"convert it (safetensors' documentation says how)."
        )
    parts = shards(_text(repo, seen, INDEX, settings))
    if lost := [path for path in parts if path not in seen.files]:
        raise CardError(f"{repo} lacks {', '.join(lost)}, which its {INDEX} names. Choose another.")
    return (INDEX, *parts)


def _row(row: dict[str, Any]) -> tuple[int | None, str, str | None]:
    lfs = row.get("lfs") or {}
    return lfs.get("size", row.get("size")), row.get("blobId", ""), lfs.get("sha256")


def _file(repo: str, seen: Listing, path: str, settings: Settings) -> File:
    size, _, sha256 = seen.files[path]
    if sha256 and size:
        return File(path, size, sha256)
    body = _text(repo, seen, path, settings)
    return File(path, len(body), hashlib.sha256(body).hexdigest())


def _text(repo: str, seen: Listing, path: str, settings: Settings) -> bytes:
    """A small file, held against git's id of it. Raises IntegrityError if it is another."""
    blob = seen.files[path][1]
    body = _get(address(repo, seen.commit, path, endpoint()), repo, seen.commit, settings)
    git = hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
    if git != blob or not body:
        raise IntegrityError(
            f"{endpoint()} says that {path} of {repo} is blob {blob!r}, but sent {git} "
            f"({len(body):,} bytes). Nothing was pinned; try again, or ask another endpoint."
        )
    return body


def _get(url: str, repo: str, revision: str, settings: Settings) -> bytes:
    """A small answer, with attempts. Raises FetchError with what to do."""
    import requests
    import urllib3

    from tlcourse import __version__

    reason = ""
    for attempt in range(1, settings.attempts + 1):
        wait_s = settings.backoff_s * 2 ** (attempt - 1)
        try:
            headers = {"User-Agent": f"tlcourse/{__version__}"}
            timeout = (settings.connect_s, settings.stall_s)
            with requests.get(url, headers=headers, timeout=timeout, stream=True) as answer:
                if answer.status_code == 200:
                    body = answer.raw.read(LARGEST_TEXT + 1, decode_content=True)
                    if len(body) > LARGEST_TEXT:
                        raise FetchError(f"{url} sends more than {LARGEST_TEXT:,} bytes of text.")
                    return body
                reason = f"HTTP {answer.status_code}"
                if answer.status_code in (401, 403, 404):
                    raise FetchError(
                        f"{endpoint()} has no {repo} at {revision} for everyone ({reason}). Check "
                        f"the name at https://huggingface.co/{repo}; what needs a licence clicked "
                        f"or a token is not taken here."
                    )
                if answer.status_code not in TRY_AGAIN:
                    break
                if (asked_s := answer.headers.get("retry-after", "")).isdecimal():
                    wait_s = float(asked_s)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            reason = f"no connection ({type(error).__name__})"
        if attempt < settings.attempts and wait_s <= settings.patience_s:
            time.sleep(wait_s)
        else:
            break
    raise FetchError(f"The hub cannot be asked about {repo}: {endpoint()}: {reason}. {elsewhere()}")
