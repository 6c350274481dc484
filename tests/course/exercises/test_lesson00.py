"""Lesson 00's exercises: what is right is told why, and each usual mistake is told apart."""

import pytest

from tlcourse.course.exercises import check
from tlcourse.measure import interval

FROZEN = {2: interval([0.6, 0.62]), 10: interval([0.8, 0.82])}
SCRATCH = {
    2: interval([0.2, 0.22]),
    10: interval([0.5, 0.52]),
    20: interval([0.65, 0.66]),
    40: interval([0.7, 0.72]),
}


def price(answer, scratch=SCRATCH):
    return check("00.1", {"answer": answer, "frozen": FROZEN, "scratch": scratch})


def test_the_price_is_the_fewest_labels_that_reach_the_height():
    assert price(20).right and "as 20 without" in price(20).sentence
    assert price(None, {10: SCRATCH[10]}).right


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (10, "still lower"),
        (40, "what of the 20?"),
        (None, "It does get there"),
        (15, "measured at 2, 10, 20, 40"),
        (..., "still a `...` in your answer"),
    ],
)
def test_each_mistake_with_the_price_is_told_apart(answer, said):
    assert not price(answer).right and said in price(answer).sentence


def test_whose_past_wants_both_networks():
    assert check("00.2", {"pre-trained": 0.9, "random": 0.7}).right
    for answer, said in [
        ({"pre-trained": 0.9}, "a dict with two"),
        ({"pre-trained": 90, "random": 70}, "between 0 and 1"),
        ({"pre-trained": 0.7, "random": 0.7}, "pretrained=False"),
        ({"pre-trained": 0.6, "random": 0.7}, "exchanged"),
    ]:
        assert not check("00.2", answer).right and said in check("00.2", answer).sentence
