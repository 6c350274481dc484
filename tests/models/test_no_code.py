"""No code from a repository runs, and nobody is asked whether it may."""

import ast
import json
from pathlib import Path

import pytest

import tlcourse
from tests.models.tiny import BERT, VIT, pinned, tiny
from tlcourse import load_model, supply
from tlcourse.errors import ModelError

CLONE = Path(tlcourse.__file__).parents[1]
SOURCES = [
    path for room in ("tlcourse", "tools", "pretraining", "benchmarks", "datasets")
    for path in sorted((CLONE / room).rglob("*.py"))
]  # fmt: skip
LOADING = {"from_pretrained", "from_config"}


def faults(source: str) -> list[str]:
    """Calls that may run or ask for a repository's code, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        short = name.rpartition(".")[2]
        if (
            (short in LOADING and said.get("trust_remote_code") is not False)
            or said.get("trust_remote_code", False) is not False
            or (short == "create_model" and said.get("pretrained", False) is not False)
            or name.endswith(("transformers.pipeline", "hf.pipeline", "hub.load"))
        ):
            found.append(f"{node.lineno}: {name}")
    return found


def test_nothing_is_loaded_without_saying_no():
    found = {path.name: faults(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_all_of_it_goes_through_one_place():
    calls = [
        path.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in LOADING
    ]
    assert calls == ["stored.py"] * 2


def test_the_look_at_the_code_sees_what_it_should():
    assert faults("AutoConfig.from_pretrained(f)") == ["1: AutoConfig.from_pretrained"]
    assert faults("kind.from_config(c, trust_remote_code=told)") == ["1: kind.from_config"]
    assert faults("kind.from_pretrained(f, trust_remote_code=False)") == []
    assert faults("timm.create_model(n, pretrained=True)") == ["1: timm.create_model"]
    assert faults("torch.hub.load(r, m)") and faults("hf.pipeline('x')")
    assert faults("load(trust_remote_code=True)") == ["1: load"]


EVIL = """
from pathlib import Path
Path({victim!r}).touch()
from transformers import BertConfig, BertModel, BertTokenizerFast
class Config(BertConfig): model_type = "evil"
class Model(BertModel): config_class = Config
class Tokenizer(BertTokenizerFast): pass
"""
WHERE = ["evil.", "some/other--evil."]  # beside the configuration, or in another repository
CASES = {
    "configuration": ("config.json", {"AutoConfig": "Config"}, {"model_type": "evil"}),
    "model": ("config.json", {"AutoModel": "Model", "AutoModelForTextEncoding": "Model"}, {}),
    "tokenizer": (
        "tokenizer_config.json",
        {"AutoTokenizer": [None, "Tokenizer"]},
        {"tokenizer_class": "Tokenizer"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", WHERE, ids=["beside", "elsewhere"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pretrained", [True, False])
def test_a_repository_with_code_is_never_run_nor_asked_for(
    local_hub, tmp_path, monkeypatch, case, where, pretrained
):
    asked = []
    monkeypatch.setattr("builtins.input", lambda *text: asked.append(text) or "y")
    file, classes, more = CASES[case]
    tiny(BERT, tmp_path / "m")
    said = json.loads((tmp_path / "m" / file).read_text())
    named = {
        auto: [one and where + one for one in name] if isinstance(name, list) else where + name
        for auto, name in classes.items()
    }
    (tmp_path / "m" / file).write_text(json.dumps(said | more | {"auto_map": named}))
    card = pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    folder = supply.fetch(card.name, progress=False)
    victim = tmp_path / "executed"
    (folder / "evil.py").write_text(EVIL.format(victim=str(victim)))
    try:
        load_model("hf/tiny", classes=2, pretrained=pretrained)
    except ModelError as error:
        assert "\n" not in str(error) and "trust_remote_code=True" not in str(error)
    assert not asked and not victim.exists()


NONSENSE = [b"", b"[]", b"null", b"{", b'{"model_type": 5}', b'{"model_type": ["bert"]}', b"\xff",
            b"[" * 50_000, b'{"model_type": "bert", "hidden_size": "x"}',
            b'{"model_type": "bert", "hidden_size": ' + b"9" * 5000 + b"}",
            b'{"model_type": "bert", "num_hidden_layers": -1}']  # fmt: skip


@pytest.mark.parametrize(
    ("file", "at"),
    [
        pytest.param(file, at, marks=[pytest.mark.release] * (at > 3 and file != "config.json"))
        for file in ("config.json", "tokenizer_config.json", "tokenizer.json")
        for at in range(len(NONSENSE))
    ],
)
def test_a_repositorys_files_give_a_model_or_one_sentence(local_hub, tmp_path, file, at):
    tiny(BERT, tmp_path / "m")
    (tmp_path / "m" / file).write_bytes(NONSENSE[at] or b" ")
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    try:
        load_model("hf/tiny", classes=2)
    except ModelError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "said", [b"[]", b"{}", b'{"image_mean": "x"}', b'{"image_mean": [0, 0], "image_std": [1]}',
             b'{"image_mean": [0, 0, NaN], "image_std": [1, 1, 1]}', b"[" * 50_000]
)  # fmt: skip
def test_what_does_not_say_how_to_normalise_is_refused(local_hub, tmp_path, said):
    import transformers as hf

    tiny(lambda: hf.Dinov2Model(hf.Dinov2Config(**VIT)), tmp_path / "m", image=True)
    (tmp_path / "m" / "preprocessor_config.json").write_bytes(said)
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    with pytest.raises(ModelError, match="no preprocessor_config.json that says how images"):
        load_model("hf/tiny", classes=2)


@pytest.mark.parametrize("body", [b"x", b"\xff" * 16, b"\x02" + b"\0" * 7 + b"{}"])
def test_weights_that_are_none_are_refused(local_hub, tmp_path, body):
    tiny(BERT, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(body)
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    with pytest.raises(ModelError):
        load_model("hf/tiny", classes=2)
