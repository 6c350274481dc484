"""A recorded hand is a plan at shares of a run, and never mistaken for the record of one."""

import json

import pytest

from tests.ui.conftest import make_run
from tlcourse.course import hand, lessons, recorded_hands
from tlcourse.course.recorded_hands import load
from tlcourse.course.syllabus import LESSONS
from tlcourse.errors import CourseError, RecordError
from tlcourse.session import Record, SetLR

HEAD = {"tlcourse_hand": 1}
FREEZE = {"kind": "freeze", "group": "head"}


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "hand.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("taught", lessons(), ids=lambda one: one.number)
def test_the_hand_of_every_lesson_is_in_order_and_inside_the_run(taught):
    moves = load(LESSONS / "hands" / f"{taught.number}.jsonl")
    shares = [share for share, _ in moves]
    assert shares == sorted(shares) and 0 < shares[0] and shares[-1] < 1


def test_no_hand_is_left_of_a_lesson_that_is_gone():
    found = {path.stem for path in (LESSONS / "hands").iterdir()}
    assert found == {one.number for one in lessons()}


def test_a_hand_is_due_at_the_same_share_of_a_run_of_any_length(write, monkeypatch):
    slow = {"share": 0.29, "command": {"kind": "set_lr", "group": "head", "lr": 0.001}}
    path = write(HEAD, slow, {"share": 0.5, "command": {"kind": "evaluate"}})
    monkeypatch.setattr(recorded_hands, "LESSONS", path.parent)
    path.parent.joinpath("hands").mkdir()
    path.rename(path.parent / "hands" / "01.jsonl")
    monkeypatch.setenv(recorded_hands.VARIABLE, "recorded")
    for steps, ticks in ((100, [29, 50]), (40, [11, 20])):
        run = make_run(steps=steps)
        assert hand(run, "01") == 2
        run.run()
        assert [tick for tick, _ in run.record.commands] == ticks
    assert run.record.commands[0][1] == SetLR("head", 0.001)


def test_a_learner_has_hands_of_their_own(monkeypatch):
    monkeypatch.delenv(recorded_hands.VARIABLE, raising=False)
    assert hand(None, "01") == 0


def test_a_lesson_without_a_hand_is_said(monkeypatch):
    monkeypatch.setenv(recorded_hands.VARIABLE, "recorded")
    with pytest.raises(CourseError, match="Lesson 77 has no recorded hand"):
        hand(None, "77")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"line 1: a recorded hand begins with \{\"tlcourse_hand\": 1\}"),
        ([{"tlcourse_hand": 2}], "line 1: format 2 is not known; this version reads 1"),
        ([HEAD, {"tick": 350, "command": FREEZE}], "line 2: .*has a share and a command"),
        ([HEAD, {"share": 350, "command": FREEZE}], "line 2: .*from 0 to 1, not 350"),
        ([HEAD, {"share": True, "command": FREEZE}], "line 2: .*not True"),
        ([HEAD, {"share": 0.1, "command": {"kind": "melt"}}], "line 2: No command 'melt'"),
        ([HEAD, {"share": 0.1, "command": {"kind": "freeze"}}], "line 2: Freeze also needs group"),
    ],
)
def test_what_is_wrong_with_a_hand_is_said_with_the_line(write, rows, message):
    with pytest.raises(CourseError, match=message):
        load(write(*rows))


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(CourseError, match="gone.jsonl cannot be read as a recorded hand"):
        load(tmp_path / "gone.jsonl")


def test_the_record_of_a_run_is_refused_as_a_hand(tmp_path):
    run = make_run(steps=4)
    run.run()
    path = run.record.save(tmp_path / "mine.jsonl")
    with pytest.raises(
        CourseError, match="record of a run, whose ticks are steps.*tlcourse replay"
    ):
        load(path)


def test_a_hand_is_refused_as_the_record_of_a_run():
    with pytest.raises(RecordError, match="line 1.*recorded hand .*fractions of a run"):
        Record.load(LESSONS / "hands" / "00.jsonl")
