"""Tasks out of a data set keep what they do not change."""

import pytest
import torch

from tlcourse.data import load_data
from tlcourse.data.tasks import part, turned
from tlcourse.errors import DataError


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", labels_per_class=3, size=16)


def test_two_parts_are_the_whole_and_share_its_labels(digits):
    first, second = part(digits, "01234"), part(digits, "56789")
    assert first.classes == second.classes == digits.classes
    assert set(first.test.y.tolist()) == set(range(5))
    assert set(first.train.ids) | set(second.train.ids) == set(digits.train.ids)
    assert len(first.train) + len(second.train) == len(digits.train)
    where = {name: at for at, name in enumerate(digits.train.ids)}
    rows = [where[name] for name in second.train.ids]
    assert torch.equal(second.train.x, digits.train.x[rows])
    assert torch.equal(second.train.y, digits.train.y[rows])


def test_four_quarters_are_a_whole_turn(digits):
    once = turned(digits, 1)
    assert torch.equal(once.test.x[0, 0], torch.rot90(digits.test.x[0, 0]))
    assert torch.equal(turned(once, 3).test.x, digits.test.x)
    assert torch.equal(once.test.y, digits.test.y) and once.test.ids == digits.test.ids


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda d: part(d, ["ten"]), "no class 'ten'. There are: 0, 1"),
        (lambda d: part(d, ()), "must name one or more"),
        (lambda d: turned(d, 0.5), "quarters is a whole number, not 0.5"),
    ],
)
def test_what_cannot_be_made_is_refused(digits, make, said):
    with pytest.raises(DataError, match=said):
        make(digits)
