"""Lesson 00's claims can fail: a backbone without a past is worth no labels, and has no depth to it."""

import pytest

from tests.course.broken import claims

pytestmark = pytest.mark.slow
SETUP = ("import tlcourse as tl", "DATA = tier.pick", "MODEL = tier.pick")


@pytest.mark.release
def test_a_backbone_without_a_past_is_worth_no_labels():
    found = claims(
        "00",
        [
            *SETUP,
            "scratch = {",
            "cached = tl.features",
            'tl.claim(\n    "00.1"',
            'tl.claim(\n    "00.2"',
        ],
        replace={
            "steps=80": "steps=5",
            "SEEDS = range(3)": "SEEDS = range(2)",
            "tl.load_model(MODEL, classes": "tl.load_model(MODEL, pretrained=False, classes",
        },
    )
    assert not found["00.1"].holds and not found["00.2"].holds


def test_without_a_past_the_last_stage_of_the_far_task_is_no_worse():
    found = claims(
        "00",
        [
            *SETUP[:1],
            "STUDENT = tier.pick",
            "def probes_by_depth",
            'tl.claim(\n    "00.3"',
            'tl.claim(\n    "00.4"',
        ],
        replace={"tl.load_model(STUDENT, ": "tl.load_model(STUDENT, pretrained=False, "},
    )
    assert not (found["00.3"].holds and found["00.4"].holds)
