"""`load_data`: a data set's name, how many labels, and a seed in; three splits of tensors out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from tlcourse.data.core import Data, Source, Split
from tlcourse.data.digits import read_digits
from tlcourse.data.photos import read_folder
from tlcourse.data.splits import Members, divide, draw
from tlcourse.errors import DataError

SMALLEST, LARGEST = 8, 1024


@dataclass(frozen=True)
class Entry:
    """A data set: how to read all of it at a size in pixels, and the size it is read at by default."""

    read: Callable[[int], Source]
    size: int


def _caltech24(size: int) -> Source:
    """24 classes × 60 photos of Caltech-101: 15 test, 5 validation and a pool of 40 a class.

    No two of the photos have the same bytes, nor the same pixels at 128 px. Near duplicates exist
    (the same face or leopard from one photo session), as everywhere in Caltech-101.
    """
    from tlcourse.supply import fetch

    root = fetch("caltech24") / "101_ObjectCategories"
    return read_folder(
        root, title="Caltech-101, 24 classes × 60 photos", size=size, valid=5, test=15
    )


ENTRIES: dict[str, Entry] = {
    "caltech24": Entry(_caltech24, size=128),
    "digits": Entry(read_digits, size=32),
}


def names() -> list[str]:
    """Every data set that `load_data` knows."""
    return sorted(ENTRIES)


def load_data(
    name: str, *, labels_per_class: int | None = None, size: int | None = None, seed: int = 0
) -> Data:
    """A data set in its three splits: uint8 images (N, 3, size, size).

    Validation and test sets belong to the data set: no argument moves them. `labels_per_class`
    draws that many training examples of each class by `seed`, nested (the draw of 10 holds the draw
    of 5); None takes all that are left. `size` in pixels, 8 to 1024, None for the data set's own.
    Raises DataError for an unknown name, a size out of range, or more labels than there are.

    >>> load_data("digits", labels_per_class=10)
    digits: 10 classes · 100 train, 100 valid, 500 test · 3×32×32
    """
    if name not in ENTRIES:
        near = get_close_matches(name, ENTRIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"No data set {name!r}.{hint} There are: {', '.join(names())}.")
    size = ENTRIES[name].size if size is None else size
    if not isinstance(size, int) or not SMALLEST <= size <= LARGEST:
        raise DataError(f"size={size!r} is not possible: choose {SMALLEST} to {LARGEST} pixels.")
    k = labels_per_class
    if k is not None and not (isinstance(k, int) and k >= 1):
        raise DataError(f"labels_per_class={k!r} is not possible: take 1 or more, or None for all.")

    source = _read(name, size)
    pool, valid, test = divide(source.ids, source.y.tolist(), valid=source.valid, test=source.test)
    fewest = min(len(members) for members in pool.values())
    if labels_per_class is not None and labels_per_class > fewest:
        raise DataError(
            f"labels_per_class={labels_per_class} is more than {name} has: {fewest} a class can be"
            f" trained on (besides {source.valid} for validation and {source.test} for test)."
        )
    return Data(
        name=name,
        title=source.title,
        train=_take(source, draw(pool, labels_per_class, seed)),
        valid=_take(source, valid),
        test=_take(source, test),
        classes=source.classes,
        recipe={"name": name, "labels_per_class": labels_per_class, "size": size, "seed": seed},
    )


# Decoding 1,440 photos takes about a second, and a lesson asks for many draws of the same photos.
@lru_cache(maxsize=2)
def _read(name: str, size: int) -> Source:
    return ENTRIES[name].read(size)


def _take(source: Source, members: Members) -> Split:
    """A copy of the members: nobody can write into the cached source."""
    where = {id: index for index, id in enumerate(source.ids)}
    ids = tuple(id for names in members.values() for id in names)
    index = [where[id] for id in ids]
    return Split(x=source.x[index], y=source.y[index], ids=ids)
