"""Settings for fetching, from environment variables.

TLCOURSE_HOME      folder for fetched files (default: the user's cache folder)
TLCOURSE_MIRROR    a folder or http(s) URL that has the file of https://HOST/PATH at HOST/PATH;
                   several are separated by commas or newlines; tried before the web
TLCOURSE_OFFLINE   1: never ask the web, only mirrors; HF_HUB_OFFLINE=1 means the same
TLCOURSE_TIMEOUT   seconds without data after which a connection counts as stalled (30); a request as a
                   whole may take four times as long, and once more for each MB
TLCOURSE_RETRIES   attempts in a row that get no further, for each source (5)
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tlcourse.errors import SupplyError

YES = {"1", "on", "yes", "true"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds. patience_s: the longest Retry-After that a fetch waits for."""

    home: Path
    mirrors: tuple[str, ...] = ()
    offline: bool = False
    connect_s: float = 10.0
    stall_s: float = 30.0
    attempts: int = 5
    backoff_s: float = 0.5
    patience_s: float = 60.0
    lock_s: float = 3600.0


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The current settings. Raises SupplyError that names the variable that is wrong."""
    environ = os.environ if environ is None else environ
    stall_s = _number(environ, "TLCOURSE_TIMEOUT", 30.0)
    return Settings(
        home=_home(environ),
        mirrors=_mirrors(environ.get("TLCOURSE_MIRROR", "")),
        offline=any(
            environ.get(key, "").lower() in YES for key in ("TLCOURSE_OFFLINE", "HF_HUB_OFFLINE")
        ),
        connect_s=min(10.0, stall_s),
        stall_s=stall_s,
        attempts=max(1, int(_number(environ, "TLCOURSE_RETRIES", 5))),
    )


def _home(environ: Mapping[str, str]) -> Path:
    if home := environ.get("TLCOURSE_HOME", "").strip():
        place = Path(home).expanduser().absolute()
        if any(map(os.path.isfile, (place, *place.parents))):
            raise SupplyError(f"TLCOURSE_HOME names {home}: a file is in the way. Give a folder.")
        return place
    from platformdirs import user_cache_path

    return user_cache_path("tlcourse", appauthor=False)


def _mirrors(text: str) -> tuple[str, ...]:
    mirrors = tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())
    for mirror in mirrors:
        scheme = re.match(r"([a-z][a-z0-9+.-]+)://", mirror, re.IGNORECASE)
        if scheme and scheme[1].lower() not in ("http", "https"):
            raise SupplyError(f"TLCOURSE_MIRROR={mirror!r}: give a folder or an http(s) URL.")
    return mirrors


def check_mirrors(settings: Settings) -> None:
    """Raises SupplyError if a mirror folder does not exist; else the web would silently replace it."""
    if missing := missing_mirrors(settings):
        raise SupplyError(
            f"TLCOURSE_MIRROR names {missing[0]}: no such folder. Correct it, or unset it."
        )


def missing_mirrors(settings: Settings) -> list[str]:
    """The mirrors that are folders and do not exist."""
    return [
        mirror
        for mirror in settings.mirrors
        if "://" not in mirror and not Path(mirror).expanduser().is_dir()
    ]


def _number(environ: Mapping[str, str], key: str, default: float) -> float:
    text = environ.get(key, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise SupplyError(f"{key}={text!r} must be a number > 0; unset it to have {default:g}.")
    return number
