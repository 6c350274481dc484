"""What is true of each public data set: sizes, official test sets, families that stay together."""

from collections import Counter
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image

from tlcourse import cards, load_data
from tlcourse.data import domains
from tlcourse.data.corpus import alike, words_of
from tlcourse.data.sources import handwriting, omniglot, pacs, tiles
from tlcourse.data.sources.bccd import FIELDS, independent, read_boxes
from tlcourse.errors import DataError
from tlcourse.supply import fetch

pytestmark = pytest.mark.public

# What load_data says of each, and the beginning of the hash of its test ids, written down at the
# first release: published figures depend on them.
KNOWN = {
    ("amazon-reviews", "books"): (
        "2 classes · 1356 train, 200 valid, 400 test · 128",
        "cf385f57a96b779d",
    ),
    ("amazon-reviews", "dvd"): (
        "2 classes · 1354 train, 200 valid, 400 test · 128",
        "5069e6cd6ef30c81",
    ),
    ("amazon-reviews", "electronics"): (
        "2 classes · 1365 train, 200 valid, 400 test · 128",
        "0ef30257da053bfe",
    ),
    ("amazon-reviews", "kitchen"): (
        "2 classes · 1377 train, 200 valid, 400 test · 128",
        "82219c67f2d86bbe",
    ),
    ("banking77", None): ("77 classes · 9431 train, 386 valid, 3076 test · 48", "46fb6738a2cf6821"),
    ("bccd", None): ("2 classes · 192 train, 81 valid, 72 test · 3×224×224", "5a782210977dda1c"),
    ("magnetic-tile", None): (
        "6 classes · 402 train, 39 valid, 67 test · 3×128×128",
        "0b0c435eca5efa58",
    ),
    ("mnist", None): (
        "10 classes · 4500 train, 500 valid, 1000 test · 3×28×28",
        "3b5b6a12a5e11a97",
    ),
    ("movie-reviews", None): (
        "2 classes · 1398 train, 200 valid, 400 test · 256",
        "ecc29bb2ea9c13cf",
    ),
    ("omniglot", "all"): (
        "242 classes · 2904 train, 726 valid, 1210 test · 3×32×32",
        "f5eee4969acef930",
    ),
    ("omniglot", "balinese"): (
        "24 classes · 288 train, 72 valid, 120 test · 3×32×32",
        "843ea41fe90a556c",
    ),
    ("omniglot", "early_aramaic"): (
        "22 classes · 264 train, 66 valid, 110 test · 3×32×32",
        "1218fab622636fe8",
    ),
    ("omniglot", "greek"): (
        "24 classes · 288 train, 72 valid, 120 test · 3×32×32",
        "6f5d08fb3b1c4fbb",
    ),
    ("omniglot", "japanese_katakana"): (
        "47 classes · 564 train, 141 valid, 235 test · 3×32×32",
        "cc30364e11e750b3",
    ),
    ("omniglot", "korean"): (
        "40 classes · 480 train, 120 valid, 200 test · 3×32×32",
        "5dbf4c4747aeb254",
    ),
    ("omniglot", "latin"): (
        "26 classes · 312 train, 78 valid, 130 test · 3×32×32",
        "99b5bdbb5049fe43",
    ),
    ("omniglot", "sanskrit"): (
        "42 classes · 504 train, 126 valid, 210 test · 3×32×32",
        "3408ea311bcfaba2",
    ),
    ("omniglot", "tagalog"): (
        "17 classes · 204 train, 51 valid, 85 test · 3×32×32",
        "d45dd57cc38f1c89",
    ),
    ("pacs", "photo"): (
        "7 classes · 171 train, 34 valid, 110 test · 3×128×128",
        "14319909233b4363",
    ),
    ("pacs", "art_painting"): (
        "7 classes · 175 train, 35 valid, 105 test · 3×128×128",
        "5bb6635acca536c7",
    ),
    ("pacs", "cartoon"): (
        "7 classes · 172 train, 35 valid, 108 test · 3×128×128",
        "d1c70fbfad751bea",
    ),
    ("pacs", "sketch"): (
        "7 classes · 175 train, 35 valid, 105 test · 3×128×128",
        "022fbf8d32d4938e",
    ),
    ("sentence-polarity", None): (
        "2 classes · 9160 train, 500 valid, 1000 test · 64",
        "65bbb7f4ec86995d",
    ),
    ("sms-spam", None): ("2 classes · 4830 train, 101 valid, 200 test · 64", "f5ca43a230132c01"),
    ("subjectivity", None): (
        "2 classes · 8498 train, 500 valid, 1000 test · 64",
        "a80586e5670a7d79",
    ),
    ("usps", None): ("10 classes · 6791 train, 500 valid, 2007 test · 3×28×28", "340d567598f8408a"),
}


# One or two of each kind are looked at every day, the others before a release.
DAILY = {
    *[("amazon-reviews", "kitchen"), ("banking77", None), ("bccd", None), ("magnetic-tile", None)],
    *[("omniglot", "greek"), ("pacs", "photo"), ("sms-spam", None), ("usps", None)],
}


def every(pairs):
    release = pytest.mark.release
    return [pair if pair in DAILY else pytest.param(*pair, marks=release) for pair in pairs]


@pytest.mark.parametrize(("name", "domain"), every(KNOWN))
def test_test_sets_never_change(name, domain):
    data = load_data(name, domain=domain)
    said_of_it, ids = KNOWN[name, domain]
    assert repr(data) == f"{name}: {said_of_it}"
    assert data_gives(name, domain) == [len(split) for split in parts(data)]
    assert sha256("\n".join(data.test.ids).encode()).hexdigest()[:16] == ids


def data_gives(name, domain):
    """What the card says, of which a wrong number would be believed."""
    (row,) = [one for one in cards.gives(name) if one.domain == (domain or "")]
    return [row.train, row.valid, row.test]


def parts(data):
    return (data.train, data.valid, data.test)


def test_photos_of_one_tile_are_never_parted():
    data = load_data("magnetic-tile", size=32)
    where = {}
    for place, split in zip(("train", "valid", "test"), parts(data), strict=True):
        ids = [*split.ids]
        every = [id for one in parts(data) for id in one.ids]
        tile = dict(zip(every, tiles.tiles(every), strict=True))
        for id in ids:
            where.setdefault(tile[id], set()).add(place)
    assert max(map(len, where.values())) == 1 and len(where) > 100
    # The six exposures of a tile, and the cracked tile that came by three times.
    together = tiles.tiles([f"MT_Crack/exp1_num_{n}" for n in (3191, 3279, 85602, 86828, 88201)])
    assert together == ["MT_Crack/3191"] * 2 + ["MT_Crack/85602"] * 3


def test_masks_lie_where_the_defects_are():
    data = load_data("magnetic-tile", size=128)
    free = data.classes.index("free")
    for split in parts(data):
        area = split.masks.flatten(1).float().mean(1)
        assert (area[split.y == free] == 0).all()
        assert (area[split.y != free] > 0).float().mean() > 0.97  # a few called uneven have none
    # The mask of one photo, from the file itself, by another way of making it small.
    id = "MT_Fray/exp1_num_258511"
    split = next(split for split in parts(data) if id in split.ids)
    folder = fetch("magnetic-tile") / "MT_Fray" / "Imgs"
    with Image.open(folder / "exp1_num_258511.png") as image:
        cover = np.asarray(image.resize((128, 128), Image.Resampling.BILINEAR)) / 255
    assert np.abs(split.masks[split.ids.index(id)].numpy() - cover).mean() < 0.01


def test_copies_in_pacs_stay_together_and_no_man_is_in_two_splits():
    for domain in domains("pacs"):
        data = load_data("pacs", domain=domain, size=32)
        place = {id: n for n, split in enumerate(parts(data)) for id in split.ids}
        for folder, families in pacs.COPIES.items():
            for numbers in families if folder.startswith(f"{domain}/") else ():
                ids = [id for id in place if id.startswith(folder) and pacs._number(id) in numbers]
                assert len(ids) == len(numbers) and len({place[id] for id in ids}) == 1
    data = load_data("pacs", domain="photo", size=32)
    men = [{pacs._number(id) for id in s.ids if "/person/" in id} for s in parts(data)]
    assert men == [set(range(1, 22)), set(range(42, 46)), set(range(22, 42))]


@pytest.mark.release
def test_two_rows_of_pictures_are_the_files_themselves():
    data = load_data("mnist")
    for split in parts(data):
        for row in (0, len(split) - 1):
            with Image.open(fetch("mnist") / split.ids[row]) as image:
                assert np.array_equal(split.x[row, 1], np.asarray(image))
            assert split.ids[row].split("/")[1] == data.classes[split.y[row]]
    assert all(id.startswith("test/") for id in data.test.ids)
    assert not any(id.startswith("test/") for id in data.train.ids + data.valid.ids)


def test_usps_is_upright_and_as_bright_as_its_file():
    import h5py

    data = load_data("usps", size=16)
    with h5py.File(fetch("usps") / "usps.h5") as file:
        grey, digits = file["test"]["data"][:], file["test"]["target"][:]
    rows = [int(id.split("/")[1]) for id in data.test.ids]
    assert len(rows) == 2007 and data.test.y.tolist() == digits[rows].tolist()
    assert np.abs(data.test.x[:, 0].flatten(1).numpy() / 255 - grey[rows]).max() < 0.501 / 255
    # A seven is wide above and narrow below; an L-shape or a mirror image would be otherwise.
    seven = data.test.x[data.test.y == 7, 0].float().mean(0)
    assert seven[:5].mean() > 1.3 * seven[-5:].mean()


def test_a_pixelwise_neighbour_carries_digits_over_but_not_well():
    """MNIST and USPS are one task seen in two ways: labels agree, looks do not."""
    mnist, usps = load_data("mnist", labels_per_class=100), load_data("usps", labels_per_class=20)

    def score(train, test):
        a, b = (x[:, 0].flatten(1).float() for x in (train.x, test.x))
        return (train.y[torch.cdist(b, a).argmin(1)] == test.y).float().mean().item()

    same, carried = score(mnist.train, mnist.test), score(mnist.train, usps.train)
    assert same > 0.8 and 0.4 < carried < same - 0.2  # measured: 0.84 and 0.52


@pytest.mark.release
def test_omniglots_drawers_are_in_one_split_each():
    data = load_data("omniglot", size=16)
    assert len(data.classes) == 242 and len(set(data.classes)) == 242
    for alphabet in omniglot.ALPHABETS:
        drawers = [{id[-2:] for id in s.ids if id.startswith(alphabet)} for s in parts(data)]
        assert [len(some) for some in drawers] == [12, 3, 5] and len(set().union(*drawers)) == 20
        one = load_data("omniglot", domain=alphabet, size=16)
        assert all(name.startswith(alphabet.split("_")[0]) for name in one.classes)
        assert set(one.test.ids) == {id for id in data.test.ids if id.startswith(alphabet)}


def test_greek_and_latin_stand_in_omniglot_once():
    root = fetch("omniglot")
    hashes = Counter(sha256(path.read_bytes()).digest() for path in root.glob("*/*/*.png"))
    assert len(hashes) == 4840 and set(hashes.values()) == {1}
    assert {path.name for path in root.iterdir()} == {*omniglot.ALPHABETS.values(), "LICENSE"}


def test_bccds_own_split_is_kept_without_fields_that_stand_in_two():
    data = load_data("bccd", size=32)
    lists = fetch("bccd") / "BCCD" / "ImageSets" / "Main"
    for split, name in zip(parts(data), ("train", "val", "test"), strict=True):
        assert set(split.ids) <= set((lists / f"{name}.txt").read_text().split())
    place = {id: n for n, split in enumerate(parts(data)) for id in split.ids}
    assert len(data.test) == 72
    for numbers in FIELDS:
        assert len({place[id] for n in numbers if (id := f"BloodImage_{n:05d}") in place}) == 1


def test_of_a_field_in_two_lists_the_guarded_list_keeps_it():
    place = {f"BloodImage_{n:05d}": "train" for numbers in FIELDS for n in numbers}
    assert independent(place) == place
    place |= {"BloodImage_00019": "valid", "BloodImage_00204": "test", "BloodImage_00276": "valid"}
    left_out = set(place) - set(independent(place))
    assert left_out == {f"BloodImage_{n:05d}" for n in (20, 205, 276, 277)}


def test_boxes_are_where_the_cells_are():
    """White cells are stained violet: inside their boxes there is less green than outside."""
    data = load_data("bccd")
    darker = []
    for x, boxes in zip(data.test.x, data.test.boxes, strict=True):
        inside = torch.zeros(x.shape[1:], dtype=torch.bool)
        for left, top, right, bottom, thing in boxes.round().int().tolist():
            if data.things[thing] == "WBC":
                inside[top:bottom, left:right] = True
        if inside.any():
            green = x[1].float()
            darker.append((green[~inside].mean() - green[inside].mean()).item())
    assert len(darker) > 65 and min(darker) > 0 and np.median(darker) > 20
    has = [bool((boxes[:, 4] == data.things.index("Platelets")).any()) for boxes in data.test.boxes]
    assert [data.classes[y] for y in data.test.y] == [
        "platelets" if some else "no platelets" for some in has
    ]


def test_boxes_follow_the_size_and_count_pixels_from_one(tmp_path):
    corners = {"xmin": 1, "ymin": 121, "xmax": 320, "ymax": 480}
    box = "".join(f"<{side}>{at}</{side}>" for side, at in corners.items())
    box = f"<object><name>{{}}</name><bndbox>{box}</bndbox></object>"
    (tmp_path / "a.xml").write_text(f"<annotation>{box.format('WBC')}</annotation>")
    assert read_boxes(tmp_path / "a.xml", 64).tolist() == [[0, 16, 32, 64, 1]]
    (tmp_path / "b.xml").write_text(f"<annotation>{box.format('Tree')}</annotation>")
    with pytest.raises(DataError, match="b.xml marks a 'Tree'. BCCD has: RBC, WBC, Platelets"):
        read_boxes(tmp_path / "b.xml", 64)


TEXTS = ["banking77", "movie-reviews", "sentence-polarity", "sms-spam", "subjectivity"]


@pytest.mark.parametrize(
    ("name", "domain"),
    every(
        [(name, None) for name in TEXTS]
        + [("amazon-reviews", d) for d in domains("amazon-reviews")]
    ),
)
def test_no_text_for_test_is_alike_to_one_for_training(name, domain):
    data = load_data(name, domain=domain, size=8)
    rows = [
        (place, label, text)
        for place, split in enumerate(parts(data))
        for label, text in zip(split.y.tolist(), split.texts, strict=True)
    ]
    assert len({words_of(text) for *_, text in rows}) == len(rows)
    for a, b in alike([text for *_, text in rows]):
        assert rows[a][0] == rows[b][0] or rows[a][1] != rows[b][1]


def test_banking77s_test_set_is_the_published_one():
    data = load_data("banking77", size=8)
    assert all(id.startswith("test/") for id in data.test.ids)
    assert not any(id.startswith("test/") for id in data.train.ids + data.valid.ids)
    assert len(data.classes) == 77 and "card arrival" in data.classes
    assert "refund not showing up" in data.classes and "reverted card payment" in data.classes
    wrong = data.classes.index("card payment wrong exchange rate")
    assert any("exchange rate" in data.test.texts[n] for n in (data.test.y == wrong).nonzero())


def test_reviews_are_whole_and_readable():
    data = load_data("amazon-reviews", domain="electronics")
    every = [text for split in parts(data) for text in split.texts]
    assert not any("&quot;" in text or "<" in text[:1] or "\ufffd" in text for text in every)
    moods = {mood: [t for s in parts(data) for t, y in zip(s.texts, s.y, strict=True) if y == n]
             for n, mood in enumerate(data.classes)}  # fmt: skip
    share = {mood: np.mean(["excellent" in t.lower() for t in moods[mood]]) for mood in moods}
    assert share["positive"] > 3 * share["negative"]


def test_grey_pictures_are_resized_smoothly_and_kept_where_they_fit():
    small = [np.arange(64, dtype=np.uint8).reshape(8, 8)]
    assert torch.equal(handwriting.grey_images(small, 8)[0, 2], torch.from_numpy(small[0]))
    large = handwriting.grey_images(small, 16)
    assert large.shape == (1, 3, 16, 16) and large[0, 0].float().diff(dim=1).min() >= 0
