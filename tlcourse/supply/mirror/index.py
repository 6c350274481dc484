"""INDEX.tsv: the files of a mirror."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlcourse.cards.card import NAME as NAMES
from tlcourse.cards.card import why_unsafe
from tlcourse.errors import SupplyError
from tlcourse.files import write_atomically
from tlcourse.schema import SHA256, shown

NAME = "INDEX.tsv"
HEADER = "name\tpath\tbytes\tsha256"
WHEELS = "(wheel)"  # in place of a card's name, which cannot have brackets
NAMED = re.compile(rf"{NAMES.pattern}|{re.escape(WHEELS)}")
LENGTH = re.compile("[0-9]{1,15}")


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """A file of the card `name`, or a wheel. path: below the mirror, with slashes."""

    name: str
    path: str
    bytes: int
    sha256: str


def read_index(folder: Path) -> tuple[Row, ...]:
    """The rows; none if there is no index. Raises SupplyError if it is damaged or something else."""
    try:
        text = (folder / NAME).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeError):
        text = ""
    header, *lines = text.splitlines() or [""]
    if header != HEADER:
        raise SupplyError(f"{folder / NAME} is not the index of a mirror. Name another folder.")
    rows = []
    for number, line in enumerate(lines, start=2):
        parts = line.split("\t")
        whole = len(parts) == 4 and NAMED.fullmatch(parts[0]) and LENGTH.fullmatch(parts[2])
        if not whole or not SHA256.fits(parts[3]) or leaves(parts[1]):
            raise SupplyError(
                f"Line {number} of {folder / NAME} is damaged: {shown(line)}. Build it again."
            )
        rows.append(Row(parts[0], parts[1], int(parts[2]), parts[3]))
    return tuple(rows)


def leaves(path: str) -> str | None:
    """Why a path in a mirror is refused, else None. Unlike a card's, its parts may end in a dot.

    >>> leaves("codeload.github.com/someone/datasets./tar.gz/1")
    >>> leaves("a/../b")
    "it has a '..'"
    """
    return why_unsafe("/".join(part.rstrip(". ") or part for part in path.split("/")))


def write_index(folder: Path, rows: Iterable[Row]) -> None:
    lines = [f"{row.name}\t{row.path}\t{row.bytes}\t{row.sha256}" for row in sorted(set(rows))]
    # Whole or not at all, as are all pages of a mirror: learners may read while it is built.
    write_atomically(folder / NAME, "\n".join([HEADER, *lines, ""]))
