"""Every file or answer that somebody else may have made gives what it should, or one sentence.

Each door gets a right text that was changed somewhere: a value of another type, a field more or less,
a byte, a cut. Whatever passes is used the way the course uses it.
"""

import json
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.cards.local_hub import local_hub  # noqa: F401  a fixture
from tlcourse import cards, supply
from tlcourse.cards.card import shards
from tlcourse.course import learner, progress
from tlcourse.course.exercises.mechanism import hint
from tlcourse.course.figures import claims_of, measured_on, read_figures
from tlcourse.course.predictions import predict
from tlcourse.course.recorded_hands import VARIABLE as HAND
from tlcourse.course.syllabus import lessons
from tlcourse.errors import TLCourseError
from tlcourse.measure.claims import evidence_in_words, threshold_in_words
from tlcourse.schema import read_json, read_toml
from tlcourse.supply.hub import listing, to_toml
from tlcourse.supply.mirror.index import read_index
from tlcourse.supply.mirror.pins import take

ODD = [
    None, True, -1, 0, 2**63, 10**30, 1e308, float("nan"), float("inf"), "", " ", "x", "\x1b[31m",
    "a\nb", "\u202e", "../../x", "é" * 2000, [], {}, [[]], [None], {"": {}}, {"a": [1, {"b": None}]},
]  # fmt: skip
RAW = [  # what no program of ours writes
    "1" + "0" * 5000, "1" + "0" * 4000, "-" + "9" * 5000, "1e999", "NaN", "Infinity", "[" * 3000,
    '{"a":' * 3000, '"\\ud800"', '"\\u0000"', '{"a": 1, "a": 2}', "0x" + "f" * 5000, "1979-05-27",
    "{a" + ".a" * 9000, '""" """""', "nan", "inf", "[1, [2, [3" + ", [4" * 500,
]  # fmt: skip


def change(tree, dice):
    """A copy of the tree with one place altered; the raw text to put there, if it is a text."""
    places = []

    def walk(node):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    tree = json.loads(json.dumps(tree))
    walk(tree)
    node, key = dice.choice(places)
    how = dice.choice(["odd", "odd", "raw", "lost", "new", "twice"])
    if how == "lost":
        del node[key]
    elif how == "new" and isinstance(node, dict):
        node[dice.choice(["x", "", "\x1b", "name"])] = dice.choice(ODD)
    elif how == "twice" and isinstance(node, list):
        node.insert(0, node[key])
    elif how == "raw":
        node[key] = "@RAW@"
        return tree, dice.choice(RAW)
    else:
        node[key] = dice.choice(ODD)
    return tree, None


def spoiled(text: bytes, dice) -> bytes:
    """Bytes changed, cut or doubled."""
    body = bytearray(text)
    for _ in range(dice.choice([1, 1, 3, 20])):
        body[dice.randrange(len(body))] = dice.randrange(256)
    at = dice.randrange(len(body))
    return bytes(dice.choice([body, body, body[:at], body + body[at:], body[at:]]))


def toml_of(tree) -> str:
    """TOML of any JSON-able tree, as far as it goes."""
    tables = {key: value for key, value in tree.items() if isinstance(value, dict)}
    rows = {
        key: value
        for key, value in tree.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    }
    lines = [f"{json.dumps(k)} = {inline(v)}" for k, v in tree.items() if k not in tables | rows]
    for key, table in tables.items():
        lines += [
            f"[{json.dumps(key)}]",
            *(f"{json.dumps(k)} = {inline(v)}" for k, v in table.items()),
        ]
    for key, many in rows.items():
        for row in many:
            lines.append(f"[[{json.dumps(key)}]]")
            lines += [f"{json.dumps(k)} = {inline(v)}" for k, v in row.items()]
    return "\n".join(lines) + "\n"


def inline(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


@dataclass
class Door:
    """tree: what is right. write: as text. enter: read the bytes, and use what came of them."""

    tree: object
    write: object
    enter: object


CARD = cards.shipped("resnet50")
TINY = tomllib.loads(to_toml(CARD)) | {"name": "tiny"}
TINY["hub"] |= {"repo": "some/tiny", "loads": "hf/tiny"}
TINY["assets"] = [
    one | {"urls": [one["urls"][0].replace(CARD.hub.repo, "some/tiny")]} for one in TINY["assets"]
]
COMMIT = "1" * 40
ANSWER = {
    "id": "some/tiny",
    "sha": COMMIT,
    "cardData": {"license": "mit"},
    "siblings": [
        {"rfilename": "config.json", "size": 2, "blobId": "0" * 40},
        {
            "rfilename": "m.safetensors",
            "size": 9,
            "blobId": "0" * 40,
            "lfs": {"sha256": "0" * 64, "size": 9},
        },
    ],
}
EVIDENCE = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 2, "values": [0.4, 0.6], "unit": "points"}
CLAIM = {
    "id": "01.1", "sentence": "It is so.", "holds": True, "evidence": EVIDENCE, "unit": "points",
    "at_least": 0.1, "at_most": None, "refuted_by": "less",
}  # fmt: skip
LESSON = {
    "lesson": "01", "title": "T", "tier": "pocket", "passed": True, "failure": None, "seconds": 9.5,
    "memory_mb": 900.5, "gpu_memory_mb": None, "records": [],
    "versions": {"python": "3.11.7", "torch": "2.9", "peft": None},
    "hardware": {"system": "Linux", "processor": "A", "cores": 2, "gpu": None},
    "figures": [{"cell": 3, "claim": CLAIM}, {"cell": 4, "claim": CLAIM | {"evidence": 0.5}}],
}  # fmt: skip
GUESS = {
    "question": "What?", "unit": "percent", "values": {"a": 0.5, "b": 0.25}, "late": False,
    "when": "2026-01-01T00:00:00+00:00", "seen": None, "outcome": {"a": 0.5, "b": None},
    "before": [{"values": {"a": 0.1, "b": 0.2}, "when": None}],
}  # fmt: skip
NOTED = {
    "format": 1,
    "predictions": {"01.1": GUESS},
    "exercises": {"01.1": {"tried": 2, "hints": 1, "solved": None}},
    "claims": {"01.1": {"holds": True, "when": "2026-01-01T00:00:00+00:00"}},
}
PLACES = "name\tpath\tbytes\tsha256\ntiny\th.org/a\t3\tX\n(wheel)\twheels/a.whl\t9\tX\n"
PLACES = PLACES.replace("X", "0" * 64)


def card_of_a_mirror(body: bytes, folder: Path, hub):
    (folder / "cards").mkdir(exist_ok=True)
    (folder / "cards" / "tiny.toml").write_bytes(body)
    taken = take("tiny", str(folder), supply.read_settings())
    assert taken.hub.repo and to_toml(taken) and taken.bytes > 0


def card_in_the_store(body: bytes, folder: Path, hub):
    cards.pins().mkdir(parents=True, exist_ok=True)
    (cards.pins() / "tiny.toml").write_bytes(body)
    assert cards.hub_card("timm/resnet50.a1_in1k") == "resnet50"
    assert cards.get("tiny").name == "tiny" and cards.hub_card("hf/tiny") in ("tiny", None)


def answer_of_a_hub(body: bytes, folder: Path, hub):
    hub.server.script.clear()
    hub.say("some/tiny", "main", body)
    seen = listing("some/tiny", "main", supply.read_settings())
    assert len(seen.commit) == 40 and ", ".join(sorted(seen.files)).isprintable()


def index_of_a_mirror(body: bytes, folder: Path, hub):
    (folder / "INDEX.tsv").write_bytes(body)
    for row in read_index(folder):
        assert not row.path.startswith("/") and row.bytes >= 0


def index_of_weights(body: bytes, folder: Path, hub):
    assert all("/" not in name for name in shards(body))


def figures_of_claims(body: bytes, folder: Path, hub):
    (folder / "claims.json").write_bytes(body)
    told = read_figures(folder / "claims.json")
    for lesson in told if isinstance(told, list) else [told]:
        assert measured_on(lesson).isprintable()
        for claim in claims_of({"figures": [], **lesson}):
            assert evidence_in_words(claim) and threshold_in_words(claim).isprintable()


def progress_file(body: bytes, folder: Path, hub):
    for name, empty in (("_waiting", {}), ("_alone", {}), ("_said", set())):
        setattr(learner, name, empty)
    learner.path().parent.mkdir(parents=True, exist_ok=True)
    learner.path().write_bytes(body)
    notes = learner.read()
    assert json.dumps([asdict(progress.standing(one, notes)) for one in lessons()[:2]])
    guess = predict("01.1", "What?", {"a": 0.5, "b": 0.5})
    assert repr(guess) and guess.table()
    if not guess.final:
        guess.commit({"a": 0.5, "b": 0.5})
    assert hint("01.1").at >= 1
    guess.outcome({"a": 0.5, "b": 0.5})
    assert learner.read()["predictions"]["01.1"]["seen"] and guess.final


def dumped(tree) -> str:
    return json.dumps(tree, ensure_ascii=True)


DOORS = {
    "card of a mirror": Door(TINY, toml_of, card_of_a_mirror),
    "card in the store": Door(TINY, toml_of, card_in_the_store),
    "answer of a hub": Door(ANSWER, dumped, answer_of_a_hub),
    "index of weights": Door(
        {"metadata": {"total_size": 9}, "weight_map": {"a": "m-1.safetensors"}},
        dumped,
        index_of_weights,
    ),
    "index of a mirror": Door(None, None, index_of_a_mirror),
    "claims": Door([LESSON], dumped, figures_of_claims),
    "progress": Door(NOTED, dumped, progress_file),
}


@pytest.fixture
def entered(request, local_hub, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.delenv(HAND, raising=False)

    def enter(door: Door, body: bytes) -> bool:
        """Whether it was let in. Anything but a sentence of ours fails the test."""
        try:
            door.enter(body, tmp_path, local_hub)
            return True
        except TLCourseError as error:
            sentence = str(error)
            assert "\n" not in sentence and len(sentence) < 4000 and "Traceback" not in sentence
            assert all(c.isprintable() or c == "\u00a0" for c in sentence), sentence
            return False

    return enter


def drawn(door: Door, dice) -> bytes:
    if door.tree is None or dice.random() < 0.25:
        text = PLACES if door.tree is None else door.write(door.tree)
        return spoiled(text.encode(), dice)
    tree, raw = change(door.tree, dice)
    text = door.write(tree)
    return (text.replace('"@RAW@"', raw) if raw else text).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", DOORS)
def test_what_is_right_comes_in(entered, name):
    door = DOORS[name]
    assert entered(door, (PLACES if door.tree is None else door.write(door.tree)).encode())


@pytest.mark.parametrize("name", DOORS)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@seed(12)
@given(dice=st.randoms(use_true_random=False))
def test_whatever_is_changed_gives_one_sentence(entered, name, dice):
    entered(DOORS[name], drawn(DOORS[name], dice))


@pytest.mark.release
@pytest.mark.parametrize("name", DOORS)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(dice=st.randoms(use_true_random=False))
def test_many_more_changes_give_one_sentence(entered, name, dice):
    entered(DOORS[name], drawn(DOORS[name], dice))


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw[:12])
@pytest.mark.parametrize("name", [name for name in DOORS if DOORS[name].tree is not None])
def test_what_no_parser_likes_gives_one_sentence(entered, name, raw):
    entered(DOORS[name], raw.encode())
    entered(DOORS[name], f'{{"format": {raw}}}'.encode())
    entered(DOORS[name], f"name = {raw}\n".encode())


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@given(TREES)
@settings(max_examples=60, deadline=None)
def test_what_is_read_is_plain(tree):
    """Whatever JSON lets through can be written again, and has no number that is not finite."""
    try:
        read = read_json(json.dumps(tree), TLCourseError, "It is wrong")
    except TLCourseError:
        return
    assert json.loads(json.dumps(read, allow_nan=False)) == read
    json.dumps(read, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "text",
    ["a" + ".a" * 100_000 + " = 1", "[a" + ".a" * 100_000 + "]", "x = {a" + ".a" * 50_000 + "=1}",
     'x = ["""a"""", {a' + ".a" * 50_000 + '=1}, "b"]', '"a"' + '."a b"' * 50_000 + " = 1",
     "x = '''a'''', {a" + " . a" * 50_000 + "=1}]"],
)  # fmt: skip
def test_no_toml_takes_for_ever(text):
    """tomllib takes the square of a key's parts."""
    import time

    since = time.monotonic()
    with pytest.raises(TLCourseError):
        read_toml(text, TLCourseError, "It is wrong")
    assert time.monotonic() - since < 2


def test_the_limit_of_recursion_is_no_way_in():
    for depth in (22, 900, sys.getrecursionlimit(), 10**6):
        for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
            with pytest.raises(TLCourseError, match="nested deeper than 20"):
                read_json(text, TLCourseError, "It is wrong")
