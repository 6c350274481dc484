"""A contact sheet of a picture data set.

    python tools/contact_sheet.py NAME [--domain D] [--out FILE.png]

Each class has a row with its first training pictures as the loader makes them, and outlines of masks
and boxes if the set has them. For authors of loaders. Do not commit other people's photos.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from tlcourse import load_data
from tlcourse.data import Data, Split

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7")  # Okabe & Ito 2008
GAP, LABEL, PAGE = 4, 150, 1600  # pixels


def sheet(data: Data, split: Split, *, each: int, at_least: int) -> Image.Image:
    """Rows of classes, in as many columns as fit; small pictures are enlarged by whole factors."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 12)
    times = max(1, -(-at_least // split.x.shape[-1]))
    side = split.x.shape[-1] * times
    each = min(each, int(torch.bincount(split.y).max()))
    width = LABEL + each * (side + GAP)
    columns = max(1, min(PAGE // width, -(-len(data.classes) // 12)))
    rows = -(-len(data.classes) // columns)
    head = 2 * (font.size + GAP)
    page = Image.new("RGB", (columns * width, head + rows * (side + GAP)), "white")
    draw = ImageDraw.Draw(page)
    draw.text((GAP, GAP), f"{data.title} · {data!r}", "black", font)
    for index, thing in enumerate(data.things):
        draw.text((GAP + 100 * index, GAP + head // 2), f"▪ {thing}", COLOURS[index], font)
    for label, name in enumerate(data.classes):
        left, top = label // rows * width, head + label % rows * (side + GAP)
        draw.multiline_text((left + GAP, top + GAP), _wrapped(name), "black", font, spacing=2)
        for place, row in enumerate((split.y == label).nonzero().ravel()[:each].tolist()):
            picture = _picture(split, row, times)
            page.paste(picture, (left + LABEL + place * (side + GAP), top))
    return page


def _picture(split: Split, row: int, times: int) -> Image.Image:
    pixels = np.kron(split.x[row].permute(1, 2, 0).numpy(), np.ones((times, times, 1), np.uint8))
    if split.masks is not None:
        inside = np.kron(split.masks[row].numpy(), np.ones((times, times), np.uint8)).astype(bool)
        pixels[_rim(inside)] = (230, 60, 0)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for *corners, thing in split.boxes[row].tolist() if split.boxes else ():
        left, top, right, bottom = (corner * times for corner in corners)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=COLOURS[int(thing)])
    return picture


def _rim(inside: np.ndarray) -> np.ndarray:
    """The pixels just around a mask, so that the defect itself stays visible."""
    padded = np.pad(inside, 2)
    grown = np.zeros_like(inside)
    height, width = inside.shape
    for down in range(5):
        for right in range(5):
            grown |= padded[down : down + height, right : right + width]
    inner = np.zeros_like(inside)
    for down in range(1, 4):
        for right in range(1, 4):
            inner |= padded[down : down + height, right : right + width]
    return grown & ~inner


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, 18))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--domain")
    parser.add_argument("--size", type=int, help="pixels, instead of the data set's own")
    parser.add_argument("--split", choices=("train", "valid", "test"), default="train")
    parser.add_argument("--each", type=int, default=10, help="pictures per class (10)")
    parser.add_argument(
        "--at-least",
        type=int,
        default=56,
        help="smallest side of a picture on the sheet, in pixels (56)",
    )
    parser.add_argument("--out", type=Path, default=Path("contact-sheet.png"))
    options = parser.parse_args()
    data = load_data(options.name, domain=options.domain, size=options.size)
    split = getattr(data, options.split)
    if split.x.ndim != 4:
        parser.error(f"{options.name} has no pictures: {split!r}")
    sheet(data, split, each=options.each, at_least=options.at_least).save(options.out)
    print(f"{options.out}: {data!r}")
