"""PACS: seven classes as photo, painting, cartoon and sketch.

Some pictures appear more than once: cropped, mirrored, or with another background. We found them by
the similarity of MobileNetV2's features, of the pictures and their mirror images, and by looking at
all 945 that are not sketches. Copies stay in one split.
"""

from __future__ import annotations

from dataclasses import replace

from tlcourse.data.examples import Source

# domain/class: numbers in the files' names.
COPIES = {
    "photo/guitar": ((2, 10), (38, 52)),
    "photo/house": ((4, 18), (8, 21), (10, 34), (15, 43)),
    "art_painting/elephant": ((8, 23),),
    "art_painting/giraffe": ((10, 28),),
    "art_painting/guitar": ((6, 32),),
    "art_painting/horse": ((47, 48),),
    "cartoon/dog": ((8, 23), (18, 44)),
    "cartoon/elephant": ((1, 4), (7, 16), (8, 14, 20)),
    "cartoon/giraffe": ((5, 15, 22, 42), (9, 28), (16, 25), (33, 37)),
    "cartoon/horse": ((11, 36), (19, 28)),
    "cartoon/house": ((1, 22), (12, 44)),
    "cartoon/person": ((1, 44), (4, 7)),
}
# The 45 photos of people show three men.
MEN = {range(1, 22): "train", range(22, 42): "test", range(42, 46): "valid"}


def read(size: int, domain: str) -> Source:
    """One of the four styles, 7 classes × 45 pictures: 15 for testing, 5 for validation, 25 in the pool,
    or one more or less where copies stay together.

    The photos of people show only three men: one for training (21 photos), one for testing (20), one
    for validation (4). A model that has learned the first has not learned what a person is.
    """
    from tlcourse.data.sources.photos import read_folder
    from tlcourse.supply import fetch

    title = f"PACS, 7 classes × 45, {domain.replace('_', ' ')}"
    root = fetch("pacs") / "PACS" / domain
    source = read_folder(root, title=title, size=size, valid=5, test=15, prefix=f"{domain}/")
    return replace(
        source, given=[_man(id) for id in source.ids], kin=[_original(id) for id in source.ids]
    )


def _number(id: str) -> int:
    return int(id.rsplit("/", 1)[1].split(".")[0].split("_")[-1])


def _man(id: str) -> str:
    if not id.startswith("photo/person/"):
        return ""
    return next(place for numbers, place in MEN.items() if _number(id) in numbers)


def _original(id: str) -> str:
    """The name that a picture shares with its copies."""
    folder = id.rsplit("/", 1)[0]
    for numbers in COPIES.get(folder, ()):
        if _number(id) in numbers:
            return f"{folder}/{numbers[0]}"
    return id
