"""What holds for every data set that `load_data` knows, and what digits and caltech24 are."""

import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image

from tlcourse import cards, load_data
from tlcourse.data import domains, names
from tlcourse.data.sources.photos import decode, read_folder
from tlcourse.errors import DataError

# Of the public sets one of each kind: photos, domains, boxes, masks, texts. The others before a release.
KINDS = ("caltech24", "pacs", "bccd", "magnetic-tile", "sms-spam")
PUBLIC = {name: [pytest.mark.public] for name in KINDS}
EVERY = [
    name
    if name in cards.names("embedded")
    else pytest.param(name, marks=PUBLIC.get(name, [pytest.mark.public, pytest.mark.release]))
    for name in names()
]


@pytest.fixture(scope="module", params=EVERY)  # so that each is read once, not once a test
def name(request):
    return request.param


def splits(data):
    return {"train": data.train, "valid": data.valid, "test": data.test}


def test_splits_are_what_the_contract_says(name):
    data = load_data(name)
    assert data.name == name
    for split in splits(data).values():
        n = len(split)
        assert split.y.shape == (n,) and split.y.dtype == torch.int64
        assert len(split.ids) == n and split.y.unique().tolist() == list(range(len(data.classes)))
        if split.texts:
            assert split.x.shape == (n, data.recipe["size"]) and split.x.dtype == torch.int64
            assert len(split.texts) == n and all(text.strip() for text in split.texts)
            continue
        assert split.x.shape[:2] == (n, 3) and split.x.dtype == torch.uint8
        if split.masks is not None:
            assert split.masks.shape == (n, *split.x.shape[2:]) and split.masks.max() == 1
        if split.boxes:
            assert len(split.boxes) == n
            left, top, right, bottom, thing = torch.cat(split.boxes).T
            assert (0 <= left).all() and (left < right).all() and (right <= split.x.shape[3]).all()
            assert (0 <= top).all() and (top < bottom).all() and (bottom <= split.x.shape[2]).all()
            assert set(thing.tolist()) <= set(range(len(data.things)))
    assert data.test.x.float().std() > 10


def test_nothing_is_in_two_splits_or_twice(name):
    """By the hash of what a model sees, in every domain."""
    for domain in domains(name) or (None,):
        data = load_data(name, domain=domain)
        seen = [sha256(x.numpy()).digest() for split in splits(data).values() for x in split.x]
        ids = [id for split in splits(data).values() for id in split.ids]
        assert len(set(ids)) == len(ids)
        if data.train.texts:  # long texts may begin alike; they are compared as a whole
            seen = [text.casefold() for split in splits(data).values() for text in split.texts]
        assert len(set(seen)) == len(seen)


def test_labels_are_drawn_by_the_seed_and_nothing_else_moves(name):
    five, ten = (load_data(name, labels_per_class=k, seed=3) for k in (5, 10))
    other = load_data(name, labels_per_class=5, seed=4)
    assert torch.bincount(five.train.y).tolist() == [5] * len(five.classes)
    assert set(five.train.ids) < set(ten.train.ids) <= set(load_data(name).train.ids)
    assert set(five.train.ids) != set(other.train.ids)
    assert five.valid.ids == other.valid.ids and five.test.ids == ten.test.ids
    assert torch.equal(five.test.x, other.test.x)


def test_the_recipe_makes_the_same_data(name):
    data = load_data(name, labels_per_class=2, size=24, seed=1)
    again = load_data(**json.loads(json.dumps(data.recipe)))
    assert torch.equal(data.train.x, again.train.x) and data.train.ids == again.train.ids
    assert data.train.x.shape[-1] == 24


def test_a_domain_has_its_own_examples(name):
    if not domains(name):
        with pytest.raises(DataError, match=f"{name} has no domain 'mars'. It has none"):
            load_data(name, domain="mars")
        return
    first, second = (load_data(name, domain=domain) for domain in domains(name)[-2:])
    assert load_data(name).recipe["domain"] == domains(name)[0]
    assert not set(first.train.ids + first.test.ids) & set(second.train.ids + second.test.ids)
    with pytest.raises(DataError, match=f"no domain 'mars'. There are: {domains(name)[0]}"):
        load_data(name, domain="mars")


def test_writing_into_a_split_changes_no_later_load():
    first = load_data("digits", labels_per_class=1)
    kept = first.test.x.clone()
    first.test.x.zero_()
    assert torch.equal(load_data("digits", labels_per_class=1).test.x, kept)


def test_digits_are_the_real_ones():
    from sklearn.datasets import load_digits

    raw, data = load_digits(), load_data("digits", size=8)
    assert repr(data) == "digits: 10 classes · 1197 train, 100 valid, 500 test · 3×8×8"
    for split in splits(data).values():
        rows = [int(id) for id in split.ids]
        assert split.y.tolist() == raw.target[rows].tolist()
        assert np.abs(split.x[:, 0].numpy() - raw.images[rows] * 255 / 16).max() <= 0.5


def test_the_test_set_never_changes():
    # Hashes of the ids, written down at the first release: published figures depend on them.
    ids = "\n".join(load_data("digits").test.ids)
    assert sha256(ids.encode()).hexdigest()[:16] == "a5cf6bce6851f6ee"


@pytest.mark.public
def test_caltech24_keeps_its_test_set_and_its_classes():
    data = load_data("caltech24")
    assert repr(data) == "caltech24: 24 classes · 960 train, 120 valid, 360 test · 3×128×128"
    assert sha256("\n".join(data.test.ids).encode()).hexdigest()[:16] == "f8b195eccc448c4f"
    for id, label in zip(data.test.ids, data.test.y.tolist(), strict=True):
        assert id.split("/")[0].lower().replace("_", " ") == data.classes[label]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"name": "digit"},
            r"No data set 'digit'\. Did you mean 'digits'\? There are: .*caltech24",
        ),
        ({"name": "digits", "labels_per_class": 115}, "115 is more than digits has: 114 per class"),
        (
            {"name": "digits", "labels_per_class": 0},
            "a whole number from 1 on, or None for all, not 0",
        ),
        (
            {"name": "digits", "labels_per_class": 2.5},
            "a whole number from 1 on, or None for all, not 2.5",
        ),
        ({"name": "digits", "size": 4}, "size .in pixels. is a whole number from 8 to 1024, not 4"),
        (
            {"name": "digits", "size": "big"},
            "size .in pixels. is a whole number from 8 to 1024, not 'big'",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_the_choices(wrong, sentence):
    with pytest.raises(DataError, match=sentence):
        load_data(**wrong)


def test_a_photo_becomes_its_centre_square(tmp_path):
    wide = np.zeros((60, 120, 3), np.uint8)
    wide[:, 30:90] = (200, 100, 50)  # the centre square, the rest black
    Image.fromarray(wide).save(tmp_path / "wide.png")
    square = decode(tmp_path / "wide.png", 32)
    assert square.shape == (32, 32, 3) and (square[:, 2:-2] == (200, 100, 50)).all()

    Image.fromarray(wide[:, :, 0]).save(tmp_path / "grey.jpg")
    assert decode(tmp_path / "grey.jpg", 32).shape == (32, 32, 3)


def test_an_unreadable_photo_is_named(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(DataError, match="broken.jpg cannot be read"):
        read_folder(tmp_path, title="", size=16, valid=0, test=0)
    (tmp_path / "cat" / "broken.jpg").unlink()
    with pytest.raises(DataError, match="There are no photos in"):
        read_folder(tmp_path, title="", size=16, valid=0, test=0)
