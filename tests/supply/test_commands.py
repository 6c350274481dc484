"""`tlcourse fetch` and `tlcourse cards`, as a person sees them."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from tests.supply.server import cut, stall, status
from tests.supply.things import PHOTOS, archive, content, noise, one
from tlcourse import cards
from tlcourse.cli.cards import command as cards_command
from tlcourse.cli.fetch import command as fetch_command
from tlcourse.course.syllabus import lesson
from tlcourse.errors import CardError, CourseError, FetchError, NoSpaceError, TierError

COLUMNS = "80"


def run(command, *arguments):
    return CliRunner().invoke(command, arguments, env={"COLUMNS": COLUMNS, "TERM": "dumb"})


def test_the_table_has_a_line_for_every_card_and_how_it_stands(monkeypatch):
    monkeypatch.setenv("TLCOURSE_COMMAND", "python start.py")
    lines = run(cards_command).output.splitlines()
    for card in [*map(cards.get, cards.names()), *map(cards.hub, cards.hub_names())]:
        (row,) = [line for line in lines if line.startswith(f"{card.name} ")]
        expected = "embedded" if card.embedded else "present|not fetched|not pinned"
        assert re.search(rf" {re.escape(card.title)} +[\d.]+ [kMG]?B ({expected}) *$", row), row
    others = [line for line in lines if line.strip() and line.split()[0] not in every_name()]
    assert len(others) == 5  # two headings, and three lines that say what to run
    assert max(map(len, lines)) <= int(COLUMNS)


def every_name():
    return {*cards.names(), *cards.hub_names()}


def test_a_wide_terminal_has_room_for_the_licences():
    out = CliRunner().invoke(cards_command, [], env={"COLUMNS": "140", "TERM": "dumb"}).output
    assert re.search(r"^caltech24 .* CC BY 4.0 \(Caltech-101\) .* not fetched$", out, re.MULTILINE)


def test_a_whole_card_says_whose_it_is_and_whence():
    out = run(cards_command, "caltech24").output
    card = cards.get("caltech24")
    assert card.assets[0].urls[0] in out and card.source_url in out and "CC BY 4.0" in out
    assert "1,440 files, 21.0 MB" in out and "10.22002/D1.20086" in out and "not fetched" in out


def test_a_card_says_how_much_of_its_source_is_given():
    out = run(cards_command, "sms-spam").output
    assert "5,574 text messages" in out
    assert re.search(r"^gives +5,131 examples of 2 classes \(4,830 train", out, re.MULTILINE)
    assert "gives" not in run(cards_command, "mobilenetv2").output
    assert json.loads(run(cards_command, "--json", "sms-spam").output)["gives"][0]["test"] == 200


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


def test_what_cannot_be_fetched_is_said_once(monkeypatch):
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    result = run(fetch_command, "mobilenetv2")
    assert result.exit_code == FetchError.exit_code and result.stdout == ""
    assert result.stderr.count("Could not fetch") == 1


@pytest.fixture
def shelf(server, monkeypatch):
    """Four small cards at the test server, in place of the course's own."""
    every = {}
    for number in range(4):
        body = noise(30_000, number)
        every[f"thing{number}"] = replace(
            one(server.put(f"/{number}", body), body), name=f"thing{number}"
        )
    monkeypatch.setattr(cards, "names", lambda kind=None: sorted(every))
    monkeypatch.setattr(cards, "get", every.__getitem__)
    monkeypatch.setenv("TLCOURSE_RETRIES", "1")
    return every


def test_all_are_fetched_and_piped_output_is_plain_lines(shelf, server, tmp_path):
    result = run(fetch_command, "--all")
    assert result.exit_code == 0
    home = tmp_path / "home"
    assert sorted(result.stdout.splitlines()) == [
        f"{name}: fetched, every byte verified · {home / 'files' / name}" for name in shelf
    ]
    assert re.fullmatch(
        rf"Fetching 4 cards: 120.0 kB to come, [\d.]+ [GT]B free in {home}\n", result.stderr
    )
    again = run(fetch_command, "--all")
    assert again.stderr == "" and again.stdout.count("is here, verified") == 4


def test_one_failure_stops_no_other_and_is_told_at_the_end(shelf, server, tmp_path):
    server.script["/1"].append(status(404))
    result = run(fetch_command, "--all")
    assert result.stdout.count("fetched, every byte verified") == 3
    assert re.search(r"^thing1: not fetched. Could not .*HTTP 404", result.stderr, re.MULTILINE)
    assert isinstance(result.exception, FetchError)
    assert str(result.exception).startswith("1 of 4 could not be fetched: thing1. The others")
    assert run(fetch_command, "--all").exit_code == 0
    assert content(tmp_path / "home" / "files" / "thing1") == {"thing.bin": noise(30_000, 1)}


def test_where_all_fail_no_others_are_said_to_be_here(shelf, server):
    server.script["/1"].append(status(404))
    server.script["/2"].append(status(404))
    told = str(run(fetch_command, "thing1", "thing2").exception)
    assert told.startswith(
        "2 of 2 could not be fetched: thing1, thing2. Run the same command again"
    )


def test_what_is_left_of_a_part_is_all_that_is_to_come(shelf, server):
    server.script["/2"].append(cut(20_000))
    assert run(fetch_command, "thing2").exit_code == FetchError.exit_code
    assert "Fetching 1 card: 10.0 kB to come" in run(fetch_command, "thing2").stderr
    assert server.ranges()[-1] == "bytes=20000-"


def test_too_little_room_for_all_together_is_seen_before_the_first_byte(shelf, server, monkeypatch):
    for name, card in shelf.items():
        huge = replace(card.assets[0].files[0], bytes=10**16)
        shelf[name] = replace(card, assets=(replace(card.assets[0], files=(huge,)),))
    error = run(fetch_command, "thing0", "thing1").exception
    assert isinstance(error, NoSpaceError) and "20,000,000,000,000,000 bytes" in str(error)
    assert server.log == []


def test_a_lessons_needs_come_from_the_lesson(monkeypatch):
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    needed = lesson("01").cards["public"]
    said = run(fetch_command, "--lesson", "1").stderr
    assert all(f"{name}: not fetched" in said for name in needed) and len(needed) > 1
    pocket = run(fetch_command, "--lesson", "01", "--tier", "pocket")
    assert pocket.exit_code == 0 and "embedded" in pocket.stdout
    assert isinstance(run(fetch_command, "--lesson", "77").exception, CourseError)


def test_a_tier_that_a_lesson_lacks_names_those_it_has(monkeypatch):
    rare = replace(lesson("01"), cards={"pocket": ("digits",)})
    monkeypatch.setattr("tlcourse.course.syllabus.lesson", lambda number: rare)
    error = run(fetch_command, "--lesson", "01", "--tier", "gpu").exception
    assert isinstance(error, TierError) and "no gpu tier. It has: pocket." in str(error)


@pytest.mark.public
def test_fetch_says_what_how_much_and_where(mirror, monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_MIRROR", str(mirror))
    result = run(fetch_command, "mobilenetv2", "mobilenetv2")
    assert result.exit_code == 0, result.exception
    assert result.stderr.startswith("Fetching 1 card: 4.1 MB to come, ")
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
    assert "Fetching 1 card: 4.1 MB to come" in text
    assert re.search(r"✓ mobilenetv2 verified +━", text) and "4.1/4.1 MB" in text


STOPPED = """
import sys
import time
from dataclasses import replace
from tests.supply.things import PHOTOS, noise, one, packed
from tlcourse import cards
from tlcourse.cli import main
url = sys.argv[1]
every = {
    "quick": replace(one(url + "/quick", noise(9000)), name="quick"),
    "slow": replace(one(url + "/slow", noise(2_000_000, 1)), name="slow"),
    "photos": replace(packed((url + "/photos",), PHOTOS), name="photos"),
}
cards.get = every.__getitem__
sys.exit(main(["fetch", *every]))
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGINT to send there")
def test_stopped_by_hand_it_says_what_is_kept_and_goes_on_from_there(server, tmp_path):
    server.put("/quick", noise(9000))
    server.put("/slow", noise(2_000_000, 1), stall(500_000))
    server.put("/photos", archive(PHOTOS), half_in_chunks)

    def fetch():
        command = [sys.executable, "-c", STOPPED, server.url]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )

    first = fetch()
    parts = tmp_path / "home" / "parts"
    assert "quick: fetched" in first.stdout.readline()
    while not all(begun(parts / name / "0.part") for name in ("slow", "photos")):
        assert first.poll() is None, first.stderr.read()
    first.send_signal(signal.SIGINT)
    _, told = first.communicate(timeout=100)
    here = (parts / "slow" / "0.part").stat().st_size
    assert first.returncode == 130
    (kept,) = re.findall(
        r"^tlcourse: stopped\. What was fetched is kept "
        r"\(1 of 3 cards whole, ([\d.]+) kB of the others\): run the same command to resume\.$",
        told,
        re.MULTILINE,
    )
    # The archive came without a sign of its version: that part is of no use, and is not counted.
    assert float(kept) == pytest.approx(here / 1000, abs=110) and "Traceback" not in told
    server.log.clear()
    again = fetch()
    out, told = again.communicate(timeout=100)
    assert again.returncode == 0 and "quick: is here, verified" in out
    asked = {path: headers.get("Range") for path, headers in server.log}
    assert asked["/slow"] == f"bytes={here}-" and asked["/photos"] is None
    assert "/quick" not in asked


def begun(part):
    return part.exists() and part.stat().st_size >= 20_000


def half_in_chunks(handler, body):
    """As GitHub sends tarballs, on a bad day."""
    handler.answer(200, {"Transfer-Encoding": "chunked"})
    piece = body[: len(body) // 2]
    handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.server.released.wait(60)
