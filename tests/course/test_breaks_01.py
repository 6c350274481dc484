"""Lesson 01's claims can fail: without the backbone's past, and with its statistics left to move."""

import pytest

from tests.course.broken import claims

pytestmark = pytest.mark.slow
SETUP = ("import tlcourse as tl", "DATA = tier.pick", "MODEL = tier.pick", "cached = tl.features")
CLAIM = 'tl.claim(\n    "%s"'


@pytest.mark.release
def test_a_backbone_without_a_past_beats_scratch_by_nothing():
    found = claims(
        "01",
        [*SETUP, "tl.predict(", "few = [", "scratch_runs = []", CLAIM % "01.1"],
        replace={
            "model = tl.load_model(MODEL, ": "model = tl.load_model(MODEL, pretrained=False, ",
            "steps=100, lr=3e-3": "steps=20, lr=3e-3",
        },
    )
    assert not found["01.1"].holds


def test_a_frozen_backbone_whose_statistics_are_not_frozen_is_not_the_same():
    found = claims(
        "01",
        [*SETUP[:3], "def frozen_run", CLAIM % "01.5", 'tl.claim("01.6"'],
        replace={"freeze_stats=stats": "freeze_stats=False"},
    )
    assert found["01.5"].holds and not found["01.6"].holds
