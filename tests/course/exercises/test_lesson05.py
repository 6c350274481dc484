"""Lesson 05's exercises tell a good answer from the mistakes that are made there."""

from types import SimpleNamespace

import pytest

import tlcourse as tl
from tlcourse.course.exercises.lesson05 import WORDS
from tlcourse.data.sources.tickets import INTENTS


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def edited(accuracy, edits=("broken",)):
    made = [SimpleNamespace(name=name) for name in edits]
    return SimpleNamespace(accuracy=accuracy, first=0.5, edits=made, classes=tuple(INTENTS))


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("05.1", 0.6, "three shares by name"),
        ("05.1", {"example": 40, "words": 60, "both": 65}, "from 0 to 1"),
        ("05.1", {"example": 0.4, "words": 0.1, "both": 0.5}, "in the order of `SAID`"),
        ("05.1", {"example": 0.8, "words": 0.6, "both": 0.8}, "the mean of many"),
        ("05.1", {"example": 0.4, "words": 0.6, "both": 0.4}, "Each class needs two rows"),
        ("05.2", 0.7, "board itself"),
        ("05.2", edited(0.5, edits=()), "Nothing is edited yet"),
        ("05.2", edited(0.48), "last edit was of `broken`"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False
    assert said in verdict.sentence


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("05.1", {"example": 0.4, "words": 0.63, "both": 0.65}, "beats one example"),
        ("05.2", edited(0.56), "no weight was trained"),
    ],
)
def test_a_good_answer_is_told_why(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is True
    assert said in verdict.sentence


def test_every_class_is_described():
    assert tuple(WORDS["tickets"]) == tuple(INTENTS)
    assert all(text.endswith((".", "?")) for said in WORDS.values() for text in said.values())
