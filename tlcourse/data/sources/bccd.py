"""BCCD: blood cells under a microscope, with a box around every cell. For detection.

The data set has no class labels, so the label here is whether the image contains any platelets; the
boxes have the details.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from tlcourse.data.examples import Source
from tlcourse.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

THINGS = ("RBC", "WBC", "Platelets")  # red cell, white cell, platelets
WIDTH, HEIGHT = 640, 480
PLACES = {"test": "test", "val": "valid", "train": "train"}  # in order of precedence

# Photos of the same field (shifted a little, or refocused): found by correlating all pairs at all
# shifts with an overlap of at least 30 % (correlation 0.75 or more), and checked by eye. The slide was
# scanned back and forth.
FIELDS = (
    (19, 20), (37, 38), (204, 205, 276, 277), (206, 278), (223, 263), (224, 264), (225, 262),
    (226, 261), (227, 260), (228, 259), (229, 258), (230, 257), (231, 256), (232, 255), (233, 254),
    (236, 253), (237, 252), (239, 240), (242, 248, 249), (243, 250), (244, 247), (377, 400),
    (381, 397), (382, 395), (384, 393), (386, 391),
)  # fmt: skip


def read(size: int, domain: str | None = None) -> Source:
    """345 of the 364 photos with 4,635 boxes; x is the whole photo, 640 × 480, resized to a square.

    y: 0 without platelets, 1 with. The authors' lists define the splits, but 19 of their training or
    validation photos show a field that is also in a split of higher precedence (test, then validation,
    then training) and are left out, as are two boxes without area. The box of a cell that is cut off
    ends at the edge.
    """
    import numpy as np
    import torch

    from tlcourse.data.sources.photos import decode
    from tlcourse.supply import fetch

    root = fetch("bccd") / "BCCD"
    place = independent(read_lists(root / "ImageSets" / "Main"))
    ids = sorted(place)
    boxes = [read_boxes(root / "Annotations" / f"{id}.xml", size) for id in ids]
    photos = [decode(root / "JPEGImages" / f"{id}.jpg", size, whole=True) for id in ids]
    return Source(
        title="BCCD, blood cells with boxes",
        x=torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous(),
        y=torch.tensor([int((box[:, 4] == THINGS.index("Platelets")).any()) for box in boxes]),
        ids=ids,
        classes=("no platelets", "platelets"),
        valid=0,
        test=0,
        boxes=boxes,
        things=THINGS,
        given=[place[id] for id in ids],
    )


def read_lists(folder: Path) -> dict[str, str]:
    """Each photo's split according to the authors' lists."""
    return {
        id: place
        for name, place in PLACES.items()
        for id in (folder / f"{name}.txt").read_text("utf-8").split()
    }


def independent(place: dict[str, str]) -> dict[str, str]:
    """The photos without those whose field is also in a split of higher precedence."""
    guarded = list(PLACES.values())
    kept = dict(place)
    for numbers in FIELDS:
        members = [f"BloodImage_{number:05d}" for number in numbers]
        first = min(guarded.index(place[id]) for id in members)
        for id in members:
            if place[id] != guarded[first]:
                kept.pop(id, None)
    return kept


def read_boxes(path: Path, size: int) -> Tensor:
    """(K, 5) float32 as in `Split.boxes`, from a Pascal VOC file, whose pixels count from 1."""
    import torch

    rows = []
    for thing in ElementTree.parse(path).iter("object"):
        name = thing.findtext("name")
        if name not in THINGS:
            raise DataError(f"{path.name} marks a {name!r}. BCCD has: {', '.join(THINGS)}.")
        left, top, right, bottom = (
            int(thing.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        if left < right and top < bottom:
            rows.append((max(left - 1, 0), max(top - 1, 0), right, bottom, THINGS.index(name)))
    scale = torch.tensor([size / WIDTH, size / HEIGHT, size / WIDTH, size / HEIGHT, 1])
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 5) * scale
