"""What a learner did outlives notebooks, kills, full disks and bad files."""

import json
import os
import subprocess
import sys
import time

import pytest

import tlcourse as tl
from tlcourse.course import learner
from tlcourse.course.recorded_hands import VARIABLE as HAND
from tlcourse.errors import ClaimFailed


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(HAND, raising=False)
    for name, empty in (("_waiting", {}), ("_alone", {}), ("_said", set())):
        monkeypatch.setattr(learner, name, empty)
    return learner.path()


def mark(name: str):
    return learner.change(lambda notes: notes["claims"].setdefault(name, {"holds": True}))


def test_it_lies_with_the_users_data_and_not_in_a_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("TLCOURSE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if sys.platform == "linux":
        assert learner.path() == tmp_path / "data" / "tlcourse" / "progress.json"
    assert learner.path().name == "progress.json"


def test_a_change_is_there_for_the_next_notebook(place):
    mark("01.1")
    assert json.loads(place.read_text())["claims"] == {"01.1": {"holds": True}}
    assert learner.read()["claims"] == {"01.1": {"holds": True}}
    assert sorted(path.name for path in place.parent.iterdir()) in (
        ["progress.json"],
        ["progress.json", "progress.lock"],
    )


def test_what_is_read_can_be_changed_without_changing_anything(place):
    mark("01.1")
    learner.read()["claims"].clear()
    assert "01.1" in learner.read()["claims"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1, "claims": {"01.1": 3}}', '{"format": 1, "claims": 3}', "null",
     '{"format": 1, "predictions": {"01.1": {"values": {"a": NaN}}}}', "[" * 100_000, '{"format": "1"}'],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_kept_aside_and_said_once(place, text, capsys):
    place.parent.mkdir()
    place.write_text(text)
    assert learner.read()["claims"] == {}
    mark("01.2")
    aside = [path for path in place.parent.iterdir() if "unreadable" in path.name]
    assert [path.read_text() for path in aside] == [text]
    assert json.loads(place.read_text())["claims"] == {"01.2": {"holds": True}}
    assert capsys.readouterr().err.count("made no sense") == 1


def test_bytes_that_are_no_text_are_kept_aside_too(place):
    place.parent.mkdir()
    place.write_bytes(b"\xff\xfe\x00")
    mark("01.1")
    assert any(path.read_bytes() == b"\xff\xfe\x00" for path in place.parent.iterdir())


def test_a_newer_format_is_left_alone(place, capsys):
    place.parent.mkdir()
    newer = '{"format": 2, "claims": {"01.1": {"holds": true}}}'
    place.write_text(newer)
    mark("01.2")
    assert place.read_text() == newer
    assert "a newer tlcourse wrote it" in capsys.readouterr().err
    assert "01.2" in learner.read()["claims"]


def test_where_nothing_can_be_written_it_says_so_once_and_goes_on(place, capsys):
    place.parent.write_text("a file where the folder would be")
    mark("01.1")
    mark("01.2")
    assert set(learner.read()["claims"]) == {"01.1", "01.2"}
    told = capsys.readouterr().err
    assert told.count("cannot be kept") == 1 and "TLCOURSE_HOME" in told
    place.parent.unlink()  # the disk can be written again: nothing was lost
    mark("01.3")
    assert set(json.loads(place.read_text())["claims"]) == {"01.1", "01.2", "01.3"}


def test_a_full_disk_leaves_what_was_there(place, monkeypatch):
    mark("01.1")
    before = place.read_text()
    real = os.fsync

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(learner.os, "fsync", full)
    mark("01.2")
    assert place.read_text() == before
    assert not list(place.parent.glob(".*.part"))
    monkeypatch.setattr(learner.os, "fsync", real)
    mark("01.3")
    assert set(json.loads(place.read_text())["claims"]) == {"01.1", "01.2", "01.3"}


def test_what_had_to_wait_counts_once(place):
    place.parent.write_text("a file where the folder would be")
    for _ in range(3):
        tl.hint("01.1")
    place.parent.unlink()
    mark("01.1")
    mark("01.2")
    assert hints() == 3


COUNTING = """
import sys
from tlcourse.course import learner
def one(notes):
    entry = notes["exercises"].setdefault("01.1", {})
    entry["hints"] = entry.get("hints", 0) + 1
for _ in range(int(sys.argv[1])):
    learner.change(one)
"""


def counting(times: int) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", COUNTING, str(times)])


def test_several_notebooks_at_once_lose_nothing(place):
    counters = [counting(40) for _ in range(3)]
    assert [counter.wait(60) for counter in counters] == [0, 0, 0]
    assert hints() == 120


def hints() -> int:
    return learner.read()["exercises"].get("01.1", {}).get("hints", 0)


def test_a_notebook_that_is_killed_while_it_writes_leaves_a_whole_file(place, capsys):
    for _ in range(4):
        before = hints()
        with counting(1_000_000) as counter:
            until = time.monotonic() + 60
            while hints() < before + 3 and time.monotonic() < until:
                time.sleep(0.01)
            counter.kill()
        assert json.loads(place.read_text())["exercises"]["01.1"]["hints"] >= before + 3
    part = place.with_name(f".{place.name}.1-1.part")
    part.write_text("half a fi")
    before = hints()
    mark("01.1")  # the dead one's lock is free, and what it left is swept up
    assert not list(place.parent.glob(".*.part")) and hints() == before
    assert capsys.readouterr().err == ""


def test_a_headless_run_reads_nothing_and_writes_nothing(place, monkeypatch):
    mark("01.1")
    before = place.read_bytes()
    monkeypatch.setenv(HAND, "recorded")
    assert learner.read()["claims"] == {}
    mark("01.2")
    assert learner.read()["claims"] == {"01.2": {"holds": True}}
    assert place.read_bytes() == before


def test_claims_are_remembered_as_they_were_last_seen(place, capsys):
    tl.claim("01.2", "One is at least a half.", 1.0, at_least=0.5)
    with pytest.raises(ClaimFailed):
        tl.claim("01.3", "One is at least two.", 1.0, at_least=2.0)
    standing = next(one for one in tl.progress().standings if one.lesson == "01")
    assert (standing.held, standing.failed) == (("01.2",), ("01.3",))


def test_a_table_of_what_there_is_and_what_was_done(place):
    tl.check("01.1", "not a curve")
    tl.hint("01.1")
    guess = {"from scratch": 0.5, "frozen backbone": 0.6}
    tl.predict("01.1", "What?", guess).commit(guess)
    told = tl.progress()
    one = next(one for one in told.standings if one.lesson == "01")
    assert (one.predictions, one.predicted) == (1, ("01.1",))
    assert (one.exercises, one.tried, one.solved, one.hints) == (3, ("01.1",), (), 1)
    assert one.claims == 6
    assert "1 of 1" in repr(told) and "0 of 3 (1 tried)" in repr(told)
    assert "0 of 3 (1 tried)" in told._repr_mimebundle_()["text/html"]
    assert json.loads(json.dumps(told.as_json()))["lessons"][0]["title"]


def test_what_a_lesson_no_longer_has_is_not_counted(place):
    learner.change(lambda notes: notes["exercises"].update({"01.99": {"tried": 1}}))
    one = next(one for one in tl.progress().standings if one.lesson == "01")
    assert one.tried == ()
