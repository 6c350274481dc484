"""What lies on the disk is believed only as long as it is what was proved."""

import json
import os
from dataclasses import replace

import pytest

from tests.supply.things import card_of, content, file_of, noise, one
from tlcourse import supply
from tlcourse.cards import Asset
from tlcourse.cards.card import Package
from tlcourse.errors import FetchError, IntegrityError, SupplyError, UnsafePathError
from tlcourse.supply.bring import bring, present
from tlcourse.supply.progress import Progress

BODY = noise(50_000)


def hashed(card, settings):
    """The files that `present` read through."""
    told: list[Progress] = []
    present(card, settings, told.append)
    return [step.what for step in told if step.step == "verify"]


@pytest.fixture
def card(server):
    second = noise(1000, 1)
    return card_of(
        Asset((server.put("/1", BODY),), (file_of("1.bin", BODY),)),
        Asset((server.put("/2", second),), (file_of("2.bin", second),)),
    )


def test_what_was_proved_is_not_read_again(card, settings):
    bring(card, settings)
    assert hashed(card, settings) == []


def test_what_was_touched_is_read_again_and_only_that(card, settings):
    folder = bring(card, settings)
    os.utime(folder / "2.bin")
    assert hashed(card, settings) == ["2.bin"]
    assert hashed(card, settings) == []


def test_an_altered_file_is_noticed_and_healed(card, settings, server):
    folder = bring(card, settings)
    (folder / "1.bin").write_bytes(BODY[:-1] + b"?")
    assert present(card, settings) is None
    bring(card, settings)
    assert (folder / "1.bin").read_bytes() == BODY
    assert [path for path, _ in server.log] == ["/1", "/2", "/1"]


def test_an_altered_file_that_cannot_be_fetched_again_is_kept_and_named(card, settings):
    folder = bring(card, settings)
    (folder / "1.bin").write_bytes(BODY[:-1] + b"?")
    with pytest.raises(FetchError, match=r"again \(1.bin was altered: sha256 [0-9a-f]{12}…\)"):
        bring(card, replace(settings, offline=True))
    assert (folder / "1.bin").read_bytes().endswith(b"?")


@pytest.mark.parametrize("junk", ["", "{", "[]", '{"folder": 1, "files": []}', '{"files": {}}'])
def test_an_unreadable_proof_counts_as_none(card, settings, junk):
    bring(card, settings)
    (settings.home / "proofs" / "thing.json").write_text(junk)
    assert hashed(card, settings) == ["1.bin", "2.bin"]


def test_a_proof_holds_for_its_folder_alone(card, settings):
    bring(card, settings)
    settings.home.rename(moved := settings.home.with_name("moved"))
    assert hashed(card, replace(settings, home=moved)) == ["1.bin", "2.bin"]


def test_a_new_hash_in_the_card_is_noticed(card, settings, server):
    folder = bring(card, settings)
    new = noise(len(BODY), 5)
    changed = card_of(Asset((server.put("/1", new),), (file_of("1.bin", new),)), card.assets[1])
    assert present(changed, settings) is None
    assert content(bring(changed, settings))["1.bin"] == new == (folder / "1.bin").read_bytes()


def test_a_folder_in_the_way_is_named(settings, server):
    card = one(server.put("/f", BODY), BODY)
    (settings.home / "files" / "thing" / "thing.bin" / "mine").mkdir(parents=True)
    with pytest.raises(SupplyError, match=r"Cannot write .*thing\.bin.*Remove what is in the way"):
        bring(card, settings)


def test_a_file_in_the_folders_place_is_named(settings, server):
    (settings.home / "files").mkdir(parents=True)
    (settings.home / "files" / "thing").write_text("mine")
    with pytest.raises(SupplyError, match="Remove what is in the way"):
        bring(one(server.put("/f", BODY), BODY), settings)
    assert (settings.home / "files" / "thing").read_text() == "mine"


def test_a_link_in_the_store_is_not_followed_out_of_it(settings, server, tmp_path):
    (settings.home / "files" / "thing").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (settings.home / "files" / "thing" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match="leads out"):
        bring(one(server.put("/f", BODY), BODY, "sub/f"), settings)
    assert content(tmp_path / "elsewhere") == {}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An importable package `shipped` that must not be imported, with one file."""
    folder = tmp_path / "site" / "shipped" / "in"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "thing.bin").write_bytes(BODY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder


def shipped(server, *, embedded):
    card = one(server.put("/f", BODY), BODY)
    card = replace(card, package=Package("shipped", "in"))
    if embedded:
        asset = replace(card.assets[0], urls=())
        card = replace(card, assets=(asset,), embedded="It is shipped.")
    return card


def test_a_packages_files_are_used_in_place(package, settings, server):
    assert bring(shipped(server, embedded=False), settings) == package
    assert server.log == [] and hashed(shipped(server, embedded=False), settings) == []


def test_the_web_stands_in_for_a_missing_package(settings, server):
    folder = bring(shipped(server, embedded=False), settings)
    assert folder == settings.home / "files" / "thing" and content(folder) == {"thing.bin": BODY}


def test_the_web_stands_in_for_an_altered_package(package, settings, server):
    (package / "thing.bin").write_bytes(BODY + b"?")
    assert bring(shipped(server, embedded=False), settings) == settings.home / "files" / "thing"


def test_an_altered_embedded_file_says_what_to_install_again(package, settings, server):
    (package / "thing.bin").write_bytes(BODY[:-1] + b"?")
    with pytest.raises(IntegrityError, match="was altered.*Install the package 'shipped'"):
        bring(shipped(server, embedded=True), settings)


def test_a_missing_package_is_named(settings, server):
    with pytest.raises(SupplyError, match="package 'shipped', which is not installed"):
        bring(shipped(server, embedded=True), settings)


def test_an_embedded_card_needs_no_home(monkeypatch):
    monkeypatch.setenv("TLCOURSE_HOME", "/dev/null/home")
    assert (supply.fetch("digits") / "digits.csv.gz").is_file()
    assert supply.available("digits") and supply.path("digits") == supply.fetch("digits")


def test_available_asks_mirrors_and_never_the_web(server, monkeypatch, tmp_path):
    host = (
        "raw.githubusercontent.com/google-coral/test_data/104342d2d3480b3e66203073dac24f4e2dbb4c41"
    )
    assert not supply.available("mobilenetv2") and supply.path("mobilenetv2") is None
    names = ("tf2_mobilenet_v2_1.0_224_ptq.tflite", "imagenet_labels.txt")
    server.put(f"/{host}/{names[0]}", b"x")
    monkeypatch.setenv("TLCOURSE_MIRROR", f"{tmp_path},{server.url}")
    assert not supply.available("mobilenetv2")
    (tmp_path / host).mkdir(parents=True)
    (tmp_path / host / names[1]).write_bytes(b"y")
    assert supply.available("mobilenetv2")


def test_proofs_are_small_json(card, settings):
    bring(card, settings)
    note = json.loads((settings.home / "proofs" / "thing.json").read_text())
    assert set(note["files"]) == {"1.bin", "2.bin"} and note["files"]["1.bin"][0] == len(BODY)
