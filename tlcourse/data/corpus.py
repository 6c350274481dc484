"""Labelled texts without repetitions, for every text data set.

Two texts are *duplicates* if they differ only in capitals and punctuation: one is kept. Two texts with
the same label are *similar* if they share at least seven tenths of their three-word runs, ignoring
numbers: they stay in one split, or, if one is in a published test set, the other is left out. Only the
first 300 words of a text count, which is more than any model here reads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from tlcourse.data.examples import Source

PLACES = ("test", "valid", "train", "")  # in order of precedence
SHARED, OF = 7, 10
RUN, READ = 3, 300  # words


@dataclass(frozen=True, slots=True)
class Row:
    """A text, its label as in the file, and its published split (`given` as in `Source`)."""

    id: str
    label: str
    text: str
    given: str = ""


def clean(text: str) -> str:
    """One line, single spaces. Windows-1252 bytes misread as Latin-1 become the intended characters;
    characters lost earlier (U+FFFD, U+001A) become spaces.

    >>> clean("a  tale \\x97 twice\\ntold")
    'a tale — twice told'
    """
    repaired = re.sub("[\x80-\x9f]", _intended, text)
    return " ".join(re.sub("[\ufffd\x1a]", " ", repaired).split())


def _intended(match: re.Match[str]) -> str:
    return match[0].encode("latin-1").decode("cp1252", errors="replace")


def words_of(text: str) -> str:
    """A text's words in lower case: equal for duplicates.

    >>> words_of("Is my card HERE?") == words_of("is my card here")
    True
    """
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def source(
    title: str, rows: Iterable[Row], *, classes: dict[str, str], size: int, valid: int, test: int
) -> Source:
    """A Source from these rows. classes: label in the file -> name of the class, in order."""
    import torch

    from tlcourse.data.texts import tokens

    rows, kin = independent(distinct(rows))
    texts = [row.text for row in rows]
    # A word is at least one token, so words far beyond the last token need not be read.
    beginnings = [" ".join(text.split(" ", 2 * size)[: 2 * size]) for text in texts]
    numbers = {label: index for index, label in enumerate(classes)}
    return Source(
        title=title,
        x=tokens(beginnings, size),
        y=torch.tensor([numbers[row.label] for row in rows]),
        ids=[row.id for row in rows],
        classes=tuple(classes.values()),
        valid=valid,
        test=test,
        texts=texts,
        given=[row.given for row in rows],
        kin=kin,
    )


def distinct(rows: Iterable[Row]) -> list[Row]:
    """One row of each set of duplicates: one of the test set if there is one, else the first.

    If their labels differ, a row of the test set stays as published; otherwise none is kept.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(words_of(row.text), []).append(row)
    kept = []
    for group in groups.values():
        first = min(group, key=lambda row: PLACES.index(row.given))
        if first.given == "test" or len({row.label for row in group}) == 1:
            kept.append(first)
    return kept


def independent(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows without those similar to one of a published test set, and the group of each remaining
    row, named after the first row that it is similar to, directly or through others."""
    head = list(range(len(rows)))

    def first(at: int) -> int:
        while head[at] != at:
            at = head[at]
        return at

    left_out = set()
    for a, b in alike([row.text for row in rows]):
        if rows[a].label != rows[b].label:
            continue
        if (rows[a].given == "test") != (rows[b].given == "test"):
            left_out.add(b if rows[a].given == "test" else a)
        low, high = sorted((first(a), first(b)))
        head[high] = low
    kept = [at for at in range(len(rows)) if at not in left_out]
    return [rows[at] for at in kept], [rows[first(at)].id for at in kept]


def alike(texts: Sequence[str]) -> list[tuple[int, int]]:
    """All pairs of texts whose runs have a Jaccard similarity of at least seven tenths.

    Two such texts must share one of the rarest three tenths of their runs (Bayardo, Ma & Srikant
    2007, https://doi.org/10.1145/1242572.1242591), so few pairs are compared.
    """
    runs = [_runs(text) for text in texts]
    spread = Counter(run for own in runs for run in own)
    shelves: dict[str, list[int]] = {}
    for at, own in enumerate(runs):
        enough = len(own) - -(-SHARED * len(own) // OF) + 1
        for run in sorted(own, key=lambda run: (spread[run], run))[:enough]:
            shelves.setdefault(run, []).append(at)
    found = []
    for a, b in sorted({pair for shelf in shelves.values() for pair in combinations(shelf, 2)}):
        common = len(runs[a] & runs[b])
        if OF * common >= SHARED * (len(runs[a]) + len(runs[b]) - common):
            found.append((a, b))
    return found


def _runs(text: str) -> frozenset[str]:
    words = [found[0] for found in islice(re.finditer(r"\w+", text.casefold()), READ)] or [text]
    words = re.sub(r"\d+", "0", " ".join(words)).split()
    return frozenset(" ".join(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1)))
