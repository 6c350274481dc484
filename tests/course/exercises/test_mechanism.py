"""An answer is explained, whatever it is; help comes a step at a time; one source has the solution."""

import ast

import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse.course import learner, lesson, lessons
from tlcourse.course.build import notebook
from tlcourse.course.exercises import exercise, exercises, mechanism, wrong
from tlcourse.course.recorded_hands import VARIABLE as HAND
from tlcourse.errors import CourseError


@exercise("01.1", hints=("Think of a number.", "It is even.", "It is `4`."))
def the_number(answer):
    if answer > 4:
        wrong("That is too much: look at your `hand`.")
    return f"It is {4 - answer:d} less than four, in ⟨{0.1:.1f} s⟩."


@pytest.fixture(autouse=True)
def one(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.delenv(HAND, raising=False)
    monkeypatch.setattr(mechanism, "exercises", lambda number: {"01.1": the_number})


def test_right_says_why_and_wrong_says_what_to_look_at():
    assert repr(tl.check("01.1", 3)) == "01.1 right: It is 1 less than four, in ⟨0.1 s⟩."
    assert repr(tl.check("01.1", 5)) == "01.1 not yet: That is too much: look at your `hand`."
    shown, told = tl.check("01.1", 3)._repr_mimebundle_()
    assert "<data>0.1 s</data>" in shown["text/html"]
    assert "<code>hand</code>" in tl.check("01.1", 5)._repr_mimebundle_()[0]["text/html"]
    assert told == {"tlcourse": {"verdict": {"id": "01.1", "right": True}}}


def unwritten(W, A, *, alpha=1): ...


def announced(rate: float) -> float:
    """Will say how far it moves."""
    ...


@pytest.mark.parametrize(
    "nothing", [..., None, [1, ...], (...,), {"a": ..., "b": 2}, unwritten, announced]
)
def test_where_nothing_was_filled_in_it_says_so_and_counts_no_attempt(nothing):
    verdict = tl.check("01.1", nothing)
    assert verdict.right is None and 'tl.hint("01.1")' in verdict.sentence
    assert learner.read()["exercises"] == {}


class Spiteful:
    def __len__(self):
        raise RuntimeError("no length")

    def __gt__(self, other):
        raise Unspeakable

    def __repr__(self):
        raise RuntimeError("no name")


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("4", "the text '4' (TypeError"),
        ([1, 2, 3], "a list of 3"),
        ({"a": 1}, "a dict of 1"),
        (np.zeros((2, 4)), "a ndarray of shape (2, 4)"),
        (torch.ones(3), "a Tensor of shape (3,)"),
        (3.5, "the number 3.5 (ValueError"),
        (lambda: 1, "Calling your function went wrong (TypeError"),
        (Spiteful(), "a Spiteful (Unspeakable: it cannot say why)"),
        (iter([]), "a list_iterator"),
    ],
)
def test_an_answer_of_another_shape_is_told_so_and_raises_nothing(answer, said):
    verdict = tl.check("01.1", answer)
    assert verdict.right is False and said in verdict.sentence
    assert "<div" in verdict._repr_mimebundle_()[0]["text/html"]


def test_what_is_solved_stays_solved():
    for answer in (9, 9, 3, 9):
        tl.check("01.1", answer)
    entry = learner.read()["exercises"]["01.1"]
    assert entry["tried"] == 3 and entry["solved"]


def test_hints_come_one_at_a_time_and_at_last_the_solution():
    said = [tl.hint("01.1") for _ in range(5)]
    assert [one.head for one in said] == [
        "hint 1 of 3", "hint 2 of 3", "hint 3 of 3", "the solution", "the solution",
    ]  # fmt: skip
    assert said[1].sentence == "It is even."
    assert said[2].sentence.endswith("The next call shows the solution.")
    assert "notebooks/01-feature-extraction.ipynb" in said[3].sentence
    assert "curve[n] = tl.interval" in said[3].code and "# END" not in said[3].code
    assert "<pre>" in said[3]._repr_mimebundle_()["text/html"]


def test_in_a_headless_run_hints_start_over_and_nothing_is_kept(monkeypatch, tmp_path):
    tl.hint("01.1")
    monkeypatch.setenv(HAND, "recorded")
    monkeypatch.setattr(learner, "_alone", {})
    assert tl.hint("01.1").at == 1
    monkeypatch.delenv(HAND)
    assert tl.hint("01.1").at == 2


@pytest.mark.parametrize("call", [lambda id: tl.check(id, 1), tl.hint])
def test_an_unknown_exercise_is_named_with_the_choices(call):
    with pytest.raises(CourseError, match=r"No exercise '01.9'. Lesson 01 has: 01.1\."):
        call("01.9")
    with pytest.raises(CourseError, match="lesson and number"):
        call("1")


@pytest.mark.parametrize("hints", [(), "one long string", (" ",)])
def test_an_exercise_without_hints_is_refused(hints):
    with pytest.raises(CourseError, match="needs hints"):
        exercise("01.1", hints=hints)


def calls(taught) -> list[tuple[str, str, str, set[str]]]:
    """(id, the learner's cell, the solved cell, names made before) for each tl.check in the lesson."""
    found, made = [], set()
    books = [notebook(taught, solutions=solved).cells for solved in (False, True)]
    for opened, solved in zip(*books, strict=True):
        if opened.cell_type != "code":
            continue
        if "tl.check(" in opened.source:
            id = opened.source.partition('tl.check("')[2].partition('"')[0]
            found.append((id, opened.source, solved.source, set(made)))
        made |= names_made(opened.source)
    return found


def names_made(code: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(code)))
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    defined = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    return stored | defined | {a.asname or a.name for a in nodes if isinstance(a, ast.alias)}


@pytest.mark.parametrize("taught", lessons(), ids=lambda one: one.number)
def test_every_exercise_of_a_lesson_is_declared_opens_cleanly_and_has_its_solution(taught):
    found = calls(taught)
    assert [id for id, *_ in found] == list(exercises(taught.number))
    for id, opened, solved, made in found:
        *before, last = ast.parse(opened).body
        space = {"tl": tl}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mechanism, "exercises", exercises)
            try:
                exec(compile(ast.Module(before, []), id, "exec"), space)
                verdict = eval(compile(ast.Expression(last.value), id, "eval"), space)
            except NameError as error:  # nothing ran before this cell; but it will have
                assert error.name in made, f"{id}: the learner never gets a {error.name!r}"
            else:
                assert verdict.right is None, f"{id}: the learner's cell says {verdict!r}"
        assert opened.count("# your turn") >= 1 and "# your turn" not in solved
        assert mechanism.solution(id) and mechanism.solution(id) in solved


def test_the_lesson_in_the_package_is_where_the_solution_stands():
    assert mechanism.solution("01.1") in lesson("01").path.read_text(encoding="utf-8")
