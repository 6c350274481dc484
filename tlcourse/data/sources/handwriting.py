"""MNIST and USPS: the same ten digits, by different people, pens and scanners.

Both are white on black. MNIST's digits were fitted into 20 × 20 pixels and centred by mass in 28 × 28;
USPS's fill 16 × 16 pixels to the edge. At the default of 28 pixels, MNIST is unchanged and USPS is
enlarged, as is usual for transfer between them: the shift is in thickness and margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlcourse.data.examples import Source

if TYPE_CHECKING:
    import numpy as np

DIGITS = tuple("0123456789")


def read_mnist(size: int, domain: str | None = None) -> Source:
    """6,000 digits of MNIST. The published test set is kept: 100 of each digit, by people who are not in
    the training set. Of the 500 training pictures per digit, 50 are for validation. No duplicates."""
    import numpy as np
    from PIL import Image

    from tlcourse.supply import fetch

    root = fetch("mnist")
    files = sorted(root.glob("*/*/*.png"))
    small = []
    for path in files:
        with Image.open(path) as image:
            small.append(np.asarray(image))
    return _digits(
        "MNIST, 6,000 handwritten digits",
        small,
        labels=[int(path.parent.name) for path in files],
        ids=[path.relative_to(root).as_posix() for path in files],
        given=["test" if path.parts[-3] == "test" else "" for path in files],
        size=size,
    )


def read_usps(size: int, domain: str | None = None) -> Source:
    """9,298 digits of USPS. The published test set of 2,007 is kept (147 to 359 per digit, so not
    balanced). Of the 542 to 1,194 training pictures per digit, 50 are for validation. No duplicates."""
    import h5py
    import numpy as np

    from tlcourse.supply import fetch

    small, labels, ids, given = [], [], [], []
    with h5py.File(fetch("usps") / "usps.h5", "r") as file:
        for name in ("train", "test"):
            grey = file[name]["data"][:].reshape(-1, 16, 16)  # float32 in [0, 1]
            small += list((grey * 255).round().astype(np.uint8))
            labels += file[name]["target"][:].tolist()
            ids += [f"{name}/{index:04d}" for index in range(len(grey))]
            given += [name if name == "test" else ""] * len(grey)
    return _digits("USPS, 9,298 handwritten digits", small, labels, ids, given, size)


def _digits(
    title: str,
    small: list[np.ndarray],
    labels: list[int],
    ids: list[str],
    given: list[str],
    size: int,
) -> Source:
    import torch

    return Source(
        title=title,
        x=grey_images(small, size),
        y=torch.tensor(labels),
        ids=ids,
        classes=DIGITS,
        valid=50,
        test=0,  # published
        given=given,
    )


def grey_images(small: Sequence[np.ndarray], size: int):
    """(N, 3, size, size) uint8 from N grey uint8 pictures, smoothly resized; three equal channels."""
    import numpy as np
    import torch
    from PIL import Image

    side = (size, size)
    large = [
        picture
        if picture.shape == side
        else np.asarray(Image.fromarray(picture).resize(side, Image.Resampling.BICUBIC))
        for picture in small
    ]
    return torch.from_numpy(np.stack(large))[:, None].repeat(1, 3, 1, 1)
