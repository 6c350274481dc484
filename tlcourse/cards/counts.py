"""How many examples `load_data` gives: fewer than the source has if examples repeat.

`python datasets/measure_counts.py` loads every data set and writes counts.json, so that a card can
show the numbers before anything is fetched, and without torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ALL = "all"  # a domain of this name contains the others


@dataclass(frozen=True, slots=True)
class Gives:
    """Classes, and examples in each split, of `load_data(name, domain=…)`. "": it has no domains."""

    domain: str
    classes: int
    train: int
    valid: int
    test: int

    @property
    def examples(self) -> int:
        return self.train + self.valid + self.test

    def __str__(self) -> str:
        """`508 examples of 6 classes (402 train, 39 valid, 67 test)`."""
        splits = f"{self.train:,} train, {self.valid:,} valid, {self.test:,} test"
        of = f"{self.domain}: " if self.domain else ""
        return f"{of}{self.examples:,} examples of {self.classes} classes ({splits})"


def gives(name: str) -> tuple[Gives, ...]:
    """One for each domain of a data set, the default first; () for anything but a data set."""
    return tuple(Gives(**row) for row in _measured().get(name, ()))


def in_words(name: str) -> str:
    """`gives` as text; with a domain of all, only that one. "" for anything but a data set."""
    rows = gives(name)
    if rows and rows[0].domain == ALL:
        return f"{rows[0]}; also {len(rows) - 1} single domains"
    return "; ".join(map(str, rows))


@cache
def _measured() -> dict[str, list[dict[str, str | int]]]:
    return json.loads((files(__package__) / "counts.json").read_text("utf-8"))
