"""Lesson 04's claims can fail: where an alignment pulls at nothing, and where practice is left out."""

import pytest

from tests.course.broken import claims

pytestmark = pytest.mark.slow
START = "import tlcourse as tl"
WORLD = ("DATA = tier.pick", "def world", "renormed, renormed_stream =")
TRAINED = ("class Adapter", "def adapt", "LINEUP = {", 'tl.claim(\n    "04.2"')
FEWER = {
    "SEEDS = range(10, 18)": "SEEDS = range(10, 12)",
    "= world(away.train, adabn=True)": "= plain, stream",  # AdaBN's world is not asked for here
    '{"source only": abroad}': "{}",
    "[self_train(data, stream, seed) for seed, data in zip(SEEDS, plain)]": "[(None, 0.5)]",
    "LINEUP.items():\n": "LINEUP.items():\n    if name not in ('source only', 'MMD'): continue\n",
}


@pytest.mark.release
def test_an_alignment_that_pulls_at_nothing_beats_nothing():
    found = claims(
        "04",
        [START, *WORLD, *TRAINED],
        replace=FEWER,
        methods={"mmd": lambda source, target: 0 * source.sum()},
    )
    assert not found["04.2"].holds
    assert found["04.2"].evidence.values == (0.0, 0.0)


def test_one_step_of_practice_teaches_no_word():
    found = claims(
        "04",
        [START, "shop = tl.load_data", "practice = masked_words", '"04.6"'],
        replace={
            "steps=tier.pick(pocket=10, public=60)": "steps=1",
            "head.accuracy(tl.features(model, clinic.test))": "0.0",
        },
    )
    assert not found["04.6"].holds
