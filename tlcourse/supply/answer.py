"""Judging a server's answer by its status and headers, before a byte of its body is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked: bytes from `offset`; what the card says: `expected` bytes, or `limit` at most."""

    offset: int
    expected: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class Take:
    """Write the body from `offset` on. `total`: bytes of the whole file, where anyone knows."""

    offset: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Again:
    """Ask once more: after `wait_s` if the server said so, `afresh` if what is there cannot be used."""

    reason: str
    wait_s: float | None = None
    afresh: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This source has not got it. `wrong`: it sends something else than the card promises."""

    reason: str
    wrong: bool = False


def judge(
    ask: Ask, status: int, headers: Mapping[str, str], now: datetime
) -> Take | Again | GiveUp:
    """What to do with an answer. `headers` by lower-case names; `now` with its time zone."""
    if status in TRY_AGAIN:
        return Again(f"HTTP {status}", wait_s=_retry_after(headers.get("retry-after", ""), now))
    if status == 416 and ask.offset:
        return Again("HTTP 416, the part that is here goes beyond the server's file", afresh=True)
    if status not in (200, 206):
        return GiveUp(f"HTTP {status}")
    if (encoding := headers.get("content-encoding", "identity").lower()) != "identity":
        return GiveUp(f"it came encoded as {encoding!r} though the plain file was asked for", True)
    if headers.get("content-type", "").lower().startswith("text/html"):
        return GiveUp("a web page came instead of the file (a login page of this network?)", True)
    return _partial(ask, headers) if status == 206 else _whole(ask, headers)


def _whole(ask: Ask, headers: Mapping[str, str]) -> Take | GiveUp:
    """A 200 brings the file from its beginning, whatever was asked."""
    length = headers.get("content-length", "")
    total = int(length) if length.isdecimal() else None
    if total is not None and ask.expected is not None and total != ask.expected:
        return GiveUp(f"expected {ask.expected:,} bytes, got Content-Length {total:,}", True)
    if total is not None and total > ask.limit:
        return GiveUp(f"expected at most {ask.limit:,} bytes, got Content-Length {total:,}", True)
    return Take(0, total if ask.expected is None else ask.expected)


def _partial(ask: Ask, headers: Mapping[str, str]) -> Take | Again | GiveUp:
    said = headers.get("content-range", "")
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said.strip())
    if not ask.offset:
        return GiveUp(f"a part came (Content-Range {said!r}) though the whole was asked for", True)
    if not match or int(match[1]) != ask.offset:
        wanted = f"asked for bytes from {ask.offset:,}"
        return Again(f"{wanted}, got Content-Range {said!r}", afresh=True)
    total = None if match[3] == "*" else int(match[3])
    if total is not None and ask.expected is not None and total != ask.expected:
        return Again(f"expected {ask.expected:,} bytes, got Content-Range {said!r}", afresh=True)
    if total is not None and total > ask.limit:
        return GiveUp(f"expected at most {ask.limit:,} bytes, got Content-Range {said!r}", True)
    return Take(ask.offset, total if ask.expected is None else ask.expected)


def validator(headers: Mapping[str, str]) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change, else nothing."""
    etag = headers.get("etag", "")
    if etag.startswith('"'):
        return etag
    return headers.get("last-modified", "")


def _retry_after(text: str, now: datetime) -> float | None:
    """Seconds from now: the header holds either seconds or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None
