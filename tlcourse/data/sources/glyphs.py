"""Characters of many scripts, in the fonts that matplotlib ships, rendered to look handwritten.

Printed ink (`data.render.ink`) is drawn with a pen, distorted, put on paper and blurred. The set has no
digit and nothing that reads as one, so that digits remain a target, and no two characters that people
confuse. Rendered and embedded: nothing is downloaded.

The domains are "all" (the default) and the scripts. As in Omniglot, each script has its own classes:
does what was learned on some scripts help on one that was never seen?

    every = load_data("glyphs")                       # a source for digits
    lao = load_data("glyphs", domain="lao")           # characters for episodes

A class is named by its character; `scripts()` gives its script, `unicodedata.name` its name.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from tlcourse.data.examples import Source
from tlcourse.errors import DataError
from tlcourse.rng import checked_seed

if TYPE_CHECKING:
    from torch import Tensor

COPIES, TEST, VALID = 40, 10, 5  # pictures per character
SMALLEST, LARGEST = 16, 96
# Scripts that pocket-glyphs, which was pre-trained on printed characters, has not seen.
UNSEEN_BY_POCKET_GLYPHS = ("lao", "ogham", "old_italic", "fraktur", "script", "apl")
AT_ONCE = 5  # characters; more do not fit in a core's cache


def read(size: int, domain: str = "all") -> Source:
    """40 pictures of each character of a script, or of all; 10 are for testing and 5 for validation.

    Raises DataError for a size other than 16 to 96 pixels, and warns if matplotlib's fonts are not
    those that the published figures were made with.
    """
    import torch

    if not SMALLEST <= size <= LARGEST:
        raise DataError(
            f"size={size} is not possible: glyphs are drawn at {SMALLEST} to {LARGEST} pixels, from"
            f" ink of 48."
        )
    check_fonts()
    chosen = scripts() if domain == "all" else {domain: scripts()[domain]}
    classes = "".join(chosen.values())
    ids = [
        f"{script}/{ord(character):05x}-{copy:02d}"
        for script, own in chosen.items()
        for character in own
        for copy in range(COPIES)
    ]
    what = f"{len(chosen)} scripts" if domain == "all" else domain.replace("_", " ")
    return Source(
        title=f"Glyphs, {what}: {len(classes)} characters × {COPIES} (rendered, embedded)",
        x=draw(classes, size),
        y=torch.arange(len(classes)).repeat_interleave(COPIES),
        ids=ids,
        classes=tuple(classes),
        valid=VALID,
        test=TEST,
    )


@cache
def scripts() -> dict[str, str]:
    """Each script's characters, in Unicode order.

    >>> scripts()["greek"][:3]
    'Ξλμ'
    """
    return dict(_table("characters.tsv"))


def check_fonts() -> None:
    """Warn if a font differs from that of the first release, since its pictures may differ too."""
    from tlcourse.data.render.ink import font_file

    changed = [
        name
        for name, digest in _table("fonts.tsv")
        if sha256(font_file(name).read_bytes()).hexdigest() != digest
    ]
    if changed:
        import matplotlib

        warnings.warn(
            f"matplotlib {matplotlib.__version__} has other versions of {', '.join(changed)} than the"
            f" glyphs data set was made with: pictures and figures may differ slightly from those"
            f" published.",
            stacklevel=2,
        )


def draw(characters: str, size: int = 32, *, copies: int = COPIES, seed: int = 0) -> Tensor:
    """(len(characters) · copies, 3, size, size) uint8: each character's pictures, one after another.

    A character's pictures depend only on (character, copies, seed) and the fonts, not on other
    characters, and show the same at every size.
    """
    import torch

    from tlcourse.data.render.ink import FONTS
    from tlcourse.data.render.scrawl import Paper, scrawl, throw

    seed = checked_seed(seed, DataError)
    for character in characters:  # before the threads start: FreeType allows one thread at a time
        _drawings(character, FONTS)
    paper = Paper(size)

    def part(first: int) -> Tensor:
        some = characters[first : first + AT_ONCE]
        ink = torch.stack([_ink(character, copies, seed) for character in some]).flatten(0, 1)
        dice = torch.cat([throw(copies, _seed(character, seed)) for character in some])
        return scrawl(ink, dice, size, paper)

    # One part per thread, as in `surfaces`: torch's own threads would split every small operation.
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        parts = list(pool.map(part, range(0, len(characters), AT_ONCE)))
    torch.set_num_threads(threads)  # the default for new threads
    return torch.cat(parts)


def _ink(character: str, copies: int, seed: int) -> Tensor:
    """(copies, 1, 48, 48): from each font that has the character, in turn."""
    import torch

    from tlcourse.data.render.ink import FONTS

    drawn = _drawings(character, FONTS)
    return drawn[torch.arange(copies) % len(drawn)]


@cache
def _drawings(character: str, fonts: tuple[str, ...]) -> Tensor:
    from tlcourse.data.render.ink import bank, has

    if not any(has(name, character) for name in fonts):
        raise DataError(
            f"None of matplotlib's fonts has {character!r} (U+{ord(character):04X}). Use another"
            f" version of matplotlib."
        )
    return bank(character, fonts)[0]


def _seed(character: str, seed: int) -> int:
    return int.from_bytes(sha256(f"glyphs\n{seed}\n{character}".encode()).digest()[:7], "big")


def _table(name: str) -> list[tuple[str, str]]:
    from tlcourse.supply import fetch

    text = (fetch("glyphs") / name).read_text(encoding="utf-8")
    return [tuple(line.split("\t")) for line in text.splitlines()]
