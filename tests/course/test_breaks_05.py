"""Lesson 05's claims can fail: each method is broken on purpose, and its claim sees it."""

import pytest

from tests.course.broken import claims
from tlcourse.methods import describe

pytestmark = pytest.mark.slow
CLAIM = 'tl.claim(\n    "%s"'
SHORT = {"STEPS = tier.pick(pocket=250": "STEPS = tier.pick(pocket=1"}
FEW = {'tl.load_data("tickets")': 'tl.load_data("tickets", labels_per_class=1)'}


@pytest.mark.release
def test_a_network_that_sat_no_exams_is_no_better_than_pixels():
    cells = ("import tlcourse as tl", "DATA = tier.pick", "STEPS = tier.pick", "def pixels")
    found = claims("05", [*cells, CLAIM % "05.1"], replace=SHORT)
    assert not found["05.1"].holds


def shifted(model, descriptions, **how):
    """Each class gets the description of the next one."""
    names, said = list(descriptions), list(descriptions.values())
    return describe(model, dict(zip(names, [*said[1:], said[0]], strict=True)))


def test_the_descriptions_of_other_classes_are_no_better_than_guessing():
    cells = ("import tlcourse as tl", "TEN = [", "SAID = WORDS")
    found = claims("05", [*cells, CLAIM % "05.5"], replace=FEW, methods={"describe": shifted})
    assert not found["05.5"].holds
