"""`tlcourse progress` says what was done, and where it is kept."""

import json

import tlcourse as tl
from tlcourse.cli import main


def test_it_shows_what_was_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    assert main(["progress"]) == 0
    assert "Nothing has been done yet. Open the lessons: tlcourse lab" in capsys.readouterr().out
    tl.claim("01.2", "Two is more than one.", 2.0, at_least=1.0)
    assert main(["progress"]) == 0
    told = capsys.readouterr().out
    assert "01 Feature extraction" in told and "1 of 6" in told and "Nothing" not in told
    assert main(["progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lesson = next(one for one in found["lessons"] if one["lesson"] == "01")
    assert lesson["held"] == ["01.2"] and lesson["exercises"] == 3
    assert found["file"] == str(tmp_path / "progress.json")
