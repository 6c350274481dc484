"""Which lessons there are, and what a person hears who asks for another."""

import pytest

from tests.course.conftest import SAMPLE
from tlcourse import cards
from tlcourse.course import lesson, lessons
from tlcourse.errors import CourseError


@pytest.mark.parametrize("asked", ["42", " 42", "sample", "42-sample", "42-sample.ipynb"])
def test_a_lesson_answers_to_its_number_and_its_name(write_lesson, asked):
    folder = write_lesson().path.parent
    assert lesson(asked, folder).name == "sample"


def test_one_digit_is_enough(write_lesson):
    folder = write_lesson(name="07-other.py").path.parent
    assert lesson("7", folder).name == "other"


def test_an_unknown_lesson_is_answered_with_the_choices(write_lesson):
    folder = write_lesson().path.parent
    with pytest.raises(CourseError, match=r"No lesson '77'\. The lessons are: 42 \(sample\)"):
        lesson("77", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# %%\n1\n", "header"),
        (SAMPLE.replace("# # 42 · A sample", "# words"), "first heading"),
        (SAMPLE.replace("pocket:", "pokcet:"), "cards by tier"),
        (SAMPLE.replace("tlcourse:", "other:"), "cards by tier"),
    ],
)
def test_a_lesson_that_does_not_say_what_it_needs_is_refused(write_lesson, text, message):
    with pytest.raises(CourseError, match=message):
        write_lesson(text)


def test_every_lesson_names_cards_that_exist():
    for one in lessons():
        assert "pocket" in one.tiers, "every lesson must run without fetching"
        for name in {name for names in one.cards.values() for name in names}:
            assert cards.get(name).name == name
