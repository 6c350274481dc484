"""Lesson 04's exercises tell a good answer from the mistakes that are made there."""

import math

import pytest

import tlcourse as tl


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


BELIEVED = {0.3: (1.0, 0.56), 0.7: (0.8, 0.6), 0.95: (0.48, 0.73)}
CHOICE = {0.1: (1.2, 0.62), 1.0: (1.5, 0.66), 10.0: (1.4, 0.68)}


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        (
            "04.1",
            BELIEVED,
            "From 0.3 to 0.95 the believed shrink from ⟨100 %⟩ of the stream to ⟨48 %",
        ),
        ("04.2", CHOICE, "Information chooses ⟨1⟩, which has ⟨66.0 %⟩: ⟨2.0 points⟩"),
    ],
)
def test_a_good_answer_is_right_and_told_what_it_shows(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right and said in verdict.sentence


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("04.1", 0.9, "for each threshold"),
        ("04.1", {0.5: 0.8, 0.7: 0.6, 0.9: 0.4}, "two numbers"),
        ("04.1", {0.3: BELIEVED[0.3], 0.9: BELIEVED[0.95]}, "no curve"),
        ("04.1", {**BELIEVED, 0.99: (0.0, math.nan)}, "leave such a threshold out"),
        ("04.1", {t: (a, s) for t, (s, a) in BELIEVED.items()}, "cannot believe more"),
        ("04.1", dict.fromkeys(BELIEVED, (0.5, 0.7)), "its own `threshold=`"),
        ("04.1", {0.3: (1.0, 0.56), 0.7: (0.8, 0.5), 0.95: (0.5, 0.4)}, "the same stream"),
        ("04.2", 1.0, "for each weight"),
        ("04.2", {1.0: CHOICE[1.0], 10.0: CHOICE[10.0]}, "three weights"),
        ("04.2", {w: (-1.0, a) for w, (_, a) in CHOICE.items()}, "in nats"),
        ("04.2", {w: (1.0, a) for w, (_, a) in CHOICE.items()}, "each weight's own model"),
        ("04.2", dict.fromkeys(CHOICE, 1.5), "two numbers"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False and said in verdict.sentence
