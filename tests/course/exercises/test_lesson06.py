"""Lesson 06's exercises tell a good answer from the mistakes that are made there."""

import pytest

import tlcourse as tl


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


PRICES = {10: (0.60, 0.97), 300: (0.85, 0.96), 10_000: (0.98, 0.93)}
MATRIX = {"R": [(0.99, 0.17), (0.64, 0.98)], "untrained": [0.08, 0.11]}
HARM = dict.fromkeys("0123456789", 0.1) | {"6": 0.9, "9": 0.8}


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("06.1", PRICES, "wins ⟨38.0 points⟩, and the price in the new task is ⟨4.0 points⟩"),
        (
            "06.2",
            MATRIX,
            "Forward ⟨+6.0 points⟩, backward ⟨-35.0 points⟩, average accuracy ⟨81.0 %⟩",
        ),
        ("06.3", HARM, "6 loses ⟨90 points⟩ and 9 ⟨80 points⟩"),
    ],
)
def test_a_good_answer_is_right_and_told_what_it_shows(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right and said in verdict.sentence


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("06.1", [0.6, 0.9], "by its weight"),
        ("06.1", {10: 0.6, 300: 0.7, 1e4: 0.8}, "two accuracies"),
        ("06.1", {10: (0.6, 0.9), 1e4: (0.9, 0.9)}, "three or more"),
        ("06.1", {w: (100 * a, 100 * b) for w, (a, b) in PRICES.items()}, "between 0 and 1"),
        ("06.1", {1: (0.6, 0.9), 2: (0.6, 0.9), 3: (0.7, 0.9)}, "a hundredfold"),
        ("06.1", {w: (new, old) for w, (old, new) in PRICES.items()}, "(old, new), in this order"),
        ("06.2", [[0.9, 0.1], [0.6, 0.9]], "with both"),
        ("06.2", {**MATRIX, "R": [[0.9, 0.1]]}, "R is a square"),
        ("06.2", {**MATRIX, "R": MATRIX["R"][::-1]}, "in this order"),
        ("06.2", {**MATRIX, "untrained": [0.99, 0.2]}, "knows too much"),
        ("06.2", {**MATRIX, "untrained": [-9, 0.1]}, "between 0 and 1"),
        ("06.3", 0.3, "by its name"),
        ("06.3", {"6": 0.9, "9": 0.8}, "ten digits"),
        ("06.3", {digit: 100 * v for digit, v in HARM.items()}, "shares here"),
        ("06.3", {digit: -v for digit, v in HARM.items()}, "without minus with"),
        ("06.3", HARM | {"6": 0.0}, "upside-down test's own labels"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False and said in verdict.sentence
