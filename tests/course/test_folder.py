"""What the learner wrote is the learner's."""

import pytest

from tlcourse.course.folder import prepare, reset
from tlcourse.errors import CourseError


def test_missing_lessons_are_copied_and_others_left_alone(write_lesson, tmp_path):
    taught, folder = write_lesson(), tmp_path / "mine"
    assert prepare(folder, [taught]) == [folder / "42-sample.ipynb"]
    (folder / "42-sample.ipynb").write_text("my own work")
    assert prepare(folder, [taught]) == []
    assert (folder / "42-sample.ipynb").read_text() == "my own work"


def test_reset_keeps_every_version(write_lesson, tmp_path):
    taught, folder = write_lesson(), tmp_path / "mine"
    (path,) = prepare(folder, [taught])
    fresh = path.read_text()
    kept = []
    for words in ("first try", "second try"):
        path.write_text(words)
        kept.append(reset(taught, folder))
        assert path.read_text() == fresh
    assert [one.read_text() for one in kept] == ["first try", "second try"]


def test_reset_brings_back_a_deleted_lesson(write_lesson, tmp_path):
    taught, folder = write_lesson(), tmp_path / "mine"
    (path,) = prepare(folder, [taught])
    path.unlink()
    assert reset(taught, folder) is None
    assert path.exists()


def test_reset_in_a_folder_that_is_not_there_makes_none(write_lesson, tmp_path):
    with pytest.raises(CourseError, match="No folder"):
        reset(write_lesson(), tmp_path / "typo")
    assert not (tmp_path / "typo").exists()


def test_a_folder_that_cannot_be_written_is_said(write_lesson, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CourseError, match="Cannot write .*Name another folder"):
        prepare(tmp_path / "file" / "mine", [write_lesson()])
