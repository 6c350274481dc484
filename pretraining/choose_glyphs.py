"""Choose the characters of the data set `glyphs`, and write `characters.tsv` and `fonts.tsv`.

    python pretraining/choose_glyphs.py [--show sheet.png]

From each script the characters that look least like a digit, of which none looks like another of
any script. Likeness is measured as for pocket-glyphs (see choose_characters.py), whose lists by hand
hold here too; on top stand pairs that a person takes for each other. Small scripts choose first, so
that the large ones do not take their shapes away.
"""

import argparse
import unicodedata
from hashlib import sha256
from pathlib import Path

import torch
from choose_characters import AVOID, BY_HAND, correlation, features, show

from tlcourse.data.render import ink

EMBEDDED = Path(ink.__file__).parent / "embedded" / "glyphs"
LIKE_A_DIGIT, LIKE_EACH_OTHER = 0.84, 0.88
MOST, FEWEST = 20, 8  # characters of a script
RANGES = {  # script: (first, last) code points
    "latin": [(0x41, 0x5A), (0x61, 0x7A), (0xC6, 0xFE), (0x14A, 0x14B), (0x18E, 0x1BF)],
    "phonetic": [(0x250, 0x2AF)],
    "greek": [(0x391, 0x3C9), (0x3D8, 0x3E1)],
    "coptic": [(0x3E2, 0x3EF), (0x2C80, 0x2CE3)],
    "cyrillic": [(0x402, 0x44F), (0x460, 0x481), (0x48A, 0x52F)],
    "armenian": [(0x531, 0x556), (0x561, 0x587)],
    "hebrew": [(0x5D0, 0x5EA)],
    "arabic": [(0x621, 0x64A), (0x671, 0x6D3)],
    "nko": [(0x7CA, 0x7EA)],
    "lao": [(0xE81, 0xEB0), (0xEC0, 0xEC4), (0xEDC, 0xEDD)],
    "georgian": [(0x10D0, 0x10FA)],
    "khutsuri": [(0x10A0, 0x10C5), (0x2D00, 0x2D25)],
    "ogham": [(0x1681, 0x169A)],
    "syllabics": [(0x1401, 0x166C)],
    "tifinagh": [(0x2D30, 0x2D67)],
    "lisu": [(0xA4D0, 0xA4F7)],
    "old_italic": [(0x10300, 0x1031E)],
    "fraktur": [(0x1D504, 0x1D537), (0x212D, 0x212D)],
    "script": [(0x1D49C, 0x1D4CF), (0x210A, 0x2133)],
    "apl": [(0x2336, 0x237A)],
}  # fmt: skip
CURATED = {  # by hand, since their blocks are full of variants
    "arrows": "←↑→↓↔↖↗↘↙↜↝↞↠↢↣↦↩↪↫↬↭↯↰↱↲↳↴↶↷↺↻⇄⇇⇉⇎⇐⇒⇔⇚⇛⇜⇝⇞⇤⇥⇦⇨⇶",
    "mathematics": "∀∂∃∆∇∈∋∏∐∑∓√∛∜∝∞∟∠∡∤∦∧∩∫∬∭∮∴∵∷≀≅≈≉≋≎≐≗≜≟≠≡≢≣≤≪≬≮≺≻⊂⊄⊆⊈⊎⊏⊓⊕⊗⊘⊞⊠⊡⊢⊣⊥⊩⊪⊬⊻⊿⋇⋈⋉⋊⋋⋌⋐"
    "⋔⋘⋚⋢⋨⋪⋯⋰⋱±÷<>~^+",
    "signs": "☀☁☂☃☄★☆☇☈☊☌☍☎☏☑☒☔☕☘☙☚☛☜☝☞☟☢☣☤☥☮☯☹☺☻☼☽☾☿♀♁♂♃♄♅♆♇♈♉♊♋♌♍♎♏♐♑♒♓♔♕♖♗♘♙♠♡♢♣♤♥♦♧"
    "♩♪♫♬♭♮♯⚐⚑⚒⚓⚔⚖⚘⚙⚛⚜⚠⚡✁✂✆✇✈✉✌✍✎✒✓✗✚✜✝✢✤✥✦✩✭✱✳✶✻✿❀❂❄❍❏❒❖❛❝❡❣❤❥❦@#$%&*§¶?",
}
# What a person, or a trained network, takes for a digit or for another chosen character.
TAKEN_FOR_ANOTHER = "ϛʂɕʖʕຣ⌷ⵍߋ❍⍥" + "^ΨѰېჺ⋌⍉ꓚⴓ∟𝒲ɗძץԡᔢᚑᚒґ⍆≺ԽႵᓧ⊓Ϡᓝᔡ⋋𐌊ꓴʞᚁɽჭ𐌏КꓒꓖѱϚ<კⴛ𐌑𐌄β"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", type=Path, help="also draw the chosen characters into this PNG")
    options = parser.parse_args()

    pool = candidates()
    digits = features([(d, name) for d in "0123456789" for name in ink.FONTS if ink.has(name, d)])
    chosen, shapes = {}, features([("0", "DejaVuSans")])[:0]
    for script in sorted(pool, key=lambda script: len(pool[script])):
        own = features([(character, _font(character)) for character in pool[script]])
        unlike = correlation(own, digits).amax(1)
        taken = []
        for at in unlike.argsort().tolist():
            if len(taken) == MOST or unlike[at] > LIKE_A_DIGIT:
                break
            if len(shapes) == 0 or correlation(own[at : at + 1], shapes).max() < LIKE_EACH_OTHER:
                taken.append(pool[script][at])
                shapes = torch.cat((shapes, own[at : at + 1]))
        chosen[script] = "".join(sorted(taken))
    EMBEDDED.mkdir(parents=True, exist_ok=True)
    order = [script for script in (*RANGES, *CURATED) if len(chosen[script]) >= FEWEST]
    chosen = {script: chosen[script] for script in order}
    rows = [f"{script}\t{own}\n" for script, own in chosen.items()]
    (EMBEDDED / "characters.tsv").write_text("".join(rows), encoding="utf-8", newline="\n")
    hashes = [(name, sha256(ink.font_file(name).read_bytes()).hexdigest()) for name in ink.FONTS]
    (EMBEDDED / "fonts.tsv").write_text(
        "".join(f"{name}\t{digest}\n" for name, digest in hashes), encoding="utf-8", newline="\n"
    )
    for script, own in chosen.items():
        print(f"{script:12} {len(pool[script]):4} candidates, {len(own):3} chosen  {own}")
    print(f"{sum(map(len, chosen.values()))} characters")
    if options.show:
        show([character for own in chosen.values() for character in own], options.show)


def candidates() -> dict[str, list[str]]:
    """For each script, the characters of one piece that a font has."""
    every = {
        script: [chr(code) for first, last in ranges for code in range(first, last + 1)]
        for script, ranges in RANGES.items()
    }
    found = {
        script: [character for character in own if _letter(character) and _font(character)]
        for script, own in every.items()
    }
    return found | {
        script: [character for character in own if character not in TAKEN_FOR_ANOTHER]
        for script, own in CURATED.items()
    }


def _letter(character: str) -> bool:
    name = unicodedata.name(character, "")
    return (
        character not in BY_HAND
        and character not in TAKEN_FOR_ANOTHER
        and not any(word in name for word in AVOID)
        and unicodedata.category(character) in ("Lu", "Ll", "Lo", "So")
        # Accents aside; "<font>" is how Fraktur is made of Latin.
        and unicodedata.decomposition(character).partition(" ")[0] in ("", "<font>")
        and not (character in "ℕℙℚℝℤℂℍ" or "DOUBLE-STRUCK" in name)
    )


def _font(character: str) -> str:
    return next((name for name in ink.FONTS if ink.has(name, character)), "")


if __name__ == "__main__":
    main()
