"""Characters rendered from the fonts that matplotlib ships, before any distortion.

For `glyphs`, and for the pre-training of pocket-glyphs (`pretraining/`), whose shipped weights
depend on every bit of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from torch import Tensor

FONTS = (
    "DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "DejaVuSans-Oblique",
    "DejaVuSerif-Italic", "STIXGeneralItalic", "DejaVuSans-Bold", "DejaVuSerif-Bold",
    "DejaVuSansMono-Oblique", "STIXGeneralBol",
)  # fmt: skip
SIDE, INK = 48, 40  # pixels of a drawing, and of the longer side of the character in its centre


@cache
def font_file(name: str) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


@cache
def font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_file(name)), 64, layout_engine=ImageFont.Layout.BASIC)


@cache
def _charmap(name: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(font_file(name))).get_charmap())


def has(name: str, character: str) -> bool:
    """Whether the font of that name can draw it."""
    return ord(character) in _charmap(name)


def render(character: str, with_font: ImageFont.FreeTypeFont) -> np.ndarray:
    """The character's ink, cropped: (h, w) uint8, 255 where there is ink."""
    left, top, right, bottom = with_font.getbbox(character)
    image = Image.new("L", (max(right - left, 1) + 4, max(bottom - top, 1) + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), character, font=with_font, fill=255)
    box = image.getbbox()
    return np.asarray(image.crop(box) if box else image)


def fitted(ink: np.ndarray, side: int) -> np.ndarray:
    """The ink centred in a side × side square, its longer side `side` pixels."""
    height, width = ink.shape
    scale = side / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = Image.fromarray(ink).resize(size, Image.Resampling.LANCZOS)
    square = Image.new("L", (side, side))
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(square)


def bank(characters: Iterable[str], fonts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Every character in every one of `fonts` that has it: (N, 1, 48, 48) uint8, and labels (N,)."""
    import torch

    images, labels = [], []
    for label, character in enumerate(characters):
        for name in fonts:
            if has(name, character):
                ink = fitted(render(character, font(name)), INK)
                images.append(np.pad(ink, (SIDE - INK) // 2))
                labels.append(label)
    return torch.from_numpy(np.stack(images))[:, None], torch.tensor(labels)
