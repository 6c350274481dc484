"""`tlcourse claims`, and several lessons at once: each is heard, whatever became of the one before."""

import json

import pytest

from tests.course.conftest import SAMPLE
from tlcourse.cli import main
from tlcourse.course import syllabus

SECOND = """
# %%
claim("42.2", "Half of all is at least nine tenths.", 0.5, at_least=0.9, unit="percent")

# %%
claim("42.3", "What comes after a refuted claim is heard.", True)
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Two lessons, of which the first has a claim that does not hold."""
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    (lessons / "42-sample.py").write_text(SAMPLE + SECOND, encoding="utf-8")
    (lessons / "43-other.py").write_text(SAMPLE.replace("42", "43"), encoding="utf-8")
    monkeypatch.setattr(syllabus.lessons, "__defaults__", (lessons,))
    monkeypatch.setattr(syllabus.lesson, "__defaults__", (lessons,))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLCOURSE_TIER", "pocket")
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


def test_every_claim_is_heard_and_the_table_says_what_was_asked(course, capsys):
    assert main(["claims"]) == 1
    table = " ".join(capsys.readouterr().out.split())
    assert "42.1 Half of all is at least a quarter." in table
    assert "fails │ 42.2 Half of all" in table and "50.0 % │ ≥ 90 %" in table
    assert "42.3" in table and "43.1" in table and "Measured on" in table
    told = json.loads((course / "out" / "claims" / "claims.json").read_text())
    assert [lesson["lesson"] for lesson in told] == ["42", "43"]
    assert all(lesson["passed"] for lesson in told)


def test_where_all_hold_the_exit_code_is_zero(course):
    assert main(["claims", "43", "--out", "there"]) == 0
    assert (course / "there" / "43-pocket" / "43-figures.json").exists()


def test_of_several_lessons_each_runs_and_the_failures_are_said_together(course, capsys):
    assert main(["run", "--all"]) != 0
    told = capsys.readouterr()
    assert "Lesson 43 passed" in told.out
    assert "Lesson 42 failed" in told.err and "42.2" in told.err


def test_nothing_named_is_said(course, capsys):
    assert main(["run"]) != 0
    assert "Name lessons by number, such as 01 02, or say --all." in capsys.readouterr().err
