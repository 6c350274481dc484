"""Which example is in which split: pure functions of the examples' names.

Names are ordered by a hash, not by a random generator, so neither the order of files nor the version
of a library can move an example from the test set into the training set.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

Members = dict[int, list[str]]  # label -> names, in drawing order


def shuffled(ids: Iterable[str], key: str) -> list[str]:
    """`ids` ordered by sha256(key + newline + id): looks random, and never changes.

    >>> shuffled(["a", "b", "c"], "1")
    ['b', 'c', 'a']
    """
    return sorted(ids, key=lambda id: sha256(f"{key}\n{id}".encode()).digest())


def divide(
    ids: Sequence[str],
    y: Sequence[int],
    *,
    valid: int,
    test: int,
    given: Sequence[str] = (),
    kin: Sequence[str] = (),
) -> tuple[Members, Members, Members]:
    """(pool, valid, test), stratified: of each label the first `test` names in hashed order are the
    test set, the next `valid` the validation set, the rest the pool. No seed enters.

    given: "train", "valid" or "test" for an example whose split is fixed, "" for the others. kin: a
    group name for each example; a group of one label stays whole (so a split may get a few more examples
    than requested) and is ordered by its name.
    """
    family = dict(zip(ids, kin or ids, strict=True))
    fixed = dict(zip(ids, given or ("",) * len(ids), strict=True))
    labels: Members = {}
    for id, label in zip(ids, y, strict=True):
        labels.setdefault(label, []).append(id)
    pool, validation, tests = {}, {}, {}
    for label in sorted(labels):
        kinds: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
        families: dict[str, list[str]] = {}
        for id in labels[label]:
            if fixed[id]:
                kinds[fixed[id]].append(id)
            else:
                families.setdefault(family[id], []).append(id)
        for name in shuffled(families, "split"):
            where = "train"
            if len(kinds["test"]) < test:
                where = "test"
            elif len(kinds["valid"]) < valid:
                where = "valid"
            kinds[where] += families[name]
        pool[label], validation[label], tests[label] = kinds["train"], kinds["valid"], kinds["test"]
    return pool, validation, tests


def draw(pool: Members, k: int | None, seed: int) -> Members:
    """k names of each label, drawn by `seed`; nested: the first 5 of 10 are the draw of 5. None means
    the whole pool."""
    if k is None:
        return pool
    return {label: shuffled(names, f"draw {seed}")[:k] for label, names in pool.items()}
