"""Labelled texts without repetitions: what every text data set does with its rows.

Two texts *say the same* if they are equal but for capitals and punctuation: one of them is kept. Two
of one label are *alike* if they share at least seven of ten of their runs of three words, whatever
the figures in them: they stay together, or, where one is in a test set that is given, the other is
left out. A text counts by its first 300 words, which is more than any model here reads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from tlcourse.data.core import Source

PLACES = ("test", "valid", "train", "")  # what is fixed in a guarded split counts most
SHARED, OF = 7, 10
RUN, READ = 3, 300  # words


@dataclass(frozen=True, slots=True)
class Row:
    """A text, its label as it is in the file, and where it belongs (`given` as in `Source`)."""

    id: str
    label: str
    text: str
    given: str = ""


def clean(text: str) -> str:
    """One line, single spaces. Bytes of Windows-1252 that were taken for Latin-1 become what they were
    meant to be, and characters that were lost before us (U+FFFD, U+001A) a space.

    >>> clean("a  tale \\x97 twice\\ntold")
    'a tale — twice told'
    """
    meant = re.sub("[\x80-\x9f]", _meant, text)
    return " ".join(re.sub("[\ufffd\x1a]", " ", meant).split())


def _meant(match: re.Match[str]) -> str:
    return match[0].encode("latin-1").decode("cp1252", errors="replace")


def said(text: str) -> str:
    """What two texts have in common if they say the same: their words, in lower case.

    >>> said("Is my card HERE?") == said("is my card here")
    True
    """
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def source(
    title: str, rows: Iterable[Row], *, classes: dict[str, str], size: int, valid: int, test: int
) -> Source:
    """The Source of what these rows say. classes: label -> the class's name, in order."""
    import torch

    from tlcourse.data.texts import tokens

    rows, kin = independent(distinct(rows))
    texts = [row.text for row in rows]
    # A word is a token or more, so what lies far beyond the last token need not be read.
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
    """Of the rows that say the same, one: of the test set if one is there, else the first.

    Where they disagree about the label, a row of the test set stays as published, and none otherwise.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(said(row.text), []).append(row)
    kept = []
    for group in groups.values():
        first = min(group, key=lambda row: PLACES.index(row.given))
        if first.given == "test" or len({row.label for row in group}) == 1:
            kept.append(first)
    return kept


def independent(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows without those that are alike to one of a test set that is given, and the families of
    the rest: each row's is named after the first that it is alike to, over however many others."""
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
    """All pairs of texts that share at least seven of ten of their runs (Jaccard).

    Two such texts must share one of their rarest runs, three of ten of each being enough to look at
    (Bayardo, Ma & Srikant 2007, https://doi.org/10.1145/1242572.1242591), so few are compared.
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
