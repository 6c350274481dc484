"""Lesson 02's exercises tell a good answer from the mistakes that are made there."""

import pytest

import tlcourse as tl
from tlcourse.methods import warm_up
from tlcourse.session import Freeze, SetLR


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


RATES = {"stem": 2.5e-4, "stage1": 5e-4, "head": 1e-3}


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("02.1", RATES, "4 times as slowly"),
        ("02.2", {"new": 0.84, "old": 0.31}, "⟨84 %⟩ of the new task and keeps ⟨31 %⟩"),
        ("02.3", warm_up(1e-3, 10), "From 0.0001 to 0.001 in 10 stairs"),
    ],
)
def test_a_good_answer_is_right_and_told_what_it_shows(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right and said in verdict.sentence


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("02.1", [1e-3], "are a dict"),
        ("02.1", {"stem": 1e-3, "stage1": 5e-4}, "The head has no rate"),
        ("02.1", {"stem": 5e-4, "head": 1e-3}, "more groups"),
        ("02.1", {**RATES, "head": 2e-3}, "should be 1e-3"),
        ("02.1", dict(reversed(RATES.items())), "from the input to the head"),
        ("02.1", dict.fromkeys(RATES, 1e-3), "the same rate"),
        ("02.1", {"stem": 4e-3, "stage1": 2e-3, "head": 1e-3}, "upside down"),
        ("02.1", {**RATES, "stem": 3e-4}, "half of the rate above"),
        ("02.2", 0.8, "both of them"),
        ("02.2", {"new": 84, "old": 31}, "between 0 and 1"),
        ("02.2", {"new": 0.15, "old": 0.9}, "hardly learned"),
        ("02.2", {"new": 0.8, "old": 0.96}, "nothing but the head"),
        ("02.2", {"new": 0.8, "old": 0.12}, "order alone"),
        ("02.3", {"all": 1e-3}, "is a list"),
        ("02.3", [SetLR("all", 1e-3)], "is a pair"),
        ("02.3", [(0, Freeze("head"))], "something else"),
        ("02.3", warm_up(1e-3, 10)[1:], "begin at step 0"),
        (
            "02.3",
            [(0, SetLR("all", 1e-4)), (9, SetLR("all", 1e-3)), (5, SetLR("all", 1e-3))],
            "out of order",
        ),
        ("02.3", [(0, SetLR("all", 1e-3)), (5, SetLR("all", 1e-4))], "a warm-up rises"),
        ("02.3", [(0, SetLR("all", 8e-4)), (5, SetLR("all", 1e-3))], "more than half"),
        ("02.3", warm_up(1e-3, 30), "within the first 10"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False and said in verdict.sentence
