"""A file is written whole or not at all."""

import os
import stat
import subprocess
import sys
from threading import Thread

import pytest

from tlcourse.files import replacing, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["naïve\nlines\n", b"\x00\xff", ""])
def test_the_new_content_takes_the_place_of_the_old(tmp_path, content):
    path = tmp_path / "a" / "b.txt"
    write_atomically(path, "before", sync=True)
    write_atomically(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(path.parent) == ["b.txt"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_after_an_error_the_old_file_stands_alone(tmp_path, error):
    path = tmp_path / "a.txt"
    write_atomically(path, "before")
    with pytest.raises(type(error)):
        with replacing(path) as file:
            file.write(b"half")
            raise error
    assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_at_the_very_end_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_atomically(path, "before")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "after", sync=True)
    assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]


def test_a_reader_meets_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, "before")
    with replacing(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"
        assert all(name.startswith(".") for name in names(tmp_path) if name != "a.txt")
    assert path.read_text() == "after"


def test_two_writers_do_not_mix(tmp_path):
    path = tmp_path / "a.txt"
    texts = [letter * 300_000 for letter in "ab"]
    writers = [
        Thread(target=lambda text=text: [write_atomically(path, text) for _ in range(20)])
        for text in texts
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in texts and names(tmp_path) == ["a.txt"]


def test_what_a_killed_process_left_goes_with_the_next_sole_writer(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import os, sys, signal; from pathlib import Path; from tlcourse.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)])
    assert not path.exists() and len(names(tmp_path)) == 1
    write_atomically(tmp_path / "a.txt.b", "another file's part is left alone")
    write_atomically(path, "whole", sole_writer=True)
    assert names(tmp_path) == ["a.txt", "a.txt.b"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "a.txt", "text")
    (tmp_path / "plain.txt").write_text("text")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1
