"""Lesson 03's claims can fail: each method is broken on purpose, and its claim sees it."""

import pytest

import tlcourse as tl
from tests.course.broken import claims

pytestmark = pytest.mark.slow
SETUP = ("import tlcourse as tl", "DATA = tier.pick", "base = tl.load_model")
FEW = {"LABELS = tier.pick(pocket=40": "LABELS = tier.pick(pocket=4"}
UNREAD = {"cached = tl.features(base, data)": ""}  # where nobody asks for the head's accuracy
FEWER_TESTS = {
    "accuracy_of(model, data.test)": "accuracy_of(model, replace(data.test, x=data.test.x[::5], "
    "y=data.test.y[::5], ids=data.test.ids[::5], texts=()))"
}


def test_a_large_rank_is_neither_one_percent_nor_fifty_times_smaller():
    found = claims(
        "03",
        [*SETUP, "RANK = 4", '"03.1"'],
        replace={"RANK = 4": "RANK = 96"} | FEW | UNREAD,
    )
    assert not found["03.1"].holds and not found["03.2"].holds


@pytest.mark.release
def test_an_adapter_that_is_blown_up_is_not_near_full_fine_tuning():
    found = claims(
        "03",
        [
            *SETUP,
            "guess = tl.predict",
            "RANK = 4",
            "STEPS = tier.pick",
            "SEEDS = range(4)",
            '"03.3"',
        ],
        replace={
            '"adapter": 1e-3': '"adapter": 10.0',
            "STEPS = tier.pick(pocket=12": "STEPS = tier.pick(pocket=2",
            "SEEDS = range(4)": "SEEDS = range(2)",
        }
        | FEW
        | FEWER_TESTS,
    )
    assert not found["03.3"].holds


def test_merging_that_forgets_the_update_says_something_else():
    real, base_only = tl.methods.merged, tl.methods.set_scale
    filled = "[nn.init.normal_(p) for name, p in adapted.named_parameters() if 'lora_B' in name]"

    def forgetting(model):
        base_only(model, 0.0)
        made = real(model)
        base_only(model, 1.0)
        return made

    found = claims(
        "03",
        [*SETUP, "RANK = 4", "tl.methods.merged(adapted)", '"03.5"'],
        replace={"merged = tl.methods": f"{filled}\nmerged = tl.methods"} | FEW | UNREAD,
        methods={"merged": forgetting},
    )
    assert not found["03.5"].holds


DESKS = (*SETUP[:2], "STEPS = tier.pick", "desks = {", '"03.7"')
SHORT = {"rank=RANK": "rank=4", "steps=8": "steps=2", "valid.x)": "valid.x[:8])"}


def test_desks_that_are_not_exchanged_do_not_answer_as_they_did():
    found = claims("03", DESKS, replace=SHORT, methods={"load_stored": lambda model, state: None})
    assert not found["03.7"].holds and found["03.8"].holds


@pytest.mark.release
def test_a_base_that_trains_along_is_not_untouched():
    real = tl.methods.lora
    found = claims(
        "03",
        DESKS,
        replace=SHORT,
        methods={"lora": lambda model, **how: real(model, **how).requires_grad_(True)},
    )
    assert not found["03.8"].holds
