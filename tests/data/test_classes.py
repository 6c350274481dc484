import pytest
import torch

from tlcourse.data import Data, Split
from tlcourse.data.tasks import join, only
from tlcourse.errors import DataError


def data(classes, first=0):
    """Two examples a class in each split; a row's numbers say whose it is."""
    y = torch.arange(len(classes)).repeat_interleave(2)
    names = [f"{classes[label]}{copy}" for copy, label in enumerate(y.tolist())]

    def part(name):
        x = (y + first)[:, None].float().repeat(1, 3)
        ids = tuple(f"{name}/{one}" for one in names)
        return Split(x, y, ids, texts=tuple(f"says {one}" for one in names))

    return Data(
        "toy", "toy", part("train"), part("valid"), part("test"), tuple(classes), {"n": first}
    )


def test_some_classes_keep_their_examples_and_get_new_labels():
    few = only(data("abcd"), ["d", "b"])
    assert few.classes == ("d", "b")
    assert few.train.y.tolist() == [1, 1, 0, 0]
    assert few.train.x[:, 0].tolist() == [1, 1, 3, 3]
    assert few.test.texts == ("says b2", "says b3", "says d6", "says d7")
    assert few.recipe == {"only": ["d", "b"], "of": {"n": 0}}


def test_data_sets_of_other_classes_become_one():
    both = join([data("abc"), data("xy", first=3)])
    assert both.classes == ("a", "b", "c", "x", "y")
    assert torch.equal(both.valid.x[:, 0].long(), both.valid.y)
    assert len(set(both.train.ids)) == len(both.train.texts) == 10
    alone = only(both, "xy")
    assert torch.equal(alone.test.x, data("xy", first=3).test.x)


def test_what_cannot_be_is_said():
    with pytest.raises(DataError, match="no class 'z'. There are: a, b"):
        only(data("ab"), ["a", "z"])
    with pytest.raises(DataError, match="each once"):
        only(data("ab"), ["a", "a"])
    with pytest.raises(DataError, match="'b' is in two"):
        join([data("ab"), data("bc")])
    with pytest.raises(DataError, match="nothing to join"):
        join([])
