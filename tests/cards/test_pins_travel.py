"""A mirror carries the pins of the machine that built it, and who uses it takes them on purpose."""

import json
import os
import threading

import pytest
from click.testing import CliRunner

from tests.cards.test_pin import FILES, WANTED, sha256
from tlcourse import cards, supply
from tlcourse.cli.cards import command as cards_command
from tlcourse.cli.mirror import command as mirror_command
from tlcourse.errors import CardError, FetchError, IntegrityError
from tlcourse.supply import read_settings
from tlcourse.supply.mirror.index import read_index
from tlcourse.supply.mirror.pins import pinned_in, put_pins, take
from tlcourse.supply.mirror.serve import Server

NAME = "hf-some-tiny"


def run(command, *arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


@pytest.fixture
def mirror(local_hub, tmp_path):
    """Built by somebody who has pinned a model of the hub."""
    local_hub.publish("some/tiny", FILES)
    assert run(cards_command, "pin", "hf/some/tiny").exit_code == 0
    built = run(mirror_command, "build", tmp_path / "mirror", NAME, "--no-wheels")
    assert built.exit_code == 0, built.exception
    assert f"the mirror contains their cards: {NAME}." in built.output
    assert f"tlcourse cards pin {NAME} --from PLACE" in built.output
    assert run(mirror_command, "check", tmp_path / "mirror").exit_code == 0
    return tmp_path / "mirror"


@pytest.fixture
def elsewhere(mirror, monkeypatch, tmp_path):
    """Another machine: no pin, no hub, the mirror alone."""
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path / "student"))
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setenv("TLCOURSE_MIRROR", str(mirror))


@pytest.fixture(params=["folder", "address"])
def place(mirror, request):
    if request.param == "folder":
        yield str(mirror)
        return
    with Server(mirror, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.url
        server.shutdown()


def test_what_was_pinned_at_home_is_fetched_in_the_room(mirror, place, elsewhere):
    with pytest.raises(CardError, match=f"No card '{NAME}'"):
        supply.fetch(NAME)
    done = run(cards_command, "pin", NAME, "--from", place)
    assert done.exit_code == 0, done.exception
    assert sha256(FILES["model.safetensors"]) in done.output
    folder = supply.fetch(NAME, progress=False)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path: FILES[path] for path in WANTED
    }
    again = run(cards_command, "pin", NAME, "--from", place).output
    assert "Since it was last pinned, nothing changed." in again
    assert run(mirror_command, "check", mirror).exit_code == 0


def test_nothing_takes_a_pin_by_itself(mirror, elsewhere):
    told = run(mirror_command, "check", mirror)
    assert isinstance(told.exception, IntegrityError)
    assert f"not pinned on this machine; `tlcourse cards pin {NAME} --from {mirror}`" in told.output
    assert NAME not in cards.hub_names() and not os.path.exists(os.environ["TLCOURSE_HOME"])


def test_what_the_course_ships_pinned_needs_no_carrying(tmp_path, local_hub):
    assert put_pins(tmp_path, [cards.get("dinov2-small"), cards.get("caltech24")]) == []
    assert not (tmp_path / "cards").exists()


def test_the_readme_says_how_to_take_it(mirror):
    assert pinned_in(read_index(mirror)) == [NAME]
    text = (mirror / "README.txt").read_text("utf-8")
    assert f"tlcourse cards pin {NAME} --from http://TEACHER:8000\n" in text
    assert f"tlcourse cards pin {NAME} --from FOLDER\n" in text


@pytest.mark.parametrize("other", ["caltech24", "../mobilenetv2", "a/b"])
def test_only_a_hub_models_name_is_taken(mirror, other):
    with pytest.raises(CardError, match="is not the name of a hub model's card"):
        take(other, str(mirror), read_settings())


def test_a_card_that_is_not_there_or_was_altered_is_refused(mirror, place):
    with pytest.raises(FetchError, match="has no cards/other.toml .*whether the model was pinned"):
        take("other", place, read_settings())
    card = mirror / "cards" / f"{NAME}.toml"
    text = card.read_text("utf-8")
    for altered, words in (
        (text.replace("some/tiny/resolve", "some/evil/resolve"), "are not the files of some/tiny"),
        (text.replace(f'name = "{NAME}"', 'name = "other"'), "calls itself 'other'"),
        (text.partition("[[assets]]")[0], "is not pinned"),
        (json.dumps({}), "cannot be used: it is not valid TOML"),
    ):
        card.write_text(altered, "utf-8")
        with pytest.raises(CardError, match=words):
            take(NAME, place, read_settings())
