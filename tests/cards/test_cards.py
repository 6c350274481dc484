"""Every card is whole and safe; a card that is not is refused with what is wrong."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from tests.supply.things import file_of, noise, tarball
from tlcourse import cards
from tlcourse.cards.card import parse, why_unsafe
from tlcourse.cards.shelf import read_manifest
from tlcourse.errors import CardError

DATASETS = Path(__file__).parents[2] / "datasets"


@pytest.mark.parametrize("name", cards.names())
def test_every_card_is_whole(name):
    card = cards.get(name)
    assert card.name == name and card.kind in ("data", "model")
    for text in (card.title, card.licence, card.citation, card.description):
        assert len(text) >= 3 and text == text.strip()
    assert card.source_url.startswith("https://") and len(card.title) <= 40
    assert card.bytes == sum(file.bytes for file in card.files)
    assert len({file.path for file in card.files}) == len(card.files)
    assert card.files or card.embedded
    for file in card.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256) and file.bytes > 0
        assert why_unsafe(file.path) is None
    for asset in card.assets:
        assert bool(asset.urls) != bool(card.embedded)
        # Pinned: a commit, not a branch that moves.
        assert all(re.search(r"/[0-9a-f]{40}(/|$)", url) for url in asset.urls)


def test_the_names_are_in_order_and_by_kind():
    assert cards.names() == sorted(cards.names())
    assert set(cards.names("data")) | set(cards.names("model")) == set(cards.names())
    assert "digits" in cards.names("embedded") and "caltech24" not in cards.names("embedded")
    with pytest.raises(CardError, match="No kind of card 'photo'.*data, model, embedded"):
        cards.names("photo")


@pytest.mark.parametrize("name", ["caltech", "", "../caltech24", "caltech24.toml"])
def test_an_unknown_card_names_the_choices(name):
    with pytest.raises(CardError) as caught:
        cards.get(name)
    assert repr(name) in str(caught.value) and all(n in str(caught.value) for n in cards.names())


def test_a_slip_is_answered_with_the_nearest():
    with pytest.raises(CardError, match="Did you mean 'mobilenetv2'"):
        cards.get("mobilnetv2")


BASE = dict(
    name="x",
    title="X",
    kind="data",
    licence="MIT",
    source_url="https://h.org/",
    citation="Y",
    description="Z",
)
ASSET = dict(path="a/b.bin", bytes=3, sha256="0" * 64, urls=["https://h.org/a"])
ARCHIVE = dict(
    archive="tar.gz", urls=["https://h.org/a"], manifest="x.tsv", strip=1, at_most_bytes=9
)


def base(asset=ASSET, **changes):
    return {**BASE, "assets": [asset], **changes}


@pytest.mark.parametrize(
    "table, words",
    [
        (base(licence=""), "licence must be a line"),
        (base(citation=None), "citation must be a line"),
        (base(kind="film"), "kind must be one of data, model, not 'film'"),
        (base(name="X/../y"), "lower-case letters"),
        (base(colour="red"), "unknown colour"),
        (base(source_url="http://h.org"), "a plain https"),
        (base(assets=[]), "has no assets"),
        (base(ASSET | {"sha256": "0" * 63}), "64 hex digits"),
        (base(ASSET | {"sha256": "A" * 64}), "64 hex digits"),
        (base(ASSET | {"bytes": 0}), "a whole number from 1"),
        (base(ASSET | {"bytes": 1.5}), "a whole number from 1"),
        (base(ASSET | {"path": "../b"}), r"'../b' is refused: it has a '..'"),
        (base(ASSET | {"path": "/b"}), "it is absolute"),
        (base(ASSET | {"md5": "0"}), "unknown md5"),
        (base(ASSET | {"urls": []}), "needs urls"),
        (base(ASSET | {"urls": ["ftp://h.org/a"]}), "a plain https"),
        (base(ASSET | {"urls": ["https://h.org/a?token=1"]}), "a plain https"),
        (base(ASSET | {"urls": ["https://h.org/%2e%2e/a"]}), "without '..'"),
        (base(ARCHIVE | {"manifest": "y.tsv"}), "no manifest 'y.tsv' beside"),
        (base(ARCHIVE | {"archive": "rar"}), "one of tar.gz, zip, not 'rar'"),
        (base(ARCHIVE | {"at_most_bytes": 0}), "at_most_bytes must be a whole number from 1"),
        (base(assets=[ASSET, ASSET]), "has both"),
        (base(assets=[ASSET, ASSET | {"path": "A/B.bin"}]), "has both 'a/b.bin' and 'A/B.bin'"),
        (base(embedded="Here."), "has a .package. and no urls"),
        (base(package={"name": "x", "folder": "../y"}), "package folder '../y' is refused"),
    ],
)
def test_a_card_that_is_not_well_formed_is_refused(table, words):
    with pytest.raises(CardError, match=words):
        parse(table, {"x.tsv": (file_of("a", b"1"),)})


def test_a_good_card_passes():
    card = parse(base(ARCHIVE), {"x.tsv": (file_of("a", b"1"), file_of("b", b"22"))})
    assert card.bytes == 3 and card.assets[0].strip == 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "starts with 'path, bytes, sha256'"),
        ("path\tbytes\tsha256\n", "is empty"),
        ("path\tbytes\tsha256\na\t-1\tx\n", "Line 2"),
        ("path\tbytes\tsha256\na 1 x\n", "Line 2"),
    ],
)
def test_a_broken_manifest_is_refused(text, words):
    with pytest.raises(CardError, match=words):
        read_manifest(text)


def test_what_the_docs_show_of_a_card_is_true():
    """The fields in the package's docstring are those that are accepted."""
    shown = "\n".join(line for line in cards.__doc__.splitlines() if line.startswith("    "))
    table = tomllib.loads("\n".join(line.strip() for line in shown.splitlines()))
    single, archive = table.pop("assets")
    hub = table.pop("hub") | {"revision": "0" * 40, "loads": f"hf/{table['name']}"}
    package, embedded = table.pop("package"), table.pop("embedded")
    table["source_url"] = single["urls"][0] = archive["urls"][0] = "https://h.org/x"
    single["sha256"] = "0" * 64
    manifests = {archive["manifest"]: (file_of("a", b"1"),)}
    assert parse({**table, "assets": [single, archive]}, manifests).kind == "model"
    del single["urls"]
    shipped = {**table, "assets": [single], "package": package, "embedded": embedded}
    assert parse(shipped, {}).embedded
    hub["files"] = hub["files"][:1]
    assert not parse({**table, "hub": hub}, {}).pinned


def test_every_manifest_belongs_to_a_card():
    entries = [entry.name for entry in files(cards).iterdir()]
    text = "".join(
        (files(cards) / entry).read_text("utf-8") for entry in entries if ".toml" in entry
    )
    assert all(entry in text for entry in entries if entry.endswith(".tsv"))


def script(name):
    if not (DATASETS / name).exists():
        pytest.skip("datasets/ stands in the repository only")
    spec = importlib.util.spec_from_file_location(name, DATASETS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_data_sheet_is_current():
    """If this fails: python datasets/make_readme.py"""
    assert (DATASETS / "README.md").read_text("utf-8") == script("make_readme.py").readme()


def test_a_manifest_is_made_from_a_tarball(tmp_path):
    bodies = {"d/b.bin": noise(9), "d/a.bin": noise(5), "e/c.bin": b"no"}
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(tarball({f"repo-1/{path}": body for path, body in bodies.items()}))
    text = script("make_manifest.py").manifest(archive, ("d/",))
    assert read_manifest(text) == tuple(file_of(p, bodies[p]) for p in ("d/a.bin", "d/b.bin"))


def test_make_manifest_runs_as_a_command(tmp_path):
    script("make_manifest.py")
    (tmp_path / "x.tar.gz").write_bytes(tarball({"repo-1/a": b"1"}))
    command = [sys.executable, str(DATASETS / "make_manifest.py"), str(tmp_path / "x.tar.gz")]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read_manifest(out.stdout) == (file_of("a", b"1"),)


@pytest.mark.parametrize("name", ["caltech24", "mobilenetv2", "dinov2-small", "pocket-vit"])
@pytest.mark.parametrize("wrong", [5, True, 1.5, [], {}, [5], {"a": 1}, "", "x", None])
def test_a_field_of_any_type_gives_a_card_error_or_a_card(name, wrong):
    """Cards also come from mirrors: each field in turn is replaced by something else."""
    shelf = Path(cards.__file__).parent
    place = next(p for p in (shelf / f"{name}.toml", shelf / "hub" / f"{name}.toml") if p.is_file())

    def variants(table, whole):
        for key in list(table):
            before = table[key]
            table[key] = wrong
            yield key, whole
            table[key] = before
            if isinstance(before, dict):
                yield from variants(before, whole)
            elif isinstance(before, list) and before and isinstance(before[0], dict):
                yield from variants(before[0], whole)

    table = tomllib.loads(place.read_text("utf-8"))
    for key, changed in variants(table, table):
        try:
            card = parse(changed, {"caltech24.tsv": cards.get("caltech24").files})
        except CardError:
            continue
        assert type(card.name) is str and all(
            type(asset.strip) is int and all(type(url) is str for url in asset.urls)
            for asset in card.assets
        ), key
