"""Some of the classes, or those of several data sets together: who is trained on, who is examined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from tlcourse.errors import DataError

if TYPE_CHECKING:
    from tlcourse.data import Data, Split

PARTS = ("train", "valid", "test")


def only(data: Data, classes: Sequence[str]) -> Data:
    """The data set with these classes alone, their labels numbered in the order in which they are named.

    Raises DataError for a class that it does not have, or one that is named twice.
    """
    classes = tuple(classes)
    if unknown := [name for name in classes if name not in data.classes]:
        raise DataError(
            f"{data.name} has no class {unknown[0]!r}. It has: {', '.join(data.classes)}."
        )
    if len(set(classes)) < len(classes) or not classes:
        raise DataError(f"classes={list(classes)!r} must name one class or more, each once.")
    label = torch.full((len(data.classes),), -1)
    label[[data.classes.index(name) for name in classes]] = torch.arange(len(classes))
    parts = {name: _rows(getattr(data, name), label) for name in PARTS}
    return replace(
        data, **parts, classes=classes, recipe={"only": list(classes), "of": data.recipe}
    )


def join(parts: Sequence[Data]) -> Data:
    """Data sets of one shape with classes of their own (alphabets, scripts) as one, split by split.

    Labels are numbered on from one to the next. Raises DataError where a class is in two of them, or
    their examples do not have the same shape.
    """
    parts = list(parts)
    if not parts:
        raise DataError("There is nothing to join: give one data set or more.")
    classes = tuple(name for part in parts for name in part.classes)
    if twice := [name for name in classes if classes.count(name) > 1]:
        raise DataError(f"Class {twice[0]!r} is in two of these data sets: rename it in one.")
    shapes = {tuple(part.train.x.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise DataError(f"Examples of shapes {sorted(shapes)} cannot be joined: load them alike.")
    starts = [sum(len(part.classes) for part in parts[:at]) for at in range(len(parts))]
    first = parts[0]
    return replace(
        first,
        title=" + ".join(part.title for part in parts),
        **{name: _together([getattr(part, name) for part in parts], starts) for name in PARTS},
        classes=classes,
        recipe={"joined": [part.recipe for part in parts]},
    )


def _rows(split: Split, label: torch.Tensor) -> Split:
    """The examples whose class has a new label ≥ 0."""
    new = label[split.y]
    rows = (new >= 0).nonzero().squeeze(1)
    places = rows.tolist()
    return replace(
        split,
        x=split.x[rows],
        y=new[rows],
        ids=tuple(split.ids[at] for at in places),
        texts=tuple(split.texts[at] for at in places) if split.texts else (),
        masks=split.masks[rows] if split.masks is not None else None,
        boxes=tuple(split.boxes[at] for at in places) if split.boxes else (),
    )


def _together(splits: list[Split], starts: list[int]) -> Split:
    first = splits[0]
    return replace(
        first,
        x=torch.cat([split.x for split in splits]),
        y=torch.cat([split.y + start for split, start in zip(splits, starts, strict=True)]),
        ids=tuple(id for split in splits for id in split.ids),
        texts=tuple(text for split in splits for text in split.texts),
        masks=torch.cat([s.masks for s in splits]) if first.masks is not None else None,
        boxes=tuple(box for split in splits for box in split.boxes),
    )
