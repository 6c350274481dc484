"""Photos of a production line as a renderer draws them: embedded, nothing is fetched.

Brushed steel, paint, wood and fabric under changing light, good or with one of six flaws, each with
its mask and its box. Two lines, `line-a` and `line-b`, have other lamps, cameras and parts: what was
learned on one is worth less on the other. `tlcourse.data.surface` draws them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlcourse.data.core import Source
from tlcourse.data.surface.lines import CLASSES, LINES
from tlcourse.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

BATCHES = 50  # of 8 pictures a class: 400 a class and line
TEST, VALID = 120, 40
SMALLEST, LARGEST = 48, 128


def read(size: int, domain: str | None = None) -> Source:
    """2,800 pictures of a line, 400 of each class; 120 are set aside for test and 40 for validation.

    In a box lies the whole flaw: all holes of a cluster of pits, a crack with its branches. Good
    parts have no box and an empty mask. Raises DataError for a size other than 48 to 128 pixels.
    """
    import torch

    from tlcourse.data.surface.render import render

    if not SMALLEST <= size <= LARGEST:
        raise DataError(
            f"size={size} is not possible: surfaces are drawn at {SMALLEST} to {LARGEST} pixels,"
            f" smaller ones would not show their flaws."
        )
    domain = domain or next(iter(LINES))
    batches = [render(domain, number, size) for number in range(BATCHES)]
    y = torch.cat([batch.y for batch in batches])
    masks = torch.cat([batch.masks for batch in batches])
    return Source(
        title=f"Surfaces of a production line ({domain}: {LINES[domain].title}; rendered, embedded)",
        x=torch.cat([batch.x for batch in batches]),
        y=y,
        ids=[f"{domain}/{index:04d}" for index in range(len(y))],
        classes=CLASSES,
        valid=VALID,
        test=TEST,
        masks=masks,
        boxes=boxes_of(masks, y),
        things=CLASSES[1:],
    )


def boxes_of(masks: Tensor, y: Tensor) -> list[Tensor]:
    """For each mask (N, H, W) the smallest box around it, (1, 5) as in `Split`; (0, 5) if it is empty.

    Of a label i ≥ 1 the box is marked i - 1: good parts come first among classes, and are no thing.
    """
    import torch

    rows, columns = masks.amax(2).bool(), masks.amax(1).bool()
    edges = []
    for filled in (columns, rows):
        first = filled.to(torch.uint8).argmax(1)
        last = filled.shape[1] - filled.flip(1).to(torch.uint8).argmax(1)
        edges += [first, last]
    left, right, top, bottom = edges
    table = torch.stack((left, top, right, bottom, y - 1), dim=1).float()
    return [table[i : i + 1] if rows[i].any() else table[:0] for i in range(len(y))]
