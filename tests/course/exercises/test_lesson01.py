"""Lesson 01's exercises tell a good answer from the mistakes that are made there."""

import pytest

import tlcourse as tl
from tlcourse.measure import interval


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def curve(*means: float, seeds: int = 3):
    spread = (-0.01, 0, 0.01)[:seeds]
    return {n: interval([m + s for s in spread]) for n, m in zip((1, 2, 5, 10), means, strict=True)}


GOOD = curve(0.50, 0.62, 0.75, 0.82)
RATES = {1e-3: 0.45, 3e-3: 0.66, 3e-2: 0.79, 1e-1: 0.74}
MOVED = {f"{layer}.{what}": 0.1 + at / 10 for at, (layer, what) in enumerate(
    (layer, what) for layer in ("stem.1", "stage1.0.bn") for what in ("running_mean", "running_var")
)}  # fmt: skip


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        (
            "01.1",
            GOOD,
            "second label of a class is worth ⟨12.0 points⟩, each of the last five ⟨1.4",
        ),
        ("01.2", RATES, "best of them is ⟨0.03⟩ with ⟨79.0 %⟩"),
        ("01.3", MOVED, "⟨stage1.0.bn.running_var⟩ the most, by ⟨40 %⟩"),
    ],
)
def test_a_good_answer_is_right_and_told_what_it_shows(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right and said in verdict.sentence


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("01.1", [0.5, 0.6], "is a dict"),
        ("01.1", {n: GOOD[n] for n in (1, 2, 10)}, "no point at 5"),
        ("01.1", {n: GOOD[n].mean for n in GOOD}, "an anecdote"),
        ("01.1", curve(0.50, 0.62, 0.75, 0.82, seeds=1), "three seeds"),
        ("01.1", curve(50, 62, 75, 82), "between 0 and 1"),
        ("01.1", curve(0.82, 0.82, 0.82, 0.82), "its own `labels_per_class=n`"),
        ("01.1", {n: interval([1.0, 1.0]) for n in (1, 2, 5, 10)}, "too good"),
        ("01.2", 3e-2, "in a dict"),
        ("01.2", {1e-3: 0.4, 3e-3: 0.6}, "no search"),
        ("01.2", {**RATES, 1e-1: 0.8}, "go up"),
        ("01.2", {3e-2: 0.79, 1e-1: 0.74, 3e-1: 0.5}, "go down"),
        ("01.2", dict.fromkeys(RATES, 0.7), "its own `lr`"),
        ("01.2", {lr: 100 * share for lr, share in RATES.items()}, "between 0 and 1"),
        ("01.2", {"lr 0.1": 0.5, "lr 1": 0.7, "lr 3": 0.4}, "does not know what to do"),
        ("01.3", 0.1, "by its name"),
        ("01.3", {"stem": 0.1, "stage1": 0.2}, "running_mean"),
        ("01.3", {"stem.1.running_mean": 0.1}, "go through all names"),
        ("01.3", dict.fromkeys(MOVED, 0.0), "in train mode"),
        ("01.3", {**MOVED, "stem.1.running_var": 0.0}, "has not moved at all"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False and said in verdict.sentence
