"""New tasks from data sets: some of the classes, several data sets as one, rotated pictures.

first, second = part(digits, "01234"), part(digits, "56789")     # one head for all ten
small = only(digits, "01234")                                    # five classes, labels 0 to 4
sideways = turned(digits, 1)                                     # the same digits, a quarter turned
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlcourse.checks import whole_number
from tlcourse.data.examples import SPLITS
from tlcourse.errors import DataError

if TYPE_CHECKING:
    from tlcourse.data.core import Data
from tlcourse.data.examples import Split


def part(data: Data, classes: Sequence[str]) -> Data:
    """The examples of these classes. Labels and `classes` stay those of the whole data set, so that one
    head over all classes can learn them part by part. (`only` renumbers the labels.)

    Raises DataError for an unknown class, or for none at all.
    """
    import torch

    wanted = torch.tensor([data.classes.index(name) for name in _known(data, classes)])

    def rows(split: Split) -> Split:
        return split.rows(torch.isin(split.y, wanted).nonzero().squeeze(1))

    return data.map(rows, recipe={"part": list(classes), "of": data.recipe})


def only(data: Data, classes: Sequence[str]) -> Data:
    """The data set with these classes only, labels numbered in the order given.

    Raises DataError for an unknown class, a repeated one, or none at all.

    >>> only(digits, "735").classes
    ('7', '3', '5')
    """
    import torch

    classes = _known(data, classes)
    label = torch.full((len(data.classes),), -1)
    label[[data.classes.index(name) for name in classes]] = torch.arange(len(classes))

    def rows(split: Split) -> Split:
        new = label[split.y]
        kept = (new >= 0).nonzero().squeeze(1)
        return split.rows(kept, y=new[kept])

    return data.map(rows, classes=classes, recipe={"only": list(classes), "of": data.recipe})


def join(parts: Sequence[Data]) -> Data:
    """Data sets with different classes and the same shape (alphabets, scripts) as one, split by split.

    Labels are numbered consecutively. Raises DataError if two data sets share a class, or shapes differ.
    """
    parts = list(parts)
    if not parts:
        raise DataError("There is nothing to join: give at least one data set.")
    classes = tuple(name for part in parts for name in part.classes)
    if twice := [name for name in classes if classes.count(name) > 1]:
        raise DataError(f"Class {twice[0]!r} is in two of these data sets: rename it in one.")
    shapes = {tuple(part.train.x.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise DataError(
            f"Examples of shapes {sorted(shapes)} cannot be joined: load them at the same size."
        )
    starts = [sum(len(part.classes) for part in parts[:at]) for at in range(len(parts))]
    return replace(
        parts[0],
        title=" + ".join(part.title for part in parts),
        **{name: _together([getattr(part, name) for part in parts], starts) for name in SPLITS},
        classes=classes,
        recipe={"joined": [part.recipe for part in parts]},
    )


def turned(data: Data, quarters: int) -> Data:
    """Every picture rotated to the left by 90° · `quarters`; labels stay, masks and boxes are dropped.
    Raises DataError for anything but pictures, or if quarters is not a whole number."""
    if data.train.x[:1].ndim != 4:
        raise DataError(f"{data.name} has no pictures to turn.")
    quarters = whole_number(quarters, "quarters", DataError)

    def turn(split: Split) -> Split:
        return replace(split, x=split.x.rot90(quarters, (2, 3)).contiguous(), masks=None, boxes=())

    return data.map(turn, recipe={"turned": quarters, "of": data.recipe})


def _known(data: Data, classes: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(classes)
    if unknown := [name for name in chosen if name not in data.classes]:
        raise DataError(
            f"{data.name} has no class {unknown[0]!r}. There are: {', '.join(data.classes)}."
        )
    if len(set(chosen)) < len(chosen) or not chosen:
        raise DataError(
            f"classes={list(chosen)!r} must name one or more, each once, of: {', '.join(data.classes)}."
        )
    return chosen


def _together(splits: list[Split], starts: list[int]) -> Split:
    import torch

    masks = [split.masks for split in splits]
    return replace(
        splits[0],
        x=torch.cat([split.x for split in splits]),
        y=torch.cat([split.y + start for split, start in zip(splits, starts, strict=True)]),
        ids=tuple(id for split in splits for id in split.ids),
        texts=tuple(text for split in splits for text in split.texts),
        masks=None if masks[0] is None else torch.cat(masks),
        boxes=tuple(box for split in splits for box in split.boxes),
    )
