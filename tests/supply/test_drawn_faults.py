"""Faults of servers, archives, mirrors and pins, put together at random: nothing wrong is loaded,
nothing runs, and whoever asked reads one sentence.

The draws are fixed by their number. `-m release` tries more of them.
"""

import json
import os
import pickle
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cards.local_hub import local_hub  # noqa: F401  a fixture
from tests.supply.test_archive import zip_link
from tests.supply.test_heals import tar_link
from tests.supply.things import content, file_of, noise, one, packed, tarball, zipball
from tlcourse import cards, supply
from tlcourse.cards import Asset, Card
from tlcourse.cards.card import address
from tlcourse.cli.cards import command as cards_command
from tlcourse.errors import TLCourseError
from tlcourse.supply.bring import bring
from tlcourse.supply.hub import to_toml

BODY = noise(9_000, 3)
FILES = {"d/a.bin": noise(3000, 1), "d/b.txt": b"b" * 4000}


def numbers(few: int, many: int):
    """The draws: the first few always, the others for a release."""
    return [pytest.param(n, marks=[pytest.mark.release] if n >= few else []) for n in range(many)]


class Poison:
    """Whoever unpickles it writes a file."""

    def __init__(self, victim: str):
        self.victim = victim

    def __reduce__(self):
        return (os.mkdir, (self.victim,))


@pytest.fixture
def victim(tmp_path):
    """What would be there if anything had been executed."""
    place = tmp_path / "executed"
    yield place
    assert not place.exists()


def sentence_of(act):
    """What `act` gives; None if it raises one sentence of ours. Anything else fails the test."""
    try:
        return act()
    except TLCourseError as error:
        text = str(error)
        assert text and "\n" not in text and "Traceback" not in text and len(text) < 3000
        return None


LATER = [
    "0", "1e9", "-5", "9" * 5000, "x", "Mon, 01 Jan 99999 00:00:00 GMT",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
]  # fmt: skip
ELSEWHERE = [
    "/real", "/f", "//", "http://", "http://[", "file:///etc/passwd", "\xff", "http://localhost:9/x",
    "http://10.0.0.1/x", "https://127.0.0.1:9/", "javascript:1", "x" * 9000, "http://a b/",
    "http://x:99999999/",
]  # fmt: skip
CODES = [
    *[200] * 6, *[206] * 3, 100, 204, 301, 302, 304, 307, 400, 401, 403, 404, 408, 416, 429, 500, 503,
    599, 999, 0, -1, "9" * 50, "x",
]  # fmt: skip
NAMES = [
    "../e", "/tmp/e", "top/../../e", "top\\..\\e", "top/d/a.bin", "top/d", "top", "", "C:/e",
    "top/d/a.bin/x", "top/" + "n" * 300, "top/\udcff", "top/d/./a.bin", "./top/d/b.txt",
]  # fmt: skip


def header(dice: random.Random, body: bytes) -> tuple[str, str]:
    """One header as no server should send it, or as it should."""
    digits = dice.choice(
        ["0", "-1", "1", str(len(body)), str(len(body) + 1), "9" * 20, "9" * 5000, "x"]
    )
    return dice.choice([
        ("Content-Length", digits),
        ("Content-Range", f"bytes {digits}-{digits}/{digits}"),
        ("Content-Range", dice.choice(["bytes */*", "bytes 0-/9", "", "\xff" * 9])),
        ("Content-Encoding", dice.choice(["gzip", "br", "gzip, gzip, gzip", "", "identity, x"])),
        ("Content-Type", dice.choice(["text/html", "text/html; charset=\xff", "x", ""])),
        ("Transfer-Encoding", dice.choice(["chunked", "gzip", "chunked, chunked", "x"])),
        ("Retry-After", dice.choice(LATER)),
        ("Location", dice.choice(ELSEWHERE)),
        ("ETag", dice.choice(['""', "x", "\xff", '"' + "e" * 9000 + '"', 'W/"1"'])),
        ("Last-Modified", dice.choice(["x", "", "Mon, 01 Jan 2024 00:00:00 GMT"])),
        ("Set-Cookie", "a" * 9000),
        ("X" * dice.choice([1, 70_000]), "y"),
        (dice.choice(["", " ", "a b", "\xff", ":"]), "z"),
    ])  # fmt: skip


def answer(dice: random.Random, body: bytes) -> bytes:
    """The bytes of one answer of HTTP, wrong in up to four ways."""
    code = dice.choice(CODES)
    lines = [dice.choice(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9", "ICY", ""]) + f" {code} OK"]
    lines += [
        f"{key}: {value}"
        for key, value in (header(dice, body) for _ in range(dice.choice([0, 1, 2, 4, 120])))
    ]
    sent = dice.choice(
        [body, body, body[: dice.randrange(len(body))], body + b"more", b"", body[::-1]]
    )
    if dice.random() < 0.3:
        size = dice.choice([f"{len(sent):x}", f"{len(sent) + 9:x}", "-1", "", "f" * 300, "x", "0"])
        lines.append("Transfer-Encoding: chunked")
        sent = size.encode() + b"\r\n" + sent + dice.choice([b"\r\n0\r\n\r\n", b"", b"\r\n"])
    ends = dice.choice(["\r\n", "\r\n", "\n", "\r"])
    return ends.join([*lines, "", ""]).encode("latin-1") + sent


@pytest.mark.parametrize("number", numbers(130, 1300))
def test_a_server_that_answers_anything(server, settings, victim, number):
    """Two answers of any kind, then the same for ever or the honest one."""
    dice = random.Random(number)
    body = dice.choice([BODY, pickle.dumps(Poison(str(victim))) + BODY])
    settings = replace(
        settings, stall_s=0.1, connect_s=0.2, attempts=2, backoff_s=0.001, patience_s=0.01
    )
    url = server.put("/f", body)
    server.put("/real", dice.choice([body, body[::-1]]))

    def any_answer(handler, _):
        handler.wfile.write(answer(dice, body))

    server.script["/f"].extend([any_answer] * dice.choice([1, 2, 9]))
    card = one(url, body)
    for _ in range(2):
        folder = sentence_of(lambda: bring(card, settings))
        kept = content(settings.home / "files") if (settings.home / "files").exists() else {}
        assert set(kept.values()) <= {body}
        assert folder is None or content(folder) == {"thing.bin": body}
    server.script.clear()
    assert content(bring(card, settings)) == {"thing.bin": body}


def member(dice: random.Random, kind: str):
    """A member as no archive of ours has it."""
    name = dice.choice(NAMES)
    if dice.random() < 0.3:
        link = tar_link(name, dice.choice([b"1", b"2", b"3", b"6"]))
        return (link if kind == "tar.gz" else zip_link(name)), b""
    body = dice.choice([b"", b"x", bytes(200_000), FILES["d/a.bin"]])
    return (name.encode("utf-8", "replace").decode() if kind == "zip" else name), body


@pytest.mark.parametrize("number", numbers(80, 800))
def test_an_archive_that_holds_anything(server, settings, tmp_path, number):
    dice = random.Random(number)
    kind = dice.choice(["tar.gz", "zip"])
    pack = tarball if kind == "tar.gz" else zipball
    right = [(f"top/{path}", body) for path, body in FILES.items()]
    members = right[dice.choice([0, 0, 1]) :] + [
        member(dice, kind) for _ in range(dice.choice([1, 2, 5]))
    ]
    dice.shuffle(members)
    try:
        body = pack(members)
    except (ValueError, IndexError):  # a name that not even the library writes
        body = pack(right)[:-9]
    if dice.random() < 0.4:
        spoiled = bytearray(body)
        for _ in range(dice.choice([1, 9, 99])):
            spoiled[dice.randrange(len(body))] = dice.randrange(256)
        body = bytes(spoiled)[: dice.choice([len(body), dice.randrange(1, len(body))])]
    card = packed((server.put("/t", body),), FILES, kind=kind)
    settings = replace(settings, attempts=1)
    before = {path for path in tmp_path.rglob("*")}
    sentence_of(lambda: bring(card, settings))
    kept = (
        content(settings.home / "files" / "thing")
        if (settings.home / "files" / "thing").exists()
        else {}
    )
    assert all(FILES[path] == there for path, there in kept.items())
    new = {path for path in tmp_path.rglob("*") if path not in before}
    assert all(settings.home in [path, *path.parents] for path in new)
    assert not os.path.lexists("/tmp/e")
    server.files["/t"] = pack(right)
    assert content(bring(card, settings)) == FILES


def forged(dice: random.Random) -> tuple[Card, bytes]:
    """A card of a mirror: a shipped one with other hashes, names, repositories."""
    of = cards.shipped(dice.choice([n for n in cards.hub_names() if cards.shipped(n).pinned]))
    evil = noise(30, dice.randrange(10**6))
    hub = of.hub
    name = dice.choice(
        [
            of.name,
            "aaa",
            "zzz",
            of.hub.repo.split("/")[1].lower().replace(".", "-").replace("_", "-"),
        ]
    )
    if dice.random() < 0.5:
        hub = replace(
            hub, repo=dice.choice(["evil/weights", "timm/resnet50.a1_in1k", "timm/resnet50.a9"])
        )
    if dice.random() < 0.5:
        hub = replace(hub, revision="6" * 40)
    if dice.random() < 0.6:
        hub = replace(
            hub, loads=dice.choice(["", f"hf/{name}", f"hf/{hub.repo}", hub.repo, hub.loads])
        )
    if dice.random() < 0.3:
        hub = replace(hub, files=hub.files[:1])
    assets = tuple(
        Asset((address(hub.repo, hub.revision, path),), (file_of(path, evil),))
        for path in hub.files
    )
    return replace(of, name=name, hub=hub, assets=assets), evil


@pytest.mark.parametrize("number", numbers(70, 700))
def test_a_mirror_that_offers_any_card(local_hub, tmp_path, monkeypatch, victim, number):  # noqa: F811
    """Whatever is pinned from it, what was trusted before leads to the same bytes as before."""
    dice = random.Random(number)
    card, evil = forged(dice)
    mirror = tmp_path / "mirror"
    (mirror / "cards").mkdir(parents=True)
    (mirror / "cards" / f"{card.name}.toml").write_text(to_toml(card), "utf-8")
    for asset in card.assets:
        place = mirror / asset.urls[0].removeprefix("https://")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(evil)
    by_hand = dice.random() < 0.3
    if by_hand:
        cards.pins().mkdir(parents=True)
        (cards.pins() / f"{card.name}.toml").write_text(to_toml(card), "utf-8")
    else:
        done = CliRunner().invoke(cards_command, ["pin", card.name, "--from", str(mirror)])
        assert done.exit_code == 0 or isinstance(done.exception, (TLCourseError, SystemExit))
    monkeypatch.setenv("TLCOURSE_MIRROR", str(mirror))
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    for name in cards.hub_names():
        shipped = cards.shipped(name)
        if shipped is None:
            continue
        for asked in {shipped.hub.loads, f"hf/{name}", f"hf/{shipped.hub.repo}"} - {""}:
            found = sentence_of(lambda asked=asked: cards.hub_card(asked))
            assert found in (None, name) and (found or by_hand)
        if shipped.pinned:
            got = sentence_of(lambda name=name: cards.get(name).files)
            assert got in (None, shipped.files) and (got or by_hand)
        folder = sentence_of(lambda name=name: supply.fetch(name, progress=False))
        assert folder is None or not shipped.pinned
    found = sentence_of(lambda: cards.hub_card("timm/resnet50"))
    assert found == "resnet50" or (by_hand and found is None)


ODD = [
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    "",
    "x",
    "\x1b[2J",
    "\ud800",
    "../x",
    [],
    {},
    [[]],
    {"sha256": 5},
]


@pytest.mark.parametrize("number", numbers(70, 700))
def test_a_hub_that_says_anything_when_pinned(local_hub, victim, number):  # noqa: F811
    """Pinned is only what the hub's files really are; the card that was written can be read again."""
    dice = random.Random(number)
    files = {"config.json": b"{}", "vocab.txt": b"a\n", "model.safetensors": noise(900, number)}
    files["pytorch_model.bin"] = pickle.dumps(Poison(str(victim)))
    commit = local_hub.publish("some/tiny", files)
    path = "/api/models/some/tiny/revision/main?blobs=True"
    told = json.loads(local_hub.server.files[path])
    for _ in range(dice.choice([1, 1, 2, 4])):
        row = dice.choice([told, told["siblings"] and dice.choice(told["siblings"]) or told])
        if not isinstance(row, dict):
            continue
        key = dice.choice([*row, "lfs", "blobId"])
        row[key] = dice.choice([*ODD, row.get(key), [row.get(key)]])
        if not isinstance(told.get("siblings"), list):
            break
    body = json.dumps(told).encode()
    if dice.random() < 0.3:
        body = dice.choice(
            [body[: dice.randrange(len(body))], b"[" * 9999, b'{"sha": ' + b"9" * 5000 + b"}"]
        )
    local_hub.server.files[path] = body
    if dice.random() < 0.3:
        local_hub.server.put(
            f"/some/tiny/resolve/{commit}/vocab.txt", dice.choice([b"", b"evil", b"\xff"])
        )
    done = CliRunner().invoke(cards_command, ["pin", "hf/some/tiny"])
    written = list(cards.pins().glob("*.toml")) if cards.pins().exists() else []
    if done.exit_code:
        assert isinstance(done.exception, TLCourseError) and not written
        assert "\n" not in str(done.exception)
    else:
        card = cards.hub("hf-some-tiny")
        small = {file.path: file for file in card.files if not file.path.endswith(".safetensors")}
        assert all(file_of(name, files[name]) == file for name, file in small.items())
        assert Path(written[0]).name == "hf-some-tiny.toml" and "pytorch_model.bin" not in small
        sentence_of(lambda: supply.fetch("hf-some-tiny", progress=False))
