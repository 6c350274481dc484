"""Deciding where to resume a download, and what a server's answer is worth.

Everything here is decided from a status, headers and lengths, before a byte of the body is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from tlcourse.schema import shown

TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Partial:
    """A download that was begun: its length, its URL, and which version of the file it is."""

    bytes: int
    url: str = ""
    validator: str = ""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """How to begin: nothing to request if `done`, else from `offset`, guarded by If-Range."""

    offset: int = 0
    if_range: str = ""
    done: bool = False


def start(partial: Partial, url: str, expected: int | None) -> Start:
    """Where to begin, given what an earlier call left. expected: bytes of a file with a known hash.

    With a hash, the first part may come from any source: the hash decides. Without one (an
    archive), both parts must be the same version of the same URL.
    """
    same = partial.url == url and bool(partial.validator)
    if expected is not None:
        if partial.bytes == expected:
            return Start(expected, done=True)
        if partial.bytes > expected:
            return Start()
        return Start(partial.bytes, partial.validator if same and partial.bytes else "")
    if partial.done and partial.url == url:
        return Start(partial.bytes, done=True)
    return Start(partial.bytes, partial.validator) if same and partial.bytes else Start()


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: from `offset`, for a file of `expected` bytes, or of at most `limit`."""

    offset: int
    expected: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class Take:
    """Write the body from `offset` on. total: bytes of the whole file, None if unknown."""

    offset: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Again:
    """Retry: after `wait_s` if the server said so, `afresh` if the part on disk is unusable."""

    reason: str
    wait_s: float | None = None
    afresh: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This source does not have the file. wrong: it sends something else than the card promises."""

    reason: str
    wrong: bool = False


def judge(
    ask: Ask, status: int, headers: Mapping[str, str], now: datetime
) -> Take | Again | GiveUp:
    """What to do with an answer. headers: by lower-case names; now: with its time zone."""
    if status in TRY_AGAIN:
        return Again(f"HTTP {status}", wait_s=retry_after(headers.get("retry-after", ""), now))
    if status == 416 and ask.offset:
        return Again("HTTP 416, the part on disk is longer than the server's file", afresh=True)
    if status not in (200, 206):
        return GiveUp(f"HTTP {status}")
    if (encoding := headers.get("content-encoding", "identity").lower()) != "identity":
        return GiveUp(
            f"it came encoded as {shown(encoding)}, though the plain file was requested", True
        )
    if headers.get("content-type", "").lower().startswith("text/html"):
        return GiveUp("a web page came instead of the file (a login page of this network?)", True)
    return _partial(ask, headers) if status == 206 else _whole(ask, headers)


def _whole(ask: Ask, headers: Mapping[str, str]) -> Take | GiveUp:
    """A 200 sends the file from its beginning, whatever was requested."""
    total = count_of(headers.get("content-length", ""))
    if total is not None and ask.expected is not None and total != ask.expected:
        return GiveUp(f"expected {ask.expected:,} bytes, got Content-Length {total:,}", True)
    if total is not None and total > ask.limit:
        return GiveUp(f"expected at most {ask.limit:,} bytes, got Content-Length {total:,}", True)
    return Take(0, total if ask.expected is None else ask.expected)


def _partial(ask: Ask, headers: Mapping[str, str]) -> Take | Again | GiveUp:
    text = headers.get("content-range", "")
    match = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", text.strip(), re.ASCII)
    if not ask.offset:
        return GiveUp(
            f"a part came (Content-Range {shown(text)}), though the whole was requested", True
        )
    if not match or int(match[1]) != ask.offset:
        wanted = f"requested bytes from {ask.offset:,}"
        return Again(f"{wanted}, got Content-Range {shown(text)}", afresh=True)
    total = None if match[3] == "*" else int(match[3])
    if total is not None and ask.expected is not None and total != ask.expected:
        return Again(
            f"expected {ask.expected:,} bytes, got Content-Range {shown(text)}", afresh=True
        )
    if total is not None and total > ask.limit:
        return GiveUp(
            f"expected at most {ask.limit:,} bytes, got Content-Range {shown(text)}", True
        )
    return Take(ask.offset, total if ask.expected is None else ask.expected)


def count_of(text: str) -> int | None:
    """The bytes that a header states; None if it states none, or more than any file has."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def validator(headers: Mapping[str, str]) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change, else nothing."""
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    return headers.get("last-modified", "")


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds from now that a Retry-After header asks for; it holds seconds or a date."""
    if re.fullmatch("[0-9]+", text.strip()):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
