"""Lesson 05's claims can fail: each method is broken on purpose, and its claim sees it."""

import pytest

from tests.course.broken import claims

pytestmark = pytest.mark.slow
SETUP = ("import tlcourse as tl", "DATA = tier.pick", "STEPS = tier.pick")
TEXTS = ("import tlcourse as tl", "TEN = [")
FEW = {'tl.load_data("tickets")': 'tl.load_data("tickets", labels_per_class=1)'}
EXAM = {"STEPS = tier.pick(pocket=250": "STEPS = tier.pick(pocket=1"}


def test_a_network_that_sat_no_exams_is_no_better_than_pixels():
    found = claims("05", [*SETUP, "def pixels", '"05.1"'], replace=EXAM)
    assert not found["05.1"].holds


def nonsense(model, descriptions, **how):
    """Descriptions that say nothing of their classes: each is its neighbour's."""
    from tlcourse.methods import describe

    names = list(descriptions)
    return describe(model, dict(zip(names, [*list(descriptions.values())[1:], "?"], strict=True)))


def test_the_descriptions_of_other_classes_are_no_better_than_guessing():
    found = claims(
        "05", [*TEXTS, "SAID = WORDS", '"05.5"'], replace=FEW, methods={"describe": nonsense}
    )
    assert not found["05.5"].holds
