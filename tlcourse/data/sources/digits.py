"""Handwritten digits of UCI's Optical Recognition set, embedded in scikit-learn.

1,797 real digits (Alpaydin & Kaynak 1998, https://doi.org/10.24432/C50P49) of 8×8 counts from 0 to
16. They are the test part of the UCI set, written by 13 people; who wrote which is not recorded, so
one person's digits may be in both training and test sets.
"""

from tlcourse.data.examples import Source


def read(size: int, domain: str | None = None) -> Source:
    """All digits, smoothly enlarged to size × size and repeated over three channels.

    Of each digit, 50 are for testing and 10 for validation; the other 114 to 123 are the pool.
    """
    import numpy as np
    import torch
    from PIL import Image

    from tlcourse.supply import fetch

    # Read from the file itself, verified: importing scikit-learn takes seconds.
    rows = np.loadtxt(fetch("digits") / "digits.csv.gz", delimiter=",")
    small = (rows[:, :64].reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
    large = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
        for image in small
    ]
    grey = torch.from_numpy(np.stack(large))
    return Source(
        title="Handwritten digits (UCI, 8×8 pixels, embedded)",
        x=grey[:, None].repeat(1, 3, 1, 1),
        y=torch.from_numpy(rows[:, 64]).long(),
        ids=[f"{index:04d}" for index in range(len(small))],
        classes=tuple("0123456789"),
        valid=10,
        test=50,
    )
