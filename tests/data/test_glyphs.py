"""What the drawn characters are: the same for ever, legible, and neither digits nor each other."""

import shutil
import sys
import unicodedata
import warnings
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tlcourse.data import domains, load_data
from tlcourse.data.render import ink
from tlcourse.data.sources import glyphs
from tlcourse.data.sources.glyphs import UNSEEN_BY_POCKET_GLYPHS, draw, scripts
from tlcourse.errors import DataError

PRETRAINING = Path(__file__).parents[2] / "pretraining"
EVERY = "".join(scripts().values())


def test_there_are_hundreds_of_many_scripts_each_once():
    assert domains("glyphs") == ("all", *scripts())
    assert len(scripts()) == 21 and len(set(EVERY)) == len(EVERY) == 344
    assert min(map(len, scripts().values())) >= 9
    assert all(unicodedata.name(character) for character in EVERY)
    assert not any(character.isnumeric() for character in EVERY)


def test_none_looks_like_a_digit_or_like_another():
    sys.path.insert(0, str(PRETRAINING))
    from choose_characters import correlation, features
    from choose_glyphs import LIKE_A_DIGIT, LIKE_EACH_OTHER

    def first_font(character):
        return next(name for name in ink.FONTS if ink.has(name, character))

    shapes = features([(character, first_font(character)) for character in EVERY])
    digits = features([(d, name) for d in "0123456789" for name in ink.FONTS if ink.has(name, d)])
    assert correlation(shapes, digits).max() <= LIKE_A_DIGIT
    alike = correlation(shapes, shapes).fill_diagonal_(0)
    assert alike.max() < LIKE_EACH_OTHER + 0.005  # b to a is shifted the other way round
    # The measure does see likeness: S is like 5, З like 3.
    letters = features([("S", "DejaVuSans"), ("З", "DejaVuSans")])
    assert correlation(letters, digits).amax(1).min() > LIKE_A_DIGIT


def test_pocket_glyphs_has_not_seen_what_is_said_to_be_unseen():
    seen = set((PRETRAINING / "characters.txt").read_text(encoding="utf-8").strip("\n"))
    for script, characters in scripts().items():
        assert (not seen & set(characters)) == (script in UNSEEN_BY_POCKET_GLYPHS)


def test_a_characters_pictures_depend_on_it_and_the_seed_alone():
    kept = torch.get_rng_state()
    both = draw("λᐄ"[:1] + "ж", copies=6)
    assert torch.equal(torch.get_rng_state(), kept)
    torch.rand(3)  # the global generator has no say
    assert torch.equal(draw("ж", copies=6), both[6:])
    assert torch.equal(draw("ЮѤж", copies=6)[-6:], both[6:])
    for other in (draw("ж", copies=6, seed=1), both[:6]):
        assert (other.float() - both[6:].float()).abs().mean() > 20


def test_more_threads_draw_the_same_pictures():
    threads = torch.get_num_threads()
    first = draw(EVERY[:10])
    try:
        torch.set_num_threads(2)
        again = draw(EVERY[:10])
    finally:
        torch.set_num_threads(threads)
    assert (again.int() - first.int()).abs().max() <= 1


def test_a_picture_shows_the_same_at_every_size():
    small, large = draw(EVERY[:30], 32, copies=4), draw(EVERY[:30], 64, copies=4)
    halved = F.avg_pool2d(large.float(), 2)
    apart = (halved - small.float()).abs().mean((1, 2, 3))
    stranger = (halved.roll(1, 0) - small.float()).abs().mean((1, 2, 3))
    assert apart.median() < 10 and apart.max() < 30 < stranger.median()


def test_the_character_can_be_seen_in_every_picture():
    """Coarsely, where grain and ruled lines are gone, something stands out from the paper."""
    grey = draw(EVERY, copies=3).float().mean(1, keepdim=True)
    coarse = F.avg_pool2d(grey, 4).flatten(1)
    assert coarse.std(1).min() > 4 and coarse.std(1).median() > 20


def test_half_are_negatives():
    corners = draw(EVERY[:100], copies=10).float()[:, :, ::31, ::31].mean((1, 2, 3))
    assert 0.4 < (corners > 127).float().mean() < 0.6


def test_load_data_gives_a_script_or_all_of_them():
    every = load_data("glyphs", labels_per_class=5, seed=1)
    assert repr(every) == "glyphs: 344 classes · 1720 train, 1720 valid, 3440 test · 3×32×32"
    assert every.classes == tuple(EVERY) and every.recipe["domain"] == "all"
    lao = load_data("glyphs", domain="lao", labels_per_class=5, seed=1)
    assert lao.classes == tuple(scripts()["lao"]) and lao.classes[0] == "ກ"
    # The same picture under the same name, alone or among all.
    where = {id: row for row, id in enumerate(every.test.ids)}
    for row, id in enumerate(lao.test.ids):
        assert torch.equal(lao.test.x[row], every.test.x[where[id]])
        assert lao.classes[lao.test.y[row]] == every.classes[every.test.y[where[id]]]


def test_the_test_set_never_changes():
    # Hashes of the ids, written down at the first release: published figures depend on them.
    ids = "\n".join(load_data("glyphs", labels_per_class=1).test.ids)
    assert sha256(ids.encode()).hexdigest()[:16] == "3057e754e1bc3acd"


def test_other_fonts_are_named_and_work(tmp_path, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glyphs.check_fonts()
    other = shutil.copy(ink.font_file("DejaVuSans"), tmp_path)
    with open(other, "ab") as file:
        file.write(b"\0")
    real = ink.font_file
    monkeypatch.setattr(
        ink, "font_file", lambda name: Path(other) if name == "DejaVuSans" else real(name)
    )
    with pytest.warns(UserWarning, match=r"matplotlib \d.* has other versions of DejaVuSans than"):
        glyphs.check_fonts()


def test_what_cannot_be_drawn_is_refused():
    for size in (15, 97):
        with pytest.raises(DataError, match=f"size={size} is not possible: .* 16 to 96"):
            load_data("glyphs", size=size)
    with pytest.raises(DataError, match=r"None of matplotlib's fonts has '漢' \(U\+6F22\)"):
        draw("漢")
    with pytest.raises(DataError, match="no domain 'runic'. There are: all, latin"):
        load_data("glyphs", domain="runic")
