"""Whatever was done by hand: a replay repeats it, and so does the script that is written of it."""

import contextlib
import io

import pytest
import torch
from hypothesis import given, settings

import tlcourse as tl

from .conftest import mlp
from .hands import HANDS, trained


def check_replay(numbers, hand):
    replay = tl.replay(trained(numbers, hand).record, model=mlp(), data=numbers)
    assert replay.exact, replay


def check_script(numbers, hand):
    """In this process, after all the others: a script leaves nothing behind."""
    result = (run := trained(numbers, hand)).result
    made = {"__name__": "script", "YOUR_MODEL": mlp(), "YOUR_DATA": numbers}
    threads, printed = torch.get_num_threads(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(tl.to_script(run.record), "script.py", "exec"), made)
    finally:
        torch.set_num_threads(threads)
    assert made["losses"] == result.losses.tolist()
    assert f"accuracy on test data {result.accuracy:.1%}" in printed.getvalue()


@settings(max_examples=20)
@given(HANDS)
def test_a_replay_repeats_any_hand(numbers, hand):
    check_replay(numbers, hand)


@settings(max_examples=20)
@given(HANDS)
def test_a_script_repeats_any_hand(numbers, hand):
    check_script(numbers, hand)


@pytest.mark.release
@pytest.mark.timeout(7200)
@settings(max_examples=10_000)
@given(HANDS)
def test_a_replay_repeats_ten_thousand_hands(numbers, hand):
    check_replay(numbers, hand)


@pytest.mark.release
@pytest.mark.timeout(3600)
@settings(max_examples=2000)
@given(HANDS)
def test_a_script_repeats_two_thousand_hands(numbers, hand):
    check_script(numbers, hand)
