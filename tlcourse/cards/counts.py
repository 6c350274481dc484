"""What `load_data` makes of a data set: less than its source holds where something in it repeats.

The numbers stand in counts.json, which `python datasets/measure_counts.py` writes by loading everything,
so that a card can say them where nothing was fetched yet and without importing torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

ALL = "all"  # a domain of this name holds the others


@dataclass(frozen=True, slots=True)
class Gives:
    """How many classes, and examples in each split, `load_data(name, domain=…)` has; "": no domains."""

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
    """Each domain of a data set, the first being meant if none is named; () for what is no data set."""
    return tuple(Gives(**row) for row in _measured().get(name, ()))


def told(name: str) -> str:
    """`gives` in words; of many domains the one that holds all. "" for what is no data set."""
    rows = gives(name)
    if rows and rows[0].domain == ALL:
        return f"{rows[0]}; {len(rows) - 1} domains beside it"
    return "; ".join(map(str, rows))


@cache
def _measured() -> dict[str, list[dict[str, str | int]]]:
    return json.loads((files(__package__) / "counts.json").read_text("utf-8"))
