"""Lesson 02's claims can fail: with rates by depth that are one rate, and a rewind that leads nowhere."""

import pytest

from tests.course.broken import claims

pytestmark = pytest.mark.slow
SETUP = ("import tlcourse as tl", "reader = tl.probe", "LABELS, SEEDS, STEPS", "def start(")


def test_rates_by_depth_that_are_one_rate_keep_no_more():
    from tlcourse.methods import discriminative

    found = claims(
        "02",
        [*SETUP, "RATE = tier.pick", "def measured", "one_rate = measured(bent)", "by_depth ="],
        replace={
            "range(5), 40": "range(3), 20",
            "(1e-4, 3e-4, 1e-3)": "(1e-3,)",
            "labels_per_class=tier.pick(pocket=40": "labels_per_class=tier.pick(pocket=10",
        },
        methods={"discriminative": lambda model, lr: discriminative(model, lr, factor=1.0)},
    )
    assert not found["02.2"].holds


def test_a_run_that_was_not_rewound_does_not_end_the_same():
    found = claims(
        "02",
        [*SETUP, "def ends("],
        replace={', (10, tl.Rewind("calm"))': ""},
    )
    assert not found["02.8"].holds
