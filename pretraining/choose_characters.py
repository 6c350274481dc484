"""Choose the characters that pocket-glyphs is pre-trained on, and write `characters.txt`.

    python pretraining/choose_characters.py [--show sheet.png]

Letters and signs of the fonts that matplotlib ships, of which none looks like a digit (so that
"transfer to handwritten digits" is no trick) and no two look alike (so that the labels mean
something). Both are measured: every character's ink is fitted into a square, softened, and
correlated with that of others, shifted by up to two pixels. On top stands a list by hand, of
what people write for digits or read as them.
"""

import argparse
import unicodedata
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from glyphs import CHARACTERS

from tlcourse.data.render.ink import FONTS, fitted, font, has, render

CLASSES = 240
LIKE_A_DIGIT, LIKE_EACH_OTHER = 0.80, 0.86
BY_HAND = set(
    "OoQlI|!iıjZzSsBbGgqTtDeaAЕеаАԛ" + "ΟοΘθσδρφζξωε" + "ЗзЭэЧчОоФфбьъяЬЪЫыԚ" + "ƧƨƐƼƽƄƅȜȝəɘɜɞƏɛ"
    "%ƢƣɝʐʛʢʯѣԀԁԂԃԄԅԆԇԈԉƔɣƳרדךקלȽߎⴰⵁⵔⵕⵙⵀⵚⴱⴲႢႻႦႳႭႫ" + "ƍƹƸƺ"
    "ԶՁՋՅՉՑԲՓՕԿՎՂՃՏզձջյչցբօրվծշՇՁ" + "ႱЄєԐԑҘҙҼҽՕ" + "ვეჳპჯჲ"
)
LETTERS = [  # (first, last) code points
    (0x41, 0x7A), (0xC6, 0xFE), (0x14A, 0x14B), (0x18E, 0x1BF), (0x250, 0x2AF), (0x391, 0x3C9),
    (0x3D8, 0x3FF), (0x402, 0x44F), (0x460, 0x481), (0x48A, 0x52F), (0x531, 0x556), (0x561, 0x587),
    (0x5D0, 0x5EA), (0x621, 0x64A), (0x7CA, 0x7EA), (0x10A0, 0x10F0), (0x2D30, 0x2D65),
    (0xA4D0, 0xA4F7),
]  # fmt: skip
SYLLABICS = "ᐁᐃᐅᐊᑌᑎᑐᑕᑫᑭᑯᑲᒉᒋᒍᒐᒣᒥᒧᒪᓓᓕᓗᓚᓭᓯᓱᓴᔦᔨᔪᔭᕃᕆᕈᕋᕓᕕᕗᕙ"
SIGNS = "@#$%&*+<>?^~§¶±÷∀∃∆∇∈∋∏∑√∝∠∧∩∪∫∮≈≠≡≤≥⊂⊃⊆⊥⋈←↑→↓↔↖↗↘↙↰↱↲↶↷↺↻⇄⇒⇔★☆♠♣♥♦♪♫♯✓✗✚✝✦☀☁☂☎☯☺☘⚓⚑⚡"
AVOID = (
    "DIGIT", "NUMBER", "CIRCLED", "ZERO", "DOT", "HAMZA", "MADDA", "EZH", "CHE", "ZHE WITH",
    "TONE", "DIGRAPH", "COMBINED", "UK", "OMEGA", "KOPPA", "YERU",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", type=Path, help="also draw the chosen characters into this PNG")
    options = parser.parse_args()

    digits = features(
        [(digit, name) for digit in "0123456789" for name in FONTS if has(name, digit)]
    )
    pool = candidates()
    shapes = features(pool)
    unlike = correlation(shapes, digits).amax(1)
    chosen: list[int] = []
    for index in sorted(range(len(pool)), key=lambda i: (pool[i][0] in SIGNS, unlike[i].item())):
        if unlike[index] > LIKE_A_DIGIT:
            continue
        if (
            chosen
            and correlation(shapes[index : index + 1], shapes[chosen]).max() > LIKE_EACH_OTHER
        ):
            continue
        chosen.append(index)
        if len(chosen) == CLASSES:
            break
    characters = sorted(pool[index][0] for index in chosen)
    CHARACTERS.write_text("".join(characters) + "\n", encoding="utf-8")
    print(
        f"{len(pool)} candidates, {len(characters)} chosen; like a digit: at most"
        f" {max(unlike[i].item() for i in chosen):.2f}"
    )
    if options.show:
        show(characters, options.show)


def candidates() -> list[tuple[str, str]]:
    """(character, a font that has it): letters and signs in one piece."""
    found = []
    ranges = [chr(code) for first, last in LETTERS for code in range(first, last + 1)]
    for character in [*ranges, *SYLLABICS, *SIGNS]:
        name = unicodedata.name(character, "")
        if character in BY_HAND or not name or any(word in name for word in AVOID):
            continue
        if character not in SIGNS and (
            unicodedata.category(character) not in ("Lu", "Ll", "Lo")
            or unicodedata.decomposition(character)
        ):
            continue
        fonts = [font_name for font_name in FONTS if has(font_name, character)]
        if fonts:
            found.append((character, fonts[0]))
    return found


def features(pairs: list[tuple[str, str]]) -> torch.Tensor:
    """(N, 24, 24): ink fitted to a square, blurred."""
    images = np.stack([fitted(render(character, font(name)), 20) for character, name in pairs])
    padded = F.pad(torch.from_numpy(images).float()[:, None] / 255, (2, 2, 2, 2))
    return F.avg_pool2d(padded, 3, stride=1, padding=1)[:, 0]


def correlation(a: torch.Tensor, b: torch.Tensor, reach: int = 2) -> torch.Tensor:
    """(N, M): the largest cosine of a and b over shifts by up to `reach` pixels."""
    best = torch.zeros(len(a), len(b))
    flat = F.normalize(b.flatten(1), dim=1)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            moved = F.normalize(a.roll((dy, dx), (1, 2)).flatten(1), dim=1)
            best = torch.maximum(best, moved @ flat.T)
    return best


def show(characters: list[str], path: Path) -> None:
    from PIL import Image

    rows = -(-len(characters) // 20)
    sheet = np.zeros((rows * 40, 20 * 40), np.uint8)
    for index, character in enumerate(characters):
        name = next(name for name in FONTS if has(name, character))
        y, x = divmod(index, 20)
        sheet[y * 40 + 4 : y * 40 + 36, x * 40 + 4 : x * 40 + 36] = fitted(
            render(character, font(name)), 32
        )
    Image.fromarray(sheet).save(path)


if __name__ == "__main__":
    main()
