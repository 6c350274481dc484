"""Omniglot: characters of eight alphabets, each drawn by twenty people. For few-shot learning.

The domains are "all" (the default) and the alphabets. Unlike other domains, each has its own classes:
does what was learned on some alphabets help on one that was never seen?

    seen = load_data("omniglot", domain="korean")        # 40 characters
    unseen = load_data("omniglot", domain="sanskrit")    # 42 others, for the episodes

With "all", a class is named by alphabet and number ("greek 07"), so several alphabets can be selected
by prefix.
"""

from __future__ import annotations

from tlcourse.data.examples import Source

ALPHABETS = {
    "balinese": "Balinese",
    "early_aramaic": "Early_Aramaic",
    "greek": "Greek",
    "japanese_katakana": "Japanese_(katakana)",
    "korean": "Korean",
    "latin": "Latin",
    "sanskrit": "Sanskrit",
    "tagalog": "Tagalog",
}
DRAWERS = 20


def read(size: int, domain: str = "all") -> Source:
    """Of an alphabet's twenty people, five are for testing and three for validation, with all their
    drawings, so nobody's handwriting is in two splits; 12 drawings of each character are the pool.

    Greek and Latin are in both of Omniglot's small sets with identical drawings (1,000 files); the card
    has them once. No duplicates. Black strokes on white.
    """
    import numpy as np
    import torch
    from PIL import Image

    from tlcourse.data.sources.handwriting import grey_images
    from tlcourse.data.splits import shuffled
    from tlcourse.supply import fetch

    root = fetch("omniglot")
    alphabets = list(ALPHABETS) if domain == "all" else [domain]
    small, labels, ids, given, classes = [], [], [], [], []
    for alphabet in alphabets:
        order = shuffled([f"{drawer:02d}" for drawer in range(1, DRAWERS + 1)], alphabet)
        place = dict.fromkeys(order, "train")
        place |= dict.fromkeys(order[:5], "test") | dict.fromkeys(order[5:8], "valid")
        for folder in sorted((root / ALPHABETS[alphabet]).iterdir()):
            for path in sorted(folder.glob("*.png")):
                with Image.open(path) as image:
                    small.append(np.asarray(image.convert("L")))
                labels.append(len(classes))
                ids.append(f"{alphabet}/{path.stem}")
                given.append(place[path.stem[-2:]])
            classes.append(f"{alphabet.replace('_', ' ')} {folder.name.removeprefix('character')}")
    what = f"{len(alphabets)} alphabets" if domain == "all" else domain.replace("_", " ")
    return Source(
        title=f"Omniglot, {what}: {len(classes)} characters × {DRAWERS} people",
        x=grey_images(small, size),
        y=torch.tensor(labels),
        ids=ids,
        classes=tuple(classes),
        valid=0,
        test=0,
        given=given,
    )
