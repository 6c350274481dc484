"""What counts as the same text, and as a text that is alike."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tlcourse.data.corpus import Row, _runs, alike, clean, distinct, independent, words_of

FEE = "why was a fee charged on my card last week when I paid for lunch in the old town"


def test_capitals_and_punctuation_make_no_other_text():
    assert (
        words_of("Is my card HERE?!") == words_of("is my card here") != words_of("is my card there")
    )
    assert words_of(":-)") != words_of("?")  # nothing but punctuation: compared as it is


def test_characters_are_mended():
    assert clean("one \x96 two\x92s  \n lost \ufffd and \x1a") == "one – two’s lost and"


def test_one_row_of_those_that_say_the_same_is_kept():
    rows = [Row("a", "x", "Hello!"), Row("b", "x", "hello"), Row("c", "x", "bye")]
    assert [row.id for row in distinct(rows)] == ["a", "c"]
    rows[1] = Row("b", "x", "hello", given="test")
    assert [row.id for row in distinct(rows)] == ["b", "c"]


def test_rows_that_disagree_are_left_out_except_in_a_given_test_set():
    rows = [Row("a", "x", "Hello!"), Row("b", "y", "hello"), Row("c", "x", "bye")]
    assert [row.id for row in distinct(rows)] == ["c"]
    rows[1] = Row("b", "y", "hello", given="test")
    assert [row.id for row in distinct(rows)] == ["b", "c"]


def test_texts_that_differ_by_a_word_or_a_number_are_alike():
    texts = [FEE, FEE + " 42", "call 0906 now to claim 500", "call 0800 now to claim 900", "bye"]
    assert alike(texts) == [(0, 1), (2, 3)]


def test_families_reach_over_others_and_stay_within_a_label():
    texts = [FEE, FEE + " today", FEE + " today at noon", "another thing altogether", FEE + " x"]
    rows = [Row(str(n), "xxxxy"[n], text) for n, text in enumerate(texts)]
    kept, kin = independent(rows)
    assert kept == rows and kin == ["0", "0", "0", "3", "4"]


def test_what_is_alike_to_a_given_test_set_is_left_out():
    rows = [Row("a", "x", FEE), Row("b", "x", FEE + " today", given="test"), Row("c", "x", "bye")]
    assert [row.id for row in independent(rows)[0]] == ["b", "c"]
    other = Row("b", "y", FEE + " today", given="test")  # says nearly the same, means another
    assert independent([rows[0], other, rows[2]])[0] == [rows[0], other, rows[2]]


@given(st.integers(0, 10_000))
def test_no_pair_is_missed(seed):
    """Against comparing every pair with every other."""
    chance = random.Random(seed)
    base = [" ".join(chance.choices("abcdefgh", k=chance.randint(1, 14))) for _ in range(6)]
    texts = base + [
        " ".join(
            chance.choice("abcdefgh") if chance.random() < 0.1 else word for word in text.split()
        )
        for text in base * 3
    ]
    runs = [_runs(text) for text in texts]
    expected = [
        (a, b)
        for a in range(len(texts))
        for b in range(a + 1, len(texts))
        if 10 * len(runs[a] & runs[b]) >= 7 * len(runs[a] | runs[b])
    ]
    assert alike(texts) == expected
