"""The shipped backbone and the text encoder know something, and refuse weights that do not fit."""

import hashlib

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tlcourse import cards, load_data, load_model
from tlcourse.errors import ModelError
from tlcourse.models import pocket, text
from tlcourse.supply import fetch


def nearest_mean(model, data):
    """Accuracy of the nearest class mean in feature space."""
    model.eval()
    with torch.inference_mode():
        train, test = (
            F.normalize(model.features(s.x.float() / 255)) for s in (data.train, data.test)
        )
    means = torch.stack([train[data.train.y == c].mean(0) for c in range(len(data.classes))])
    return ((test @ F.normalize(means).T).argmax(1) == data.test.y).float().mean().item()


def test_the_shipped_backbone_knows_strokes():
    data = load_data("digits", labels_per_class=5)
    ready, fresh = (load_model("pocket-glyphs", classes=10, pretrained=p) for p in (True, False))
    assert nearest_mean(ready, data) > 0.80
    assert nearest_mean(ready, data) > nearest_mean(fresh, data) + 0.10


@pytest.mark.parametrize(
    "name", ["pocket-resnet", pytest.param("pocket-vit", marks=pytest.mark.release)]
)
def test_a_shipped_backbone_knows_what_a_picture_is_of(name):
    data = load_data("surfaces", labels_per_class=5)
    ready, fresh = (load_model(name, classes=7, pretrained=p) for p in (True, False))
    assert nearest_mean(ready, data) > nearest_mean(fresh, data) + 0.10


@pytest.mark.parametrize("name", ["pocket-resnet", "pocket-vit", "pocket-glyphs"])
def test_the_shipped_weights_are_small_and_those_of_the_card(name):
    file = fetch(name) / f"{name}.safetensors"
    assert file.stat().st_size < 6_000_000
    promised = {f.path: f.sha256 for f in cards.get(name).files}
    assert promised == {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape"])
def test_weights_that_do_not_fit_are_refused(tmp_path, damage):
    stored = load_file(fetch("pocket-glyphs") / "pocket-glyphs.safetensors")
    if damage == "missing":
        del stored["stem.0.weight"]
    elif damage == "unknown":
        stored["extra"] = torch.zeros(1)
    else:
        stored["stem.0.weight"] = torch.zeros(1, 3, 3, 3)
    save_file(stored, tmp_path / "w.safetensors")
    body = pocket.PocketResNet(pocket.WIDTHS["pocket-glyphs"])
    before = {key: value.clone() for key, value in body.state_dict().items()}
    with pytest.raises(ModelError, match="w.safetensors does not fit w: (stem|extra)"):
        pocket.load_weights(body, tmp_path / "w.safetensors")
    assert all(torch.equal(before[key], value) for key, value in body.state_dict().items())


def test_sentences_of_one_meaning_lie_together():
    model = load_model("minilm", classes=2).eval()
    sentences = ["my card was stolen", "someone took my credit card", "how do I bake an apple pie"]
    with torch.inference_mode():
        z = F.normalize(model.features(sentences))
        alone = F.normalize(model.features(sentences[:1]))  # without padding
        same = model(model.tokens(sentences))
        assert torch.allclose(model(sentences), same)
    # sentence-transformers 6.2 gives 0.719 and 0.072 for these.
    assert (z @ z.T)[0, 1].item() == pytest.approx(0.719, abs=2e-3)
    assert (z @ z.T)[0, 2].item() < 0.15
    assert torch.allclose(z[:1], alone, atol=1e-5)


def test_one_string_is_refused_as_texts():
    with pytest.raises(ModelError, match="one string"):
        load_model("minilm", classes=2, pretrained=False).tokens("my card")


def test_an_encoder_that_lacks_a_weight_is_refused(tmp_path):
    stored = load_file(fetch("minilm") / "model.safetensors")
    del stored["embeddings.LayerNorm.weight"]
    save_file(stored, tmp_path / "m.safetensors")
    body = load_model("minilm", classes=2, pretrained=False).body
    with pytest.raises(ModelError, match="m.safetensors does not fit minilm: embeddings.LayerNorm"):
        text.load_weights(body, tmp_path / "m.safetensors")


def test_a_matrix_of_token_ids_gives_what_its_texts_give():
    model = load_model("minilm", classes=("a", "b")).eval()
    texts = ["a refund, please", "the printer on the second floor does not print"]
    with torch.no_grad():
        assert torch.equal(model(model.tokens(texts)["input_ids"]), model(texts))
