"""Pinning: the hub is asked once, believed only where it can be checked, and what it said is kept."""

from __future__ import annotations

import hashlib
import json
import tomllib

import pytest
from click.testing import CliRunner

from tests.cards.local_hub import hub_card, on_shelf
from tests.supply.server import status
from tests.supply.things import noise
from tlcourse import cards, supply
from tlcourse.cards.card import COMMIT, parse
from tlcourse.cli.cards import command
from tlcourse.errors import CardError, FetchError, IntegrityError
from tlcourse.supply.hub import draft, listing, pin, save, to_toml

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": b"a\nb\n",
    "model.safetensors": noise(40_000),
    "pytorch_model.bin": noise(9),
}
WANTED = ("config.json", "vocab.txt", "model.safetensors")


def settings():
    return supply.read_settings()


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def test_a_pin_knows_the_commit_and_every_hash(local_hub):
    commit = local_hub.publish("some/tiny", FILES)
    card = pin(hub_card("some/tiny", WANTED), settings())
    assert card.hub.revision == commit and card.pinned
    found = {file.path: (file.bytes, file.sha256) for file in card.files}
    assert found == {path: (len(FILES[path]), sha256(FILES[path])) for path in WANTED}
    assert all(f"huggingface.co/some/tiny/resolve/{commit}/" in a.urls[0] for a in card.assets)
    # The weights' hash was told, not computed from a download; the pickle was never asked for.
    asked = [path.rpartition("/")[2] for path in local_hub.asked()]
    assert "model.safetensors" not in asked and "pytorch_model.bin" not in asked


def test_a_pinned_card_goes_through_its_file_unchanged(local_hub):
    local_hub.publish("some/tiny", FILES)
    card = pin(hub_card("some/tiny", WANTED, loads="hf/tiny"), settings())
    assert parse(tomllib.loads(to_toml(card)), {}) == card
    save(card, cards.pins())
    assert cards.hub("tiny") == card and cards.get("tiny").files == card.files


def test_what_was_pinned_is_fetched_and_verified(local_hub):
    local_hub.publish("some/tiny", FILES)
    on_shelf(pin(hub_card("some/tiny", WANTED), settings()))
    folder = supply.fetch("tiny", progress=False)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {p: FILES[p] for p in WANTED}


def test_a_moved_branch_changes_nothing_until_it_is_pinned_again(local_hub):
    local_hub.publish("some/tiny", FILES)
    unpinned = hub_card("some/tiny", WANTED)
    first = on_shelf(pin(unpinned, settings()))
    local_hub.publish("some/tiny", FILES | {"model.safetensors": noise(40_000, 1)})
    folder = supply.fetch("tiny", progress=False)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    second = on_shelf(pin(unpinned, settings()))
    assert second.hub.revision != first.hub.revision
    assert supply.path("tiny") is None  # what lies there is not what is pinned now
    supply.fetch("tiny", progress=False)
    assert (folder / "model.safetensors").read_bytes() == noise(40_000, 1)


def test_a_hub_that_answers_with_another_commit_is_not_believed(local_hub):
    commit = local_hub.publish("some/tiny", FILES)
    asked = "0" * 40
    local_hub.say("some/tiny", asked, json.dumps({"sha": commit, "siblings": []}).encode())
    with pytest.raises(IntegrityError, match=f"sent {commit} of some/tiny instead of {asked}"):
        pin(hub_card("some/tiny", WANTED, revision=asked), settings())


def test_a_small_file_that_is_not_the_blob_it_should_be_is_not_believed(local_hub):
    commit = local_hub.publish("some/tiny", FILES)
    local_hub.server.put(f"/some/tiny/resolve/{commit}/config.json", b'{"model_type": "evil"}')
    with pytest.raises(
        IntegrityError, match="config.json of some/tiny is blob .*but sent .*Nothing"
    ):
        pin(hub_card("some/tiny", WANTED), settings())


def test_a_file_that_is_not_there_names_those_that_are(local_hub):
    local_hub.publish("some/tiny", FILES)
    with pytest.raises(
        CardError, match="has no merges.txt, x.json at .*It has: config.json, model"
    ):
        pin(hub_card("some/tiny", ("merges.txt", "x.json")), settings())


@pytest.mark.parametrize("flag", ["TLCOURSE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(local_hub, monkeypatch, flag):
    local_hub.publish("some/tiny", FILES)
    monkeypatch.setenv(flag, "1")
    with pytest.raises(FetchError, match="unset TLCOURSE_OFFLINE and HF_HUB_OFFLINE"):
        pin(hub_card("some/tiny", WANTED), settings())
    assert local_hub.asked() == []


def test_a_hub_that_is_not_there_says_what_else_to_do(local_hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FetchError) as caught:
        pin(hub_card("some/tiny", WANTED), settings())
    told = str(caught.value)
    assert "127.0.0.1:9: no connection" in told and str(cards.pins()) in told
    assert "--into FOLDER" in told and "HF_ENDPOINT" in told


def test_an_unknown_repository_is_said_to_be_one(local_hub):
    with pytest.raises(FetchError, match="no some/none at main for everyone .HTTP 404"):
        pin(hub_card("some/none", WANTED), settings())


def test_a_hub_that_is_busy_is_asked_again(local_hub, monkeypatch):
    monkeypatch.setenv("TLCOURSE_RETRIES", "3")
    local_hub.publish("some/tiny", FILES)
    path = "/api/models/some/tiny/revision/main?blobs=True"
    local_hub.server.script[path].extend([status(503), status(429)])
    assert COMMIT.fullmatch(listing("some/tiny", "main", settings()).commit)
    assert local_hub.asked() == [path] * 3


@pytest.mark.parametrize(
    "answer", [b"<html>login</html>", b"{}", b'{"sha": 1, "siblings": [{}]}', b"[]"]
)
def test_what_is_no_hubs_answer_is_refused(local_hub, answer):
    local_hub.say("some/tiny", "main", answer)
    with pytest.raises(FetchError, match="does not answer about some/tiny as a hub does"):
        pin(hub_card("some/tiny", WANTED), settings())


def test_an_endpoint_that_is_no_address_is_refused(local_hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "hub.local")
    with pytest.raises(CardError, match="HF_ENDPOINT='hub.local' must be an http"):
        pin(hub_card("some/tiny", WANTED), settings())


def run(*arguments):
    return CliRunner().invoke(command, arguments, env={"COLUMNS": "80", "TERM": "dumb"})


def test_any_repository_with_safetensors_can_be_pinned_by_its_address(local_hub):
    commit = local_hub.publish("some/tiny", FILES)
    done = run("pin", "hf/some/tiny")
    assert done.exit_code == 0, done.exception
    assert (
        f"some/tiny at {commit}" in done.output
        and sha256(FILES["model.safetensors"]) in done.output
    )
    card = cards.hub("hf-some-tiny")
    assert card.licence == "mit" and card.hub.loads == "hf/some/tiny"
    assert set(card.hub.files) == set(WANTED)  # never the pickle
    assert card.hub.parameters == 10_000
    assert "Since it was last pinned, nothing changed." in run("pin", "hf/some/tiny").output
    local_hub.publish("some/tiny", FILES | {"vocab.txt": b"c"})
    again = run("pin", "hf-some-tiny").output
    assert f"the revision moved from {commit}" in again and "vocab.txt changed" in again


def test_a_repository_of_pickles_is_refused(local_hub):
    local_hub.publish("some/old", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(CardError, match="has no model.safetensors, and pickles are not loaded"):
        draft("hf/some/old", settings())


def test_a_shipped_card_is_pinned_into_the_store_or_a_folder(local_hub, tmp_path):
    shipped = cards.shipped("t5-small")
    files = {path: noise(50) + path.encode() for path in shipped.hub.files}
    local_hub.publish(shipped.hub.repo, files)
    local_hub.say(
        shipped.hub.repo,
        shipped.hub.revision,
        json.dumps(
            {
                "sha": shipped.hub.revision,
                "siblings": [local_hub.sibling(path, body) for path, body in files.items()],
            }
        ).encode(),
    )
    for path, body in files.items():
        local_hub.server.put(f"/{shipped.hub.repo}/resolve/{shipped.hub.revision}/{path}", body)
    done = run("pin", "t5-small", "--into", str(tmp_path / "out"))
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "out" / "t5-small.toml").is_file() and not cards.hub("t5-small").pinned
    assert run("pin", "hf/t5-small").exit_code == 0
    assert cards.get("t5-small").hub == shipped.hub
    out = run().output
    (line,) = [line for line in out.splitlines() if line.startswith("t5-small ")]
    assert line.rstrip().endswith("not fetched")
    row = json.loads(run("--json", "t5-small").output)
    assert row["pinned"] and row["state"] == "not fetched" and row["bytes"] > 0
    hubs = json.loads(run("--json", "--hub").output)
    assert {row["name"]: row["pinned"] for row in hubs} == {
        name: cards.hub(name).pinned for name in cards.hub_names()
    }


def test_nothing_unpinned_can_be_fetched(local_hub):
    on_shelf(hub_card("some/tiny", WANTED))
    unpinned = [name for name in cards.hub_names() if not cards.hub(name).pinned]
    assert "tiny" in unpinned
    for name in unpinned:
        with pytest.raises(
            CardError, match=f"'{name}' is not pinned yet.*tlcourse cards pin {name}"
        ):
            supply.fetch(name)
    assert local_hub.asked() == [] and not set(cards.hub_names()) & set(cards.names())


@pytest.mark.parametrize("name", cards.hub_names())
def test_every_hub_card_is_whole(name):
    card = cards.shipped(name)
    assert card.kind == "model" and len(card.title) <= 40 and card.hub.parameters > 1e6
    for text in (card.title, card.licence, card.citation, card.description):
        assert len(text) >= 3 and text == text.strip()
    assert card.source_url == f"https://huggingface.co/{card.hub.repo}"
    assert COMMIT.fullmatch(card.hub.revision)
    assert ("model.safetensors" in card.hub.files) != ("pytorch_model.bin" in card.hub.files)
    assert not card.hub.loads or "model.safetensors" in card.hub.files
    assert parse(tomllib.loads(to_toml(card)), {}) == card


GOOD = dict(repo="a/b", revision="main", files=["c.json"], parameters=1, loads="hf/b")


@pytest.mark.parametrize(
    "hub, words",
    [
        (GOOD | {"repo": "a"}, "repo must be OWNER/NAME"),
        (GOOD | {"repo": "a/../b"}, "repo must be OWNER/NAME"),
        (GOOD | {"revision": ""}, "revision must be a commit"),
        (GOOD | {"files": []}, "files must be a list of one or more"),
        (GOOD | {"files": ["model.pkl"]}, "files must be a list of one or more"),
        (GOOD | {"parameters": 0}, "parameters must be a whole number from 1"),
        (GOOD | {"loads": "b"}, "a name that begins with timm/ or hf/"),
        (GOOD | {"md5": "0"}, "unknown md5"),
    ],
)
def test_a_hub_table_that_is_not_well_formed_is_refused(hub, words):
    text = dict(name="b", title="T", kind="model", licence="MIT", citation="C", description="D")
    table = {**text, "source_url": "https://h.org/", "hub": hub}
    with pytest.raises(CardError, match=words):
        parse(table, {})
    assert not parse({**table, "hub": GOOD}, {}).pinned


def test_a_pin_that_names_another_repository_is_refused(local_hub):
    local_hub.publish("some/tiny", FILES)
    text = to_toml(pin(hub_card("some/tiny", WANTED), settings()))
    for other in (
        text.replace('repo = "some/tiny"', 'repo = "some/evil"'),
        text.replace('"vocab.txt", ', ""),
    ):
        with pytest.raises(CardError, match="its assets are not the files of"):
            parse(tomllib.loads(other), {})
    with pytest.raises(CardError, match="has hashes, but its revision 'main' is not a commit"):
        parse(
            tomllib.loads(
                text.replace(
                    f'revision = "{tomllib.loads(text)["hub"]["revision"]}"', 'revision = "main"'
                )
            ),
            {},
        )


def test_the_store_for_pins_is_the_store_for_files(local_hub, monkeypatch, tmp_path):
    assert cards.pins() == settings().home / "cards"
    monkeypatch.delenv("TLCOURSE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cards.pins() == settings().home / "cards"
