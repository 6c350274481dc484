"""Magnetic tiles from a production line: five kinds of defect, with masks, and tiles without.

A defective tile was photographed with up to six exposures (`exp1` to `exp6` in the names, from dark to
bright), so its photos differ in little but brightness. The number in a name is the frame of the
recording: photos of a class that are at most 400 frames apart count as one tile here (sometimes that
merges neighbouring tiles, which does no harm), and a tile that was recorded again later is listed
below. The photos of a tile stay in one split. Found by comparing all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlcourse.data.examples import Source

if TYPE_CHECKING:
    import numpy as np

FOLDERS = {
    "blowhole": "MT_Blowhole",
    "break": "MT_Break",
    "crack": "MT_Crack",
    "fray": "MT_Fray",
    "free": "MT_Free",
    "uneven": "MT_Uneven",
}
GAP = 400  # frames
# First and last frame of a range in which the same cracked tile was recorded three times.
AGAIN = ((85602, 88201),)
# Four photos whose class contradicts that of the tile's other photos.
CONTRADICTED = {
    "MT_Blowhole/exp3_num_853",  # exp0_num_797 and exp6_num_972: fray
    "MT_Break/exp3_num_77583",  # five others: fray
    "MT_Crack/exp1_num_276355",  # five others: break
    "MT_Free/exp1_num_148923",  # three others: break
}


def read(size: int, domain: str | None = None) -> Source:
    """508 photos of 6 classes (32 fray to 119 free). Of each class, tiles with at least 10 photos in all
    are for testing, with at least 5 for validation; the rest is the pool. Twelve photos of a defect show
    only two tiles, so a test accuracy rests on a dozen tiles and may be far off.

    Tiles have aspect ratios up to 2.7, and breaks and frays are at their edges, so nothing is cropped:
    photo and mask are resized to a square. A mask's pixel is 1 where the defect covers at least a
    quarter of it. Masks of tiles without a defect are empty, and so are those of four photos of the
    class uneven (five at 128 pixels).
    """
    import numpy as np
    import torch

    from tlcourse.data.sources.photos import decode
    from tlcourse.supply import fetch

    root = fetch("magnetic-tile")
    files = {
        f"{folder}/{path.stem}": path
        for folder in FOLDERS.values()
        for path in sorted((root / folder / "Imgs").glob("*.jpg"))
    }
    ids = [id for id in files if id not in CONTRADICTED]
    labels = [list(FOLDERS.values()).index(id.split("/")[0]) for id in ids]
    photos = np.stack([decode(files[id], size, whole=True) for id in ids])
    masks = np.stack([_mask(files[id].with_suffix(".png"), size) for id in ids])
    return Source(
        title="Magnetic tiles: 5 kinds of defect, and none",
        x=torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous(),
        y=torch.tensor(labels),
        ids=ids,
        classes=tuple(FOLDERS),
        valid=5,
        test=10,
        masks=torch.from_numpy(masks),
        kin=tiles(ids),
    )


def tiles(ids: Sequence[str]) -> list[str]:
    """The name of each photo's tile: its class and the first frame that shows it.

    >>> tiles(["MT_Fray/exp1_num_20362", "MT_Fray/exp2_num_20390", "MT_Fray/exp1_num_77531"])
    ['MT_Fray/20362', 'MT_Fray/20362', 'MT_Fray/77531']
    """
    order = sorted(ids, key=lambda id: (id.split("/")[0], _frame(id)))
    tile: dict[str, str] = {}
    before = None
    for id in order:
        folder = id.split("/")[0]
        near = before is not None and before.split("/")[0] == folder
        near = near and (
            _frame(id) - _frame(before) <= GAP
            or any(first < _frame(id) <= last for first, last in AGAIN)
        )
        tile[id] = tile[before] if near else f"{folder}/{_frame(id)}"
        before = id
    return [tile[id] for id in ids]


def _frame(id: str) -> int:
    return int(id.rsplit("_", 1)[1])


def _mask(path: Path, size: int) -> np.ndarray:
    """(size, size) uint8 of 0 and 1. The PNGs have soft edges: 0 to 255, cut at the half."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        hard = Image.fromarray((np.asarray(image.convert("L")) > 127).astype(np.uint8) * 255)
    return (np.asarray(hard.resize((size, size), Image.Resampling.BOX)) >= 64).astype(np.uint8)
