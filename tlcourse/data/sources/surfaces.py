"""Rendered photos of a production line, embedded: nothing is downloaded.

Brushed steel, paint, wood and fabric under changing light, good or with one of six flaws, with masks
and boxes. The two lines, `line-a` and `line-b`, have different lamps, cameras and parts: what a model
learns on one is worth less on the other. `tlcourse.data.render.surface` renders them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tlcourse.data.examples import Source
from tlcourse.data.render.surface.lines import CLASSES, LINES
from tlcourse.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from tlcourse.data.render.surface.render import Batch

BATCHES = 50  # of 8 pictures per class: 400 per class and line
TEST, VALID = 120, 40
LARGEST = 256


def read(size: int, domain: str | None = None) -> Source:
    """2,800 pictures of a line, 400 of each class; 120 are for testing and 40 for validation.

    A box contains the whole flaw: all holes of a cluster, a crack with its branches. Good parts have no
    box and an empty mask. Made for 48 to 128 pixels; smaller pictures show little of the flaws. Raises
    DataError for more than 256.
    """
    import torch

    if size > LARGEST:
        raise DataError(
            f"size={size} is not possible: surfaces are drawn at up to {LARGEST} pixels, all 2,800"
            f" at once; larger ones would fill the memory."
        )
    domain = domain or next(iter(LINES))
    batches = _drawn(domain, size)
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


def _drawn(domain: str, size: int) -> list[Batch]:
    """All batches, one per thread at a time: torch's own threads would split every small operation,
    which gains little and, on busy cores, costs ten times what it gains."""
    import torch

    from tlcourse.data.render.surface.render import render

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        batches = list(pool.map(lambda number: render(domain, number, size), range(BATCHES)))
    # The number of threads is set per thread, but new threads start with the last value.
    torch.set_num_threads(threads)
    return batches


def boxes_of(masks: Tensor, y: Tensor) -> list[Tensor]:
    """The smallest box around each mask of (N, H, W), (1, 5) as in `Split`; (0, 5) if it is empty.

    A box of label i ≥ 1 has index i - 1: class 0 are good parts, which have no box.
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
