"""Pinning a hub model: the commit of a revision, and the hash of each file, as the hub states them.

    pinned = pin(cards.hub("resnet50"), read_settings())
    save(pinned, cards.pins())

The hub states the sha256 of its large files (Git LFS). For a small file it states git's blob id, a
sha1 of length and content: the file is fetched, compared with that, and hashed here. HF_ENDPOINT
names another server with the hub's API, as for huggingface_hub.

huggingface_hub itself is not used. Its `model_info` is one request: no retry after 429 or 503, no
limit on the answer's size, HF_HUB_OFFLINE read once at import, a saved token sent, and other
certificates and proxies than those of our downloads. What it would save is the parsing of one JSON
answer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlencode

from tlcourse.cards import Asset, Card, File, Hub, hub_names, read_hub_card, refuse_foreign, shipped
from tlcourse.cards.card import COMMIT, INDEX, REPO, WEIGHTS, address, endpoint, shards
from tlcourse.errors import CardError, FetchError, IntegrityError
from tlcourse.files import write_atomically
from tlcourse.schema import (
    LINE,
    SHA256,
    check,
    list_of,
    matching,
    object_of,
    or_null,
    read_json,
    whole,
)
from tlcourse.spoken import command as spoken
from tlcourse.supply.download import http
from tlcourse.supply.settings import Settings
from tlcourse.supply.store import disk_errors

LARGEST_TEXT = 11_000_000  # bytes; the hub takes no larger files outside LFS
USEFUL = (  # files that loading may need, of a repository without a card
    "config.json preprocessor_config.json tokenizer.json tokenizer_config.json "
    "special_tokens_map.json added_tokens.json vocab.txt vocab.json merges.txt spiece.model "
    "tokenizer.model generation_config.json"
).split()


_LFS = object_of({"sha256": SHA256, "size": whole(1)})
_FILE = {
    "rfilename": LINE, "size": or_null(whole(0)), "blobId": or_null(LINE), "lfs": or_null(_LFS),
}  # fmt: skip
ANSWER = {
    "sha": matching(COMMIT, "a commit of 40 hex digits"),
    "siblings": list_of(object_of(_FILE, "size", "blobId", "lfs")),
    "cardData": or_null(object_of({})),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """A revision as the hub states it: its commit, and (bytes, blob id, LFS sha256) of each file."""

    commit: str
    files: dict[str, tuple[int | None, str, str | None]]
    licence: str


def pin(card: Card, settings: Settings) -> Card:
    """The card with its commit and every hash, as the hub states them now. Writes nothing.

    Raises FetchError if the hub cannot be asked, CardError if it lacks a file that the card wants,
    IntegrityError if it sends another commit or file than it states.
    """
    hub = card.hub
    seen = listing(hub.repo, hub.revision, settings)
    if missing := [path for path in hub.files if path not in seen.files]:
        raise CardError(
            f"{hub.repo} has no {', '.join(missing)} at {seen.commit}. It has: "
            f"{', '.join(sorted(seen.files))}. Correct the files in the card {card.name!r}."
        )
    found = [_file(hub.repo, seen, path, settings) for path in hub.files]
    assets = tuple(Asset((address(hub.repo, seen.commit, f.path),), (f,)) for f in found)
    return replace(card, hub=replace(hub, revision=seen.commit), assets=assets)


def draft(name: str, settings: Settings) -> Card:
    """An unpinned card for a repository that has none here: "timm/ARCH.TAG" or "hf/OWNER/NAME"."""
    family, _, rest = name.partition("/")
    repo = name if family == "timm" else rest
    if family not in ("timm", "hf") or not REPO.fullmatch(repo):
        raise CardError(f"No card {name!r}. Give a card's name, timm/ARCH.TAG, or hf/OWNER/NAME.")
    seen = listing(repo, "main", settings)
    weights = _weights(repo, seen, settings)
    wanted = (*(path for path in USEFUL if path in seen.files), *weights)
    held = sum(seen.files[path][0] or 0 for path in weights if path != INDEX)
    where = f"https://huggingface.co/{repo}"
    return Card(
        name="".join(c if c.isalnum() else "-" for c in name.lower()).strip("-"),
        title=repo,
        kind="model",
        licence=seen.licence or "not stated by the repository",
        source_url=where,
        citation=f"See {where}",
        description="A repository of the hub, pinned on this machine.",
        assets=(),
        # Weights are float32 or shorter, so there are at least this many.
        hub=Hub(repo, seen.commit, wanted, max(1, held // 4), name),
    )


def save(card: Card, folder: Path) -> Path:
    """Write the card as FOLDER/NAME.toml. Returns that path. Raises CardError for what the next start
    would refuse to read."""
    target, text = folder / f"{card.name}.toml", to_toml(card).encode()
    refuse_foreign(read_hub_card(text, card.name), filter(None, [*map(shipped, hub_names())]))
    with disk_errors(folder):
        write_atomically(target, text)
    return target


def to_toml(card: Card) -> str:
    """A hub card as TOML; `cards.card.parse` reads the same card from it."""
    hub = card.hub
    keys = ("name", "title", "kind", "licence", "source_url", "citation", "description")
    lines = [f"{key} = {_quoted(getattr(card, key))}" for key in keys]
    lines += ["", "[hub]"]
    lines += [f"{key} = {_quoted(getattr(hub, key))}" for key in ("repo", "revision")]
    lines += [f"loads = {_quoted(hub.loads)}"] if hub.loads else []
    lines += [f"parameters = {hub.parameters}", f"files = {json.dumps(list(hub.files))}"]
    for asset in card.assets:
        (file,) = asset.files
        lines += ["", "[[assets]]", f"path = {_quoted(file.path)}", f"bytes = {file.bytes}"]
        lines += [f"sha256 = {_quoted(file.sha256)}", f"urls = {json.dumps(list(asset.urls))}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: the same escapes as JSON's, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def listing(repo: str, revision: str, settings: Settings) -> Listing:
    """The hub's answer about a revision, checked as far as possible."""
    if settings.offline:
        raise FetchError(
            f"Pinning asks the hub about {repo}, but the web is switched off: unset "
            f"TLCOURSE_OFFLINE and HF_HUB_OFFLINE. {elsewhere()}"
        )
    path = f"/api/models/{repo}/revision/{quote(revision, safe='')}?{urlencode({'blobs': True})}"
    body = _get(endpoint() + path, repo, revision, settings)
    where = f"{endpoint()} does not answer about {repo} as a hub does"
    answer = read_json(body, FetchError, where)
    check(answer, ANSWER, FetchError, where, "cardData")
    rows, commit = answer["siblings"], answer["sha"]
    files = {row["rfilename"]: _row(row) for row in rows}
    if len(files) < len(rows):
        raise FetchError(f"{where}: it names a file twice.")
    if COMMIT.fullmatch(revision) and revision != commit:
        raise IntegrityError(f"{endpoint()} sent {commit} of {repo} instead of {revision}.")
    licence = (answer.get("cardData") or {}).get("license", "")
    return Listing(commit, files, licence if LINE.fits(licence) else "")


def elsewhere() -> str:
    """What to do if the hub cannot be reached."""
    from tlcourse.cards import pins

    return (
        f"Where the hub can be reached, run `{spoken('cards pin NAME --into FOLDER')}` and bring "
        f"FOLDER/NAME.toml to {pins()}; take a mirror's pin by "
        f"`{spoken('cards pin NAME --from PLACE')}`; or set HF_ENDPOINT to a server with the hub's API."
    )


def mirrored(name: str) -> str:
    """What to do if the files of a pinned card cannot be fetched."""
    return (
        f"Where the hub can be reached, `{spoken(f'mirror build DIR {name}')}` makes a mirror: bring DIR"
        f" here and set TLCOURSE_MIRROR to it, or set HF_ENDPOINT to a server with the hub's files."
    )


def _weights(repo: str, seen: Listing, settings: Settings) -> tuple[str, ...]:
    """The file of weights, or the index and its shards. Raises CardError if there are none."""
    if WEIGHTS in seen.files:
        return (WEIGHTS,)
    if INDEX not in seen.files:
        raise CardError(
            f"{repo} has no {WEIGHTS}, and pickles are not loaded. Choose another repository, or "
            f"convert it (see the documentation of safetensors)."
        )
    parts = shards(_text(repo, seen, INDEX, settings))
    if missing := [path for path in parts if path not in seen.files]:
        raise CardError(
            f"{repo} lacks {', '.join(missing)}, which its {INDEX} names. Choose another."
        )
    return (INDEX, *parts)


def _row(row: dict) -> tuple[int | None, str, str | None]:
    lfs = row.get("lfs") or {}
    return lfs.get("size", row.get("size")), row.get("blobId") or "", lfs.get("sha256")


def _file(repo: str, seen: Listing, path: str, settings: Settings) -> File:
    size, _, sha256 = seen.files[path]
    if sha256 and size:
        return File(path, size, sha256)
    body = _text(repo, seen, path, settings)
    return File(path, len(body), hashlib.sha256(body).hexdigest())


def _text(repo: str, seen: Listing, path: str, settings: Settings) -> bytes:
    """A small file, compared with its git blob id. Raises IntegrityError if it differs."""
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
    """A small answer. Raises FetchError that says what to do."""
    try:
        return http.read(url, settings, LARGEST_TEXT)
    except http.RefusedError as error:
        if error.status in (401, 403, 404):
            raise FetchError(
                f"{endpoint()} has no {repo} at {revision} for everyone ({error}). Check the name at "
                f"https://huggingface.co/{repo}. Models that need a token or an accepted licence "
                f"cannot be pinned."
            ) from error
        reason = str(error)
    except (FetchError, IntegrityError) as error:
        reason = str(error)
    raise FetchError(f"The hub cannot be asked about {repo}: {endpoint()}: {reason}. {elsewhere()}")
