"""Sending requests, and copying from a mirror that is a folder.

    download(url, part, …)    into a `Part`, resumed and retried
    read(url, settings, …)    a small text, such as a hub's answer
    copy(path, part, …)       a file of a mirror folder
    has(url), length(url)     one short HEAD request

Errors are FetchError or IntegrityError with the bare reason; callers say which file it was and what
to do. Proxies and certificates are those of requests (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tlcourse.errors import FetchError, IntegrityError
from tlcourse.supply.download.judge import (
    TRY_AGAIN,
    Again,
    Ask,
    GiveUp,
    judge,
    retry_after,
    start,
    validator,
)
from tlcourse.supply.download.part import Part, write_all
from tlcourse.supply.settings import Settings

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 16
REDIRECTS = 8
SLOWEST = 1024  # bytes per `stall_s`; below that, the connection is stalled, not slow
MOST_ATTEMPTS = 100  # even if each brings a little


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
    def __init__(self, reason: str, wait_s: float | None = None, gained: int = 0):
        super().__init__(reason)
        self.reason, self.wait_s, self.gained = reason, wait_s, gained


def download(
    url: str, part: Part, wanted: Wanted, settings: Settings, tick: Tick, room: Room, note: Note
) -> None:
    """Download `url` into `part`, resuming, with retries for as long as there is progress."""

    def attempt(session: requests.Session) -> None:
        _attempt(session, url, part, wanted, settings, tick, room)

    _retried(attempt, settings, note)


def read(url: str, settings: Settings, limit: int) -> bytes:
    """The body at `url`, with retries. Raises IntegrityError if it is longer than `limit` bytes."""

    def attempt(session: requests.Session) -> bytes:
        with _get(session, url, {}, settings) as response:
            status = response.status_code
            if status in TRY_AGAIN:
                wait_s = retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
                raise _Retry(f"HTTP {status}", wait_s)
            if status != 200:
                raise RefusedError(status)
            body = b""
            for block in _body(response, settings.stall_s, decode=True):
                body += block
                if len(body) > limit:
                    raise IntegrityError(f"it sends more than {limit:,} bytes")
            return body

    return _retried(attempt, settings, lambda text: None)


def _retried(attempt: Callable[[requests.Session], T], settings: Settings, note: Note) -> T:
    """What `attempt` returns, repeated after each _Retry. Raises FetchError with the last reason."""
    import requests

    fails = attempts = 0
    with requests.Session() as session:
        session.max_redirects = REDIRECTS
        while True:
            try:
                return attempt(session)
            except _Retry as retry:
                attempts += 1
                fails = 1 if retry.gained >= BLOCK else fails + 1
                if fails >= settings.attempts or attempts >= MOST_ATTEMPTS:
                    raise FetchError(f"{retry.reason} ({attempts} attempts)") from retry
                wait_s = _wait_s(retry.wait_s, fails, settings, retry.reason)
                note(f"{retry.reason}; trying again")
                time.sleep(wait_s)


def _wait_s(asked_s: float | None, fails: int, settings: Settings, reason: str) -> float:
    """Back off by doubling, with jitter: a class must not return in the same moment."""
    if asked_s is not None and asked_s > settings.patience_s:
        raise FetchError(f"{reason}, the server asks to wait {asked_s:,.0f} s")
    if asked_s is not None:
        return asked_s
    return settings.backoff_s * 2 ** (fails - 1) * random.SystemRandom().uniform(0.75, 1.25)


def _attempt(
    session: requests.Session,
    url: str,
    part: Part,
    wanted: Wanted,
    settings: Settings,
    tick: Tick,
    room: Room,
) -> None:
    begin = start(part.read(), url, wanted.expected)
    if begin.done:
        return
    headers = {"Accept-Encoding": "identity"}
    if begin.offset:
        headers["Range"] = f"bytes={begin.offset}-"
        if begin.if_range:
            headers["If-Range"] = begin.if_range
    with _get(session, url, headers, settings) as response:
        headers = {key.lower(): value for key, value in response.headers.items()}
        ask = Ask(begin.offset, wanted.expected, wanted.limit)
        verdict = judge(ask, response.status_code, headers, datetime.now(UTC))
        if isinstance(verdict, GiveUp):
            raise (IntegrityError if verdict.wrong else FetchError)(verdict.reason)
        if isinstance(verdict, Again):
            if verdict.afresh:
                part.discard()
            raise _Retry(verdict.reason, verdict.wait_s)
        got, total = verdict.offset, verdict.total
        room((total or got) - got)
        try:
            with part.open(got, url, validator(headers)) as file:
                for block in _body(response, settings.stall_s):
                    got += len(block)
                    if got > (wanted.limit if total is None else total):
                        _refuse_more(part, total, wanted.limit)
                    write_all(file, block)
                    tick(got, total)
        except _Retry as retry:
            raise _broken_off(retry.reason, got, total, got - verdict.offset) from retry
    if total is not None and got < total:
        raise _broken_off("the connection ended", got, total, got - verdict.offset)
    part.finish()


def _broken_off(reason: str, got: int, total: int | None, gained: int) -> _Retry:
    of = "" if total is None else f" of {total:,}"
    return _Retry(f"{reason} after {got:,}{of} bytes", gained=gained)


def _refuse_more(part: Part, total: int | None, limit: int) -> None:
    part.discard()
    raise IntegrityError(
        f"expected at most {limit:,} bytes, got more"
        if total is None
        else f"expected {total:,} bytes, got more"
    )


def _get(
    session: requests.Session, url: str, headers: Mapping[str, str], settings: Settings
) -> requests.Response:
    import requests

    from tlcourse import __version__

    headers = {"User-Agent": f"tlcourse/{__version__}", **headers}
    timeout = (settings.connect_s, settings.stall_s)
    try:
        return session.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.TooManyRedirects:
        raise FetchError(f"more than {REDIRECTS} redirects") from None
    except requests.exceptions.SSLError as error:
        raise FetchError(f"its certificate is not trusted ({_short(error)})") from error
    except requests.ConnectTimeout:
        raise _Retry(f"no connection within {settings.connect_s:g} s") from None
    except requests.ReadTimeout:
        raise _Retry(f"no answer within {settings.stall_s:g} s") from None
    except requests.ConnectionError as error:
        raise _Retry(f"no connection ({_short(error)})") from error
    except requests.RequestException as error:
        raise FetchError(_short(error)) from error
    except ValueError as error:  # from urllib, for a redirect
        raise FetchError(f"it redirects to an invalid address ({error})") from error


def _body(response: requests.Response, stall_s: float, *, decode: bool = False) -> Iterator[bytes]:
    """The body in blocks as they arrive. Raises _Retry if it breaks off or stalls."""
    import http.client

    import urllib3

    window, since = 0, time.monotonic()
    while True:
        try:
            # read1 returns what has arrived; read would wait for a whole block.
            block = response.raw.read1(BLOCK, decode_content=decode)
        except urllib3.exceptions.ReadTimeoutError:
            raise _Retry(f"it stalled for {stall_s:g} s") from None
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise _Retry("the connection broke off") from error
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
    text = (_head(url, settings) or {}).get("content-length", "")
    return int(text) if text.isdecimal() and int(text) else None


def _head(url: str, settings: Settings) -> Mapping[str, str] | None:
    import requests

    try:
        timeout = min(3.0, settings.connect_s)
        plain = {"Accept-Encoding": "identity"}
        response = requests.head(url, timeout=timeout, allow_redirects=True, headers=plain)
        return response.headers if response.status_code == 200 else None
    except requests.RequestException:
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
