"""Lesson 03's exercises tell a good answer from the mistakes that are made there."""

import pytest
import torch

import tlcourse as tl
from tlcourse.course.exercises.lesson03 import PARAMETERS


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))


def right(W, A, B, alpha):
    return W + alpha / len(A) * B @ A


def in_place(W, A, B, alpha):
    W += alpha / len(A) * B @ A
    return W


SCALES = {0: 0.78, 0.5: 0.80, 1: 0.82, 1.5: 0.815, 2: 0.79}


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("03.1", 24.0, "whole number"),
        ("03.1", 0, "begins at 1"),
        ("03.1", 48, "both A"),
        ("03.1", 146, "six layers"),
        ("03.1", 25, "too many"),
        ("03.1", 8, "larger one"),
        ("03.2", torch.zeros(6, 8), "Write a function"),
        ("03.2", lambda W, A, B, alpha: (B @ A).T, "shape of W"),
        ("03.2", in_place, "changed what it was given"),
        ("03.2", lambda W, A, B, alpha: W * 1, "update B A is missing"),
        ("03.2", lambda W, A, B, alpha: W + B @ A, "alpha / rank"),
        ("03.2", lambda W, A, B, alpha: W + alpha * B @ A, "divided by the rank"),
        ("03.2", lambda W, A, B, alpha: alpha / len(A) * B @ A, "added to W"),
        ("03.2", lambda W, A, B, alpha: W - B @ A, "numbers do not"),
        ("03.2", lambda W, A, B, alpha: W + A @ B, "shapes do not fit"),
        ("03.3", 1.0, "as a dict"),
        ("03.3", {1: 0.8, 2: 0.7}, "Scale 0 is missing"),
        ("03.3", {0: 0.7, 0.2: 0.7, 0.5: 0.8, 0.7: 0.8, 1: 0.8}, "beyond 1"),
        ("03.3", {0: 0.7, 1: 0.8, 2: 0.7}, "no curve"),
        ("03.3", SCALES | {2: 79.0}, "between 0 and 1"),
        ("03.3", dict.fromkeys(SCALES, 0.8), "same everywhere"),
    ],
)
def test_a_mistake_is_explained(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is False and said in verdict.sentence


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [("03.1", 24, "24 is the last"), ("03.2", right, "all there is"), ("03.3", SCALES, "⟨1⟩")],
)
def test_a_right_answer_is_told_why(id, answer, said):
    verdict = tl.check(id, answer)
    assert verdict.right is True and said in verdict.sentence


def test_the_rank_is_held_against_the_real_model():
    model = tl.load_model("minilm", classes=("a", "b"))
    *backbone, _ = (sum(p.numel() for p in group.parameters()) for group in model.groups.values())
    assert sum(backbone) == PARAMETERS
    adapter = tl.methods.lora(model, rank=24, layers="query,value").groups["adapter"]
    one_more = tl.methods.lora(model, rank=25, layers="query,value").groups["adapter"]
    share, over = (sum(p.numel() for p in a.parameters()) / PARAMETERS for a in (adapter, one_more))
    assert share <= 0.01 < over
