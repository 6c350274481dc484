"""Lesson 04's exercises tell a good answer from the mistakes that are made there."""

import math

import pytest

import tlcourse as tl


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


BELIEVED = {0.3: (1.0, 0.56), 0.7: (0.8, 0.6), 0.95: (0.48, 0.73)}
LEADS = {0.01: 0.62, 0.1: 0.646, 1.0: 0.506}
CHOICE = {0.1: (1.2, 0.62), 1.0: (1.5, 0.66), 10.0: (1.4, 0.68)}


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        (
            "04.1",
            BELIEVED,
            "From 0.3 to 0.95 the believed shrink from ⟨100 %⟩ of the stream to ⟨48 %",
        ),
        ("04.2", LEADS, "⟨0.1⟩ does best with ⟨64.6 %⟩, 1 has ⟨50.6 %⟩"),
        ("04.3", CHOICE, "Information chooses ⟨1⟩, which has ⟨66.0 %⟩: ⟨2.0 points⟩"),
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
        ("04.2", 0.1, "in a dict"),
        ("04.2", {0.1: 0.6, 1.0: 0.5}, "no trend"),
        ("04.2", {w: a * 100 for w, a in LEADS.items()}, "between 0 and 1"),
        ("04.2", {w: ("a model", a) for w, a in LEADS.items()}, "should be a number"),
        ("04.2", {1.0: 0.5, 3.0: 0.45, 10.0: 0.4}, "Go down"),
        ("04.2", dict.fromkeys(LEADS, 0.6), "fourth argument"),
        ("04.2", {0.01: 0.5, 0.1: 0.55, 1.0: 0.6}, "strongest adversary"),
        ("04.3", 1.0, "for each weight"),
        ("04.3", {1.0: CHOICE[1.0], 10.0: CHOICE[10.0]}, "three weights"),
        ("04.3", {w: (-1.0, a) for w, (_, a) in CHOICE.items()}, "in nats"),
        ("04.3", {w: (1.0, a) for w, (_, a) in CHOICE.items()}, "its own model"),
        ("04.3", dict.fromkeys(CHOICE, 1.5), "two numbers"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False and said in verdict.sentence
