"""Photos stored as CLASS/NAME.jpg, decoded to squares of one size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlcourse.data.examples import Source
from tlcourse.errors import DataError

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = {".jpg", ".jpeg", ".png"}


def read_caltech24(size: int, domain: str | None = None) -> Source:
    """24 classes × 60 photos of Caltech-101: per class 15 for testing, 5 for validation, 40 in the pool.

    No two photos have the same bytes, nor the same pixels at 128 px. There are near-duplicates (the same
    face or leopard from one photo session), as everywhere in Caltech-101.
    """
    from tlcourse.supply import fetch

    root = fetch("caltech24") / "101_ObjectCategories"
    return read_folder(
        root, title="Caltech-101, 24 classes × 60 photos", size=size, valid=5, test=15
    )


def read_folder(
    root: Path, *, title: str, size: int, valid: int, test: int, prefix: str = ""
) -> Source:
    """Every photo in root/CLASS/. Class names are folder names in lower case with spaces; ids are
    `prefix` + `CLASS/NAME.jpg`."""
    import numpy as np
    import torch

    files = sorted(path for path in root.glob("*/*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(
            f"There are no photos in {root}. Remove that folder and fetch the data again."
        )
    folders = sorted({path.parent.name for path in files}, key=str.lower)
    pixels = np.stack([decode(path, size) for path in files])
    return Source(
        title=title,
        x=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        y=torch.tensor([folders.index(path.parent.name) for path in files]),
        ids=[f"{prefix}{path.parent.name}/{path.name}" for path in files],
        classes=tuple(name.lower().replace("_", " ") for name in folders),
        valid=valid,
        test=test,
    )


def decode(path: Path, size: int, *, whole: bool = False) -> np.ndarray:
    """The centre square as (size, size, 3) uint8: the shorter side becomes `size` pixels. `whole`: the
    whole picture, resized to a square.

    `draft` lets the JPEG decoder skip resolution that is not needed, down to twice the size, so that the
    antialiased resize still determines the result.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * size, 2 * size))
            image = image.convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(
            f"The picture {path} cannot be read ({error}). Remove it and fetch the data again."
        ) from error
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = None if whole else (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box))
