"""Lesson 06's claims can fail: springs that weigh nothing, replay that sees the wrong pictures, a source
that agrees with the target."""

import pytest

import tlcourse as tl
from tests.course.broken import claims

pytestmark = pytest.mark.slow
SETUP = ("import copy", "LABELS = ", "MODEL = ", "PULL = ")
SHORT = {
    "SEEDS = range(5)": "SEEDS = range(2)",
    "FEWER = 3": "FEWER = 0",
    "(30, 4e-3)": "(15, 4e-3)",
    "steps=50": "steps=25",
}


@pytest.mark.release
def test_a_spring_that_weighs_nothing_and_a_replay_of_the_new_keep_nothing():
    rehearse = tl.methods.rehearse

    def of_noise(old, **how):
        """As many pictures, with labels that go round."""
        from dataclasses import replace

        return rehearse(replace(old, y=(old.y + 1) % 10), **how)

    found = claims(
        "06",
        [*SETUP, "learned = [", "def lost", "came = {", "def keeps_more"],
        replace=SHORT | {"PULL = 3000": "PULL = 0"},
        methods={"rehearse": of_noise},
    )
    assert not found["06.3"].holds and not found["06.4"].holds


def test_a_source_that_agrees_with_the_target_does_no_harm():
    found = claims(
        "06",
        ["import copy", "DIGITS = ", "both = ["],
        replace={
            "source = tl.load_data(": "source = turned_source(",
            "range(FEWER)": "range(2)",
            "steps=50": "steps=25",
        }
        | {"def upside_down": TURNED + "def upside_down"},
    )
    assert not found["06.9"].holds


TURNED = """
def turned_source(*args, **how):
    return tasks.turned(tl.load_data(*args, **how), 2)

"""
