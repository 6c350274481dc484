"""Sending requests, and copying from a mirror that is a folder.

    download(url, part, …)    into a `Part`, resumed and retried
    read(url, settings, …)    a small text, such as a hub's answer
    copy(path, part, …)       a file of a mirror folder
    has(url), length(url)     one short HEAD request

All of them go through `_asked`: no request takes longer than its size allows, bodies of redirects are
not read, and none leads to a private address unless it stays on the private host that was named.

Errors are FetchError or IntegrityError with the bare reason; callers say which file it was and what
to do. Proxies and certificates are those of requests (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from tlcourse.errors import FetchError, IntegrityError
from tlcourse.supply.download.judge import (
    Again,
    Ask,
    GiveUp,
    Take,
    count_of,
    judge,
    start,
    validator,
)
from tlcourse.supply.download.part import Part, write_all
from tlcourse.supply.download.watch import Watch, is_public
from tlcourse.supply.settings import Settings

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 16
REDIRECTS = 8
SLOWEST = 1024  # bytes per `stall_s`; below that, the connection is stalled, not slow
MOST = 20  # times the attempts that were set, even if each brings a little more


@dataclass(frozen=True, slots=True)
class Wanted:
    """Length of a file: `expected` bytes if the card names them, and at most `limit` in any case."""

    expected: int | None
    limit: int


T = TypeVar("T")
Tick = Callable[[int, "int | None"], None]  # bytes so far, of how many
Room = Callable[[int], None]  # raises NoSpaceError if that many more bytes do not fit
Note = Callable[[str], None]


class RefusedError(FetchError):
    """The server answered, but with a status that is not worth a retry."""

    def __init__(self, status: int):
        super().__init__(f"HTTP {status}")
        self.status = status


class _Retry(Exception):
    """reached: bytes of the file that have come so far."""

    def __init__(self, reason: str, wait_s: float | None = None, reached: int = 0):
        super().__init__(reason)
        self.reason, self.wait_s, self.reached = reason, wait_s, reached


def download(
    url: str, part: Part, wanted: Wanted, settings: Settings, tick: Tick, room: Room, note: Note
) -> None:
    """Download `url` into `part`, resuming, with retries for as long as there is progress."""

    def attempt() -> None:
        _attempt(url, part, wanted, settings, tick, room)

    _retried(attempt, settings, note, wanted.limit)


def read(url: str, settings: Settings, limit: int) -> bytes:
    """The body at `url`, with retries. Raises IntegrityError if it is longer than `limit` bytes."""

    def attempt() -> bytes:
        with _asked("GET", url, {}, settings, limit) as (response, watch):
            _taken(response, Ask(0, None, limit))
            body = bytearray()
            for block in _body(response, settings.stall_s, watch):
                body += block
                if len(body) > limit:
                    raise IntegrityError(f"it sends more than {limit:,} bytes")
            return bytes(body)

    return _retried(attempt, settings, lambda text: None, limit)


def _retried(attempt: Callable[[], T], settings: Settings, note: Note, count: int) -> T:
    """What `attempt` returns, repeated after each _Retry. Raises FetchError with the last reason.

    Only what goes further than any attempt before is progress: a server that always breaks off at the
    same place is asked as often as was set.
    """
    fails = attempts = furthest = 0
    until = time.monotonic() + settings.attempts * _longest_s(count, settings)
    while True:
        try:
            return attempt()
        except _Retry as retry:
            attempts += 1
            fails = 1 if retry.reached >= furthest + BLOCK else fails + 1
            furthest = max(furthest, retry.reached)
            tired = fails >= settings.attempts or attempts >= MOST * settings.attempts
            if tired or time.monotonic() > until:
                raise FetchError(f"{retry.reason} ({attempts} attempts)") from retry
            wait_s = _wait_s(retry.wait_s, fails, settings, retry.reason)
            note(f"{retry.reason}; trying again")
            time.sleep(wait_s)


def _longest_s(count: int, settings: Settings) -> float:
    """How long a request for `count` bytes may take as a whole."""
    return settings.stall_s * (4 + count / 1e6)


def _wait_s(asked_s: float | None, fails: int, settings: Settings, reason: str) -> float:
    """Back off by doubling, with jitter: a class must not return in the same moment."""
    if asked_s is not None and asked_s > settings.patience_s:
        raise FetchError(f"{reason}, the server asks to wait {asked_s:,.0f} s")
    if asked_s is not None:
        return asked_s
    return settings.backoff_s * 2 ** (fails - 1) * random.SystemRandom().uniform(0.75, 1.25)


def _attempt(
    url: str, part: Part, wanted: Wanted, settings: Settings, tick: Tick, room: Room
) -> None:
    begin = start(part.read(), url, wanted.expected)
    if begin.done:
        return
    headers = {}
    if begin.offset:
        headers["Range"] = f"bytes={begin.offset}-"
        if begin.if_range:
            headers["If-Range"] = begin.if_range
    with _asked("GET", url, headers, settings, wanted.limit) as (response, watch):
        take = _taken(response, Ask(begin.offset, wanted.expected, wanted.limit), part)
        got, total = take.offset, take.total
        room((total or got) - got)
        try:
            with part.open(got, url, validator(_lower(response.headers))) as file:
                for block in _body(response, settings.stall_s, watch):
                    got += len(block)
                    if got > (wanted.limit if total is None else total):
                        _refuse_more(part, total, wanted.limit)
                    write_all(file, block)
                    tick(got, total)
        except _Retry as retry:
            raise _broken_off(retry.reason, got, total) from retry
    if total is not None and got < total:
        raise _broken_off("the connection ended", got, total)
    part.finish()


def _taken(response: requests.Response, ask: Ask, part: Part | None = None) -> Take:
    """How to take this answer. Raises if it is not worth its body."""
    verdict = judge(ask, response.status_code, _lower(response.headers), datetime.now(UTC))
    if isinstance(verdict, GiveUp):
        raise (
            IntegrityError(verdict.reason) if verdict.wrong else RefusedError(response.status_code)
        )
    if isinstance(verdict, Again):
        if verdict.afresh and part:
            part.discard()
        raise _Retry(verdict.reason, verdict.wait_s)
    return verdict


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}


def _broken_off(reason: str, got: int, total: int | None) -> _Retry:
    of = "" if total is None else f" of {total:,}"
    return _Retry(f"{reason} after {got:,}{of} bytes", reached=got)


def _refuse_more(part: Part, total: int | None, limit: int) -> None:
    part.discard()
    raise IntegrityError(
        f"expected at most {limit:,} bytes, got more"
        if total is None
        else f"expected {total:,} bytes, got more"
    )


@contextmanager
def _asked(
    method: str, url: str, headers: Mapping[str, str], settings: Settings, count: int
) -> Iterator[tuple[requests.Response, Watch]]:
    """The answer to a request, redirects followed, its body unread. count: bytes that may come."""
    import requests

    from tlcourse import __version__

    agent = {"User-Agent": f"tlcourse/{__version__}", "Accept-Encoding": "identity"}
    with Watch(_longest_s(count, settings)) as watch, watch.session() as session:
        try:
            response = _followed(session, method, url, agent | headers, settings, watch)
        except requests.RequestException as error:
            raise _trouble(error, settings, watch) from error
        except ValueError as error:  # from urllib, for a redirect
            raise FetchError(f"it redirects to an invalid address ({error})") from error
        with response:
            yield response, watch


def _followed(
    session: requests.Session,
    method: str,
    url: str,
    headers: Mapping[str, str],
    settings: Settings,
    watch: Watch,
) -> requests.Response:
    """The first answer that is no redirect."""
    import requests

    first = urlsplit(url).hostname
    timeout = (settings.connect_s, settings.stall_s)
    for _ in range(REDIRECTS + 1):
        response = session.request(method, url, headers=headers, timeout=timeout, stream=True)
        if not response.is_redirect:
            return response
        with response:
            to = requests.Session.get_redirect_target(session, response)
        url = urljoin(url, requests.utils.requote_uri(to))
        watch.redirected = True
        # The watch sees where a name leads, but not behind a proxy.
        if (host := urlsplit(url).hostname) != first and not is_public(host or ""):
            raise FetchError(f"it redirects to {host or url!r}, which is a private address")
    raise FetchError(f"more than {REDIRECTS} redirects")


def _trouble(error: requests.RequestException, settings: Settings, watch: Watch) -> Exception:
    """What to raise for an error of requests."""
    import requests

    if watch.late:
        return _Retry(watch.reason)
    if isinstance(error, requests.exceptions.SSLError):
        return FetchError(f"its certificate is not trusted ({_short(error)})")
    if isinstance(error, requests.ConnectTimeout):
        return _Retry(f"no connection within {settings.connect_s:g} s")
    if isinstance(error, requests.ReadTimeout):
        return _Retry(f"no answer within {settings.stall_s:g} s")
    if isinstance(error, requests.ConnectionError):
        return _Retry(f"no connection ({_short(error)})")
    return FetchError(_short(error))


def _body(response: requests.Response, stall_s: float, watch: Watch) -> Iterator[bytes]:
    """The body in blocks as they arrive. Raises _Retry if it breaks off, stalls, or takes too long."""
    import http.client

    import urllib3

    window, since = 0, time.monotonic()
    while True:
        try:
            # read1 returns what has arrived; read would wait for a whole block.
            block = response.raw.read1(BLOCK, decode_content=False)
        except urllib3.exceptions.ReadTimeoutError:
            raise _Retry(f"it stalled for {stall_s:g} s") from None
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise _Retry(watch.reason if watch.late else "the connection broke off") from error
        if watch.late:  # the end that was reached is ours
            raise _Retry(watch.reason)
        if not block:
            return
        window += len(block)
        if (passed := time.monotonic() - since) > stall_s:
            if window < SLOWEST:
                raise _Retry(f"it stalled ({window} bytes in {passed:.1f} s)")
            window, since = 0, time.monotonic()
        yield block


def copy(source: Path, part: Part, wanted: Wanted, tick: Tick) -> None:
    """Copy a mirror folder's file into `part`, from its start: a copy is quick."""
    got, size = 0, size_of(source)
    if wanted.expected is not None and size != wanted.expected:
        raise IntegrityError(f"expected {wanted.expected:,} bytes, got {size:,}")
    with part.open(0, str(source), "") as target:
        for block in _blocks(source):
            write_all(target, block)
            got += len(block)
            tick(got, size)
    part.finish()


def size_of(source: Path) -> int:
    """Bytes of a mirror folder's file. Raises FetchError if there is none."""
    try:
        if source.is_file():
            return source.stat().st_size
    except OSError as error:
        raise FetchError(f"it cannot be read ({error.strerror})") from error
    raise FetchError("no such file")


def _blocks(source: Path) -> Iterator[bytes]:
    """A function of its own, so that a mirror's read error is not reported as a full disk."""
    try:
        with open(source, "rb") as file:
            while block := file.read(1 << 20):
                yield block
    except OSError as error:
        raise FetchError(f"it cannot be read ({error.strerror})") from error


def has(url: str, settings: Settings) -> bool:
    """Whether an HTTP mirror says that it has this file."""
    return _head(url, settings) is not None


def length(url: str, settings: Settings) -> int | None:
    """The file's length in bytes as the server states it; None if it does not."""
    return count_of((_head(url, settings) or {}).get("content-length", "")) or None


def _head(url: str, settings: Settings) -> Mapping[str, str] | None:
    quick = min(3.0, settings.connect_s)
    with suppress(FetchError, _Retry):
        quickly = replace(settings, connect_s=quick, stall_s=quick)
        with _asked("HEAD", url, {}, quickly, 0) as (response, _):
            return _lower(response.headers) if response.status_code == 200 else None
    return None


def _short(error: BaseException) -> str:
    """The innermost cause in a few words: requests wraps errors three deep."""
    while inner := (
        error.__cause__
        or getattr(error, "reason", None)
        or next((a for a in error.args if isinstance(a, BaseException)), None)
    ):
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:120]
