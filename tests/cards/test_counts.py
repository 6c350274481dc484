"""What a card says that `load_data` gives is what it gives."""

import re

import pytest

from tests.cards.test_cards import script
from tlcourse import cards
from tlcourse.cards.counts import in_words
from tlcourse.data import domains
from tlcourse.data.load import names

REPEATING = (
    "amazon-reviews banking77 bccd magnetic-tile movie-reviews sentence-polarity sms-spam subjectivity"
).split()
SLOW = ("glyphs", "surfaces")  # seconds each; before a release


# The other public ones are loaded, and held against their cards, by tests/data/test_public_data.py.
@pytest.mark.parametrize(
    "name",
    [
        *(
            pytest.param(name, marks=pytest.mark.release) if name in SLOW else name
            for name in cards.names("embedded")
        ),
        pytest.param("caltech24", marks=[pytest.mark.public, pytest.mark.release]),
    ],
)
def test_what_was_measured_once_is_still_true(name):
    """If this fails: python datasets/measure_counts.py, and python datasets/make_readme.py."""
    if cards.get(name).kind == "data":
        assert cards.gives(name) == script("measure_counts.py").measured(name)


def test_every_data_set_has_its_numbers_and_nothing_else_has():
    assert {name for name in cards.names() if cards.gives(name)} == set(names())
    for name in names():
        assert [one.domain for one in cards.gives(name)] == list(domains(name) or ("",))


def test_a_card_says_both_what_its_source_holds_and_what_is_given():
    assert "13,083 questions" in cards.get("banking77").description
    assert in_words("banking77").startswith("12,893 examples of 77 classes (9,431 train")
    assert (
        in_words("omniglot").endswith("; also 8 single domains") and in_words("mobilenetv2") == ""
    )
    for name in REPEATING:
        assert re.search("left out|leaves out", cards.get(name).description), name
