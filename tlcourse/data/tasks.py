"""Another task out of a data set: some of its classes, or the same pictures held another way.

first, second = part(digits, "01234"), part(digits, "56789")     # one head for all ten
sideways = turned(digits, 1)                                     # the same digits, a quarter turned
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlcourse.errors import DataError

if TYPE_CHECKING:
    from tlcourse.data.core import Data, Split

SPLITS = ("train", "valid", "test")


def part(data: Data, classes: Sequence[str]) -> Data:
    """The examples of these classes. Labels and `classes` stay those of the whole, so that one head over
    all classes can learn them part by part. (`tlcourse.methods.only` numbers the labels anew.)

    Raises DataError for a class that the data set does not have, or for none at all.
    """
    import torch

    chosen = tuple(classes)
    if not chosen:
        raise DataError(f"A part has one class or more. There are: {', '.join(data.classes)}.")
    if unknown := [name for name in chosen if name not in data.classes]:
        raise DataError(
            f"{data.name} has no class {unknown[0]!r}. There are: {', '.join(data.classes)}."
        )
    wanted = torch.tensor([data.classes.index(name) for name in chosen])

    def rows(split: Split) -> Split:
        at = torch.isin(split.y, wanted).nonzero().squeeze(1)
        places = at.tolist()
        return replace(
            split,
            x=split.x[at],
            y=split.y[at],
            ids=tuple(split.ids[i] for i in places),
            texts=tuple(split.texts[i] for i in places) if split.texts else (),
            masks=None if split.masks is None else split.masks[at],
            boxes=tuple(split.boxes[i] for i in places) if split.boxes else (),
        )

    return _made(data, rows, {"part": list(chosen), "of": data.recipe})


def turned(data: Data, quarters: int) -> Data:
    """Every picture turned to the left by 90° · `quarters`, labels as they were; no masks, no boxes.
    Raises DataError for anything but pictures, or a number of quarters that is not whole."""
    if data.train.x[:1].ndim != 4:
        raise DataError(f"{data.name} has no pictures to turn.")
    if isinstance(quarters, bool) or not isinstance(quarters, int):
        raise DataError(f"quarters={quarters!r} is a whole number of quarter turns: 1, 2 or 3.")

    def turn(split: Split) -> Split:
        return replace(split, x=split.x.rot90(quarters, (2, 3)).contiguous(), masks=None, boxes=())

    return _made(data, turn, {"turned": quarters, "of": data.recipe})


def _made(data: Data, change: Callable[[Split], Split], recipe: dict) -> Data:
    return replace(data, **{name: change(getattr(data, name)) for name in SPLITS}, recipe=recipe)
