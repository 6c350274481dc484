"""The picture in docs/data/surfaces.md: `python tools/surfaces_sheet.py [--out FILE.png]`.

A row for each class; line-a, line-b, and line-a again with the outlines of masks and boxes; in each of
the three one picture on every material. Drawn by ourselves, so it may be committed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tlcourse.data.render.surface.lines import CLASSES, LINES, MATERIALS
from tlcourse.data.render.surface.render import Batch, render
from tlcourse.data.sources.surfaces import boxes_of

SIDE, GAP, GROUP, LABEL, HEAD = 72, 2, 14, 58, 34  # pixels
MASK, BOX = (204, 121, 167), (240, 228, 66)  # Okabe & Ito 2008
COARSE = 6  # grey levels that become one: photos as PNG are large


def sheet(number: int) -> Image.Image:
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 11)
    groups = [(line, False) for line in LINES] + [(next(iter(LINES)), True)]
    batches = {line: render(line, number, SIDE) for line in LINES}
    across = len(MATERIALS) * (SIDE + GAP) + GROUP
    size = (LABEL + len(groups) * across, HEAD + len(CLASSES) * (SIDE + GAP))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for row, name in enumerate(CLASSES):
        draw.text((4, HEAD + row * (SIDE + GAP) + SIDE // 2 - 6), name, "black", font)
    for index, (line, outlined) in enumerate(groups):
        left = LABEL + index * across
        draw.text((left, 2), line + (", masks and boxes" if outlined else ""), "black", font)
        for column, material in enumerate(MATERIALS):
            x = left + column * (SIDE + GAP)
            draw.text((x, 17), material, "black", font)
            for row in range(len(CLASSES)):
                tile = picture(batches[line], row, column, outlined)
                page.paste(tile, (x, HEAD + row * (SIDE + GAP)))
    return page.point(lambda value: min(255, round(value / COARSE) * COARSE))


def picture(batch: Batch, label: int, material: int, outlined: bool) -> Image.Image:
    """The batch's first picture of a class on a material."""
    index = int(((batch.y == label) & (batch.material == material)).nonzero()[0, 0])
    pixels = batch.x[index].permute(1, 2, 0).numpy().copy()
    mask = batch.masks[index].numpy().astype(bool)
    if not outlined:
        return Image.fromarray(pixels)
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    pixels[mask & ~inner] = MASK
    image = Image.fromarray(pixels)
    for box in boxes_of(batch.masks[index : index + 1], batch.y[index : index + 1])[0].tolist():
        left, top, right, bottom = (int(edge) for edge in box[:4])
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), outline=BOX)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/surfaces.png"))
    parser.add_argument("--batch", type=int, default=2)
    options = parser.parse_args()
    sheet(options.batch).save(options.out, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
