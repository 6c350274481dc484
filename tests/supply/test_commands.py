"""`tlcourse fetch` and `tlcourse cards`, as a person sees them."""

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tlcourse import cards
from tlcourse.cli.cards import command as cards_command
from tlcourse.cli.fetch import command as fetch_command
from tlcourse.errors import CardError, FetchError

COLUMNS = "80"


def run(command, *arguments):
    return CliRunner().invoke(command, arguments, env={"COLUMNS": COLUMNS, "TERM": "dumb"})


def test_the_table_names_every_card_and_how_it_stands():
    lines = run(cards_command).output.splitlines()
    for name in cards.names():
        (row,) = [line for line in lines if line.startswith(f"{name} ")]
        expected = "embedded" if cards.get(name).embedded else "present|not fetched"
        assert re.search(rf" ({expected}) *$", row), row
    assert max(map(len, lines)) <= int(COLUMNS)


def test_a_whole_card_says_whose_it_is_and_whence():
    out = run(cards_command, "caltech24").output
    card = cards.get("caltech24")
    assert card.assets[0].urls[0] in out and card.source_url in out and "CC BY 4.0" in out
    assert "1,440 files, 21.0 MB" in out and "10.22002/D1.20086" in out and "not fetched" in out


def test_an_embedded_card_says_that_it_is():
    assert "Real UCI digits that scikit-learn ships with" in run(cards_command, "digits").output
    assert "digits: embedded. Real UCI digits" in run(fetch_command, "digits").output


def test_json_for_programs():
    rows = json.loads(run(cards_command, "--json").output)
    assert [row["name"] for row in rows] == cards.names()
    assert json.loads(run(cards_command, "--json", "caltech24").output)["bytes"] == 20_983_907


def test_nothing_to_fetch_names_the_choices():
    result = run(fetch_command)
    assert result.exit_code == 2 and "caltech24" in result.output and "--all" in result.output


def test_a_slip_in_the_last_name_costs_no_download(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    error = run(fetch_command, "caltech24", "caltech25").exception
    assert isinstance(error, CardError) and "Did you mean 'caltech24'?" in str(error)
    assert not (tmp_path / "home").exists()


def test_what_cannot_be_fetched_raises_one_sentence(monkeypatch):
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    assert isinstance(run(fetch_command, "mobilenetv2").exception, FetchError)


@pytest.mark.public
def test_fetch_says_what_how_much_and_where(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_MIRROR", str(mirror))
    result = run(fetch_command, "mobilenetv2", "mobilenetv2")
    assert result.exit_code == 0, result.exception
    assert (
        result.stderr.startswith("Fetching mobilenetv2: ") and "(2 files, 4.1 MB)" in result.stderr
    )
    folder = tmp_path / "home" / "files" / "mobilenetv2"
    assert result.stdout == f"mobilenetv2: fetched, every byte verified · {folder}\n"
    assert f"mobilenetv2: is here, verified · {folder}" in run(fetch_command, "mobilenetv2").output
    assert re.search(r"^mobilenetv2 .* present *$", run(cards_command).output, re.MULTILINE)


@pytest.mark.public
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_shows_a_bar_to_the_end(mirror, tmp_path):
    import pty

    primary, secondary = pty.openpty()
    environ = os.environ | {
        "TLCOURSE_MIRROR": str(mirror),
        "TLCOURSE_HOME": str(tmp_path / "home"),
        "COLUMNS": COLUMNS,
        "TERM": "xterm",
    }
    code = "from tlcourse.cli.fetch import command; command(['mobilenetv2'])"
    with subprocess.Popen([sys.executable, "-c", code], stderr=secondary, env=environ) as process:
        os.close(secondary)
        seen = b""
        try:
            while block := os.read(primary, 65536):
                seen += block
        except OSError:  # Linux says so at the end of a pseudo-terminal
            pass
    os.close(primary)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert process.returncode == 0
    assert "✓ downloading tf2_mobilenet_….tflite ━" in text and "4.1/4.1 MB" in text
