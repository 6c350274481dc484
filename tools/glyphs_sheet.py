"""The picture in docs/data/glyphs.md: `python tools/glyphs_sheet.py [--out docs/images/glyphs.png]`.

A row for each script: eight of its characters, two pictures of each, as `load_data` has them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tlcourse.data.sources.glyphs import draw, scripts

EACH, COPIES, SIDE, GAP, LABEL = 8, 2, 40, 3, 96  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/glyphs.png"))
    options = parser.parse_args()
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 13)
    width, height = LABEL + EACH * COPIES * (SIDE + GAP), len(scripts()) * (SIDE + GAP)
    page = Image.new("RGB", (width, height), "white")
    for row, (script, own) in enumerate(scripts().items()):
        top = row * (SIDE + GAP)
        ImageDraw.Draw(page).text((4, top + 12), script.replace("_", " "), "black", font)
        some = [own[at] for at in np.linspace(0, len(own) - 1, EACH).round().astype(int)]
        for column, picture in enumerate(draw("".join(dict.fromkeys(some)), SIDE, copies=COPIES)):
            image = Image.fromarray(picture.permute(1, 2, 0).numpy())
            page.paste(image, (LABEL + column * (SIDE + GAP), top))
    page.quantize(256).save(options.out, optimize=True)  # a third of the bytes
    print(f"{options.out}: {width} × {height}, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
