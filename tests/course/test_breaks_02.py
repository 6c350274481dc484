"""Lesson 02's claims can fail: with rates by depth that are one rate, with a rewind left out."""

import builtins

import pytest

from tests.course.broken import claims
from tlcourse.methods import discriminative

pytestmark = pytest.mark.slow
SETUP = ("import tlcourse as tl", "reader = tl.probe", "LABELS, SEEDS, STEPS", "def start(")
SMALL = {
    "pocket=48": "pocket=32",
    "range(5), 40": "range(2), 10",
    "tier.pick(pocket=40": "tier.pick(pocket=10",
}


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch):
    monkeypatch.setattr(builtins, "display", lambda *shown: None, raising=False)


def test_rates_by_depth_that_are_one_rate_keep_no_more():
    found = claims(
        "02",
        [*SETUP, "RATE = tier.pick", "def measured", "one_rate = measured(bent)", "by_depth ="],
        replace=SMALL | {"(1e-4, 3e-4, 1e-3)": "(1e-3,)"},
        methods={"discriminative": lambda model, lr: discriminative(model, lr, factor=1.0)},
    )
    assert found["02.2"].evidence.values == (0.0, 0.0) and not found["02.2"].holds


@pytest.mark.release
def test_a_run_that_was_not_rewound_does_not_end_the_same():
    broken = SMALL | {', (10, tl.Rewind("calm"))': ""}
    assert not claims("02", [*SETUP, "def ends("], replace=broken)["02.8"].holds
