"""A guess is committed once, kept, and held against what came out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tlcourse.course import learner
from tlcourse.course.guess_feedback import sentence
from tlcourse.course.predictions import UNITS, Question, predict
from tlcourse.course.recorded_hands import VARIABLE as HAND
from tlcourse.errors import CourseError
from tlcourse.measure import interval

TWO = {"from scratch": 0.5, "frozen": 0.6}
SAID = {"from scratch": 0.3, "frozen": 0.7}


def ask(id="01.1", items=TWO, **options):
    return predict(id, "What accuracy?", items, **options)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.delenv(HAND, raising=False)
    return tmp_path


@pytest.fixture
def nobody(monkeypatch):
    monkeypatch.setenv(HAND, "recorded")
    monkeypatch.setattr(learner, "_alone", {})


def test_nothing_counts_before_it_is_committed(home):
    guess = ask()
    assert guess["frozen"] is None and guess.committed is None
    assert not (home / "progress.json").exists()
    assert "Not committed yet." in repr(guess)


def test_a_commitment_is_there_when_the_cell_runs_again():
    ask().commit(SAID)
    assert ask()["frozen"] == 0.7
    assert "frozen        70 %" in repr(ask())


def test_a_mind_can_be_changed_and_the_first_guess_is_not_lost(home):
    ask().commit(SAID)
    guess = ask().commit({**SAID, "frozen": 0.8})
    assert guess["frozen"] == 0.8
    entry = json.loads((home / "progress.json").read_text())["predictions"]["01.1"]
    assert [before["values"] for before in entry["before"]] == [SAID]


def test_a_guess_is_final_once_the_outcome_was_seen():
    guess = ask().commit(SAID)
    guess.outcome({"frozen": 0.9})
    assert guess.commit(SAID)["frozen"] == 0.7  # the same cell again
    with pytest.raises(CourseError, match="seen the outcome of 01.1.*from scratch 30 %"):
        ask().commit(TWO)
    assert ask().committed == SAID


def test_a_guess_after_the_outcome_is_taken_and_called_late():
    guess = ask()
    assert "No guess was committed" in guess.outcome({"frozen": 0.9}).alt
    guess.commit(SAID)
    assert "after the outcome had been shown" in guess.outcome({"frozen": 0.9}).alt


def test_a_view_that_knew_of_no_guess_replaces_none():
    ask().commit(SAID)
    assert ask().commit(TWO, over=False).committed == SAID


def test_a_guess_for_other_items_does_not_count_and_is_kept(home):
    ask(items={"an older item": 0.5}).commit({"an older item": 0.4})
    guess = ask()
    assert guess.committed is None
    guess.commit(SAID)
    entry = json.loads((home / "progress.json").read_text())["predictions"]["01.1"]
    assert entry["before"][0]["values"] == {"an older item": 0.4}


def test_without_anybody_the_starting_positions_count_and_nothing_is_written(home, nobody):
    guess = ask()
    assert guess.committed == TWO
    assert repr(guess).endswith("the starting positions count.")
    guess.outcome({"frozen": 0.9})
    assert guess.commit(TWO).committed == TWO
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (lambda: ask("1.1"), "lesson and number, such as '02.1'"),
        (lambda: predict("01.1", " ", TWO), "needs a question"),
        (lambda: ask(items={}), "needs items"),
        (lambda: ask(items=["a"]), "needs items"),
        (
            lambda: ask(items={"a": 2.0}),
            "'a' must lie between 0 % and 100 % \\(0 and 1\\), not 2.0",
        ),
        (lambda: ask(items={"a": "much"}), "a number for 'a', not 'much'"),
        (lambda: ask(items={"a": float("nan")}), "a number for 'a'"),
        (lambda: ask(unit="miles"), "Choose one of: percent, points"),
        (lambda: ask(low=1, high=0), "turn them round"),
        (lambda: ask(low=float("-inf")), "numbers for low and high"),
        (lambda: ask()["frosen"], "does not ask for 'frosen'. It asks for: from scratch, frozen"),
        (lambda: ask().commit({"frozen": 0.5}), "also asks for from scratch"),
        (lambda: ask().commit({**SAID, "frozen": 70}), "must lie between 0 % and 100 %"),
        (lambda: ask().commit(0.5), "A guess names each item"),
        (lambda: ask().outcome({}), "names its items"),
        (lambda: ask().outcome({"froze": 0.5}), "does not ask for 'froze'"),
        (lambda: ask().outcome({"frozen": interval([1, 2], unit="ratio")}), "is in ratio"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(wanted, said):
    with pytest.raises(CourseError, match=said):
        wanted()


@pytest.mark.parametrize(
    ("unit", "ends", "value", "words"),
    [
        ("percent", (0, 1), 0.52, "52 %"),
        ("percent", (0, 1), 0.525, "52.5 %"),
        ("points", (-1, 1), -0.05, "−5 points"),
        ("points", (0, 1), 0.01, "1 point"),
        ("ratio", (1, 50), 12.5, "12.5 ×"),
        ("seconds", (0, 10), 0.3, "0.3 s"),
        ("count", (0, 5000), 1440, "1,440"),
        ("number", (0, 0.1), 0.02, "0.02"),
    ],
)
def test_a_value_is_said_as_a_person_would(unit, ends, value, words):
    assert Question("01.1", "?", {}, unit, *ends).words(value) == words


@given(some.floats(1e-3, 1e6), some.floats(-1e6, 1e6), some.sampled_from(sorted(UNITS)))
def test_a_slider_has_about_a_hundred_places(width, low, unit):
    asked = Question("01.1", "?", {}, unit, low, low + width)
    if unit != "count" and asked.high > asked.low:
        assert 39.9 <= (asked.high - asked.low) / asked.step <= 100.1


NEAR = interval([0.36, 0.34, 0.38])  # 31 … 41 %
FAR = interval([0.81, 0.80, 0.83])


BOTH = {"a": NEAR, "b": FAR}
SENTENCES = [
    ({"a": 0.35, "b": 0.82}, BOTH, "Both came out as guessed, within what was measured. "),
    (
        {"a": 0.35, "b": 0.82},
        BOTH,
        "“b” is above “a”, as expected, but by 45 points and not by 47",
    ),
    (
        {"a": 0.35, "b": 0.5},
        BOTH,
        "“a” came out as guessed, within what was measured; “b” came out ",
    ),
    ({"a": 0.35, "b": 0.5}, BOTH, "; “b” came out 31 points higher than guessed. "),
    (
        {"a": 0.9, "b": 0.5},
        BOTH,
        "“a” came out 54 points lower than guessed and “b” 31 points higher.",
    ),
    ({"a": 0.9, "b": 0.5}, BOTH, "The guess had “a” highest, and it is “b”."),
    ({"a": 0.5, "b": 0.5}, BOTH, "The guess had “a” and “b” level; “b” is highest."),
    ({"a": 0.1, "b": 0.2, "c": 0.9}, {"a": 0.3, "b": 0.4, "c": 0.8}, "“c” is highest was right."),
    (
        {"a": 0.3, "b": 0.9},
        {"a": NEAR, "b": interval([0.3, 0.5, 0.6])},
        "“b” came out highest, but its interval overlaps that of “a”.",
    ),
    ({"a": 0.405}, {"a": 0.4}, "“a” came out as guessed, to the point."),
    ({"a": 0.5}, {"a": float("nan")}, "as no number"),
]


@pytest.mark.parametrize(("guess", "came", "said"), SENTENCES)
def test_the_sentence_says_who_was_right_and_by_how_much(guess, came, said):
    assert said in sentence(guess, came, "percent")


def test_a_ratio_misses_by_a_factor():
    assert "4.8-fold higher" in sentence({"a": 7}, {"a": 33.4}, "ratio")


def test_the_outcome_is_drawn_over_the_guess():
    picture = ask().commit(SAID).outcome({"from scratch": NEAR, "frozen": FAR})
    assert "36.0 ± 5.0 % (guessed 30 %)" in picture.alt and "11 points higher" in picture.alt
    assert "⟨36.0 ± 5.0 %⟩ (guessed 30 %)" in repr(picture)
    diamonds = [line for line in picture.figure.axes[0].lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == [0.3, 0.7]


def test_where_no_widget_runs_it_is_a_table():
    bundle = ask(items={"a < b": 0.5})._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "a &lt; b" in bundle["text/html"] and "50 %" in bundle["text/html"]
