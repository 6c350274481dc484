"""Models of the hubs: pinned from a local hub, brought through the store, loaded with no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from tests.cards.local_hub import contents, hub_card, on_shelf
from tests.models.tiny import (
    BERT,
    DISTIL,
    LLAMA,
    T5,
    VIT,
    clip,
    images,
    normalised,
    pinned,
    tiny,
    tiny_timm,
)
from tlcourse import cards, load_model
from tlcourse.cards.card import INDEX
from tlcourse.errors import CardError, FetchError, IntegrityError, ModelError
from tlcourse.models import groups_of, stored
from tlcourse.supply import read_settings
from tlcourse.supply.hub import draft, pin, save

TEXTS = ["my card was lost", "a cake"]


def test_a_timm_model_comes_from_the_hub_with_its_outputs(local_hub, tmp_path):
    original = tiny_timm(tmp_path / "m")
    pinned(local_hub, "timm/test_resnet.r160_in1k", tmp_path / "m", "timm/test_resnet.r160_in1k")
    x = images(64)
    for name in ("timm/test_resnet.r160_in1k", "timm/test_resnet"):
        model = load_model(name, classes=3).eval()
        cfg = original.pretrained_cfg
        mean, std = (torch.tensor(cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        with torch.inference_mode():
            expected = original.forward_head(
                original.forward_features((x - mean) / std), pre_logits=True
            )
            assert torch.equal(model.features(x), expected)
        assert model.recipe["name"] == name and list(groups_of(model))[-1] == "head"
        again = load_model(**model.recipe).eval()
        assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(
    ("made", "encoder"),
    [
        (BERT, lambda m: m.bert),
        (DISTIL, lambda m: m),
        (LLAMA, lambda m: m.model),
        (T5, lambda m: m.encoder),
    ],
    ids=["bert", "distilbert", "llama", "t5"],
)
def test_a_text_encoder_gives_the_mean_over_its_tokens(local_hub, tmp_path, made, encoder):
    original = tiny(made, tmp_path / "m")
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    model = load_model("hf/tiny", classes=("lost", "food")).eval()
    tokens = model.tokens(TEXTS)
    with torch.inference_mode():
        states = encoder(original)(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None]
        expected = (states * mask).sum(1) / mask.sum(1)
        assert torch.allclose(model.features(TEXTS), expected, atol=1e-6)
        alone = model.features(TEXTS[1:])
        assert torch.allclose(alone, expected[1:], atol=1e-5)  # padding changes nothing
    assert list(groups_of(model)) == ["embeddings", "layer0", "layer1", "head"]
    assert model(TEXTS).shape == (2, 2) and model.classes == ("lost", "food")
    used(model, TEXTS)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: hf.Dinov2Model(hf.Dinov2Config(**VIT)), lambda m, x: m(x).pooler_output),
        (clip, lambda m, x: m.vision_model(pixel_values=x).pooler_output),
        (
            lambda: hf.ViTForImageClassification(hf.ViTConfig(**VIT)),
            lambda m, x: m.vit(x).last_hidden_state[:, 0],
        ),
    ],
    ids=["dinov2", "clip", "vit"],
)
def test_an_image_model_gives_what_it_pools(local_hub, tmp_path, made, expected):
    original = tiny(made, tmp_path / "m", image=True)
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    model = load_model("hf/tiny", classes=3).eval()
    x = images(32)
    with torch.inference_mode():
        assert torch.allclose(model.features(x), expected(original, normalised(x)), atol=1e-6)
        assert model(images(48)).shape == (2, 3)  # positions are interpolated
    assert list(groups_of(model)) == ["embeddings", "layer0", "layer1", "head"]
    used(model, x)


def used(model, x):
    """Nothing idle in the model but tokens for masks: every other parameter gets a gradient."""
    model.train()(x).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert [name for name in idle if "mask_token" not in name] == []


def test_from_scratch_the_seed_draws_the_encoder(local_hub, tmp_path):
    tiny(BERT, tmp_path / "m")
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    ready = load_model("hf/tiny", classes=2)
    one, same, other = (
        load_model("hf/tiny", classes=2, pretrained=False, seed=s) for s in (1, 1, 2)
    )
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (ready, one)]
    assert shapes[0] == shapes[1]
    weight = "body.encoder.layer.0.output.dense.weight"
    assert torch.equal(one.state_dict()[weight], same.state_dict()[weight])
    assert not torch.equal(one.state_dict()[weight], other.state_dict()[weight])
    assert not torch.equal(one.state_dict()[weight], ready.state_dict()[weight])


NO_NETWORK = """
import socket, sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print("ASKED", event, args)
sys.addaudithook(watch)
from tlcourse import load_model
for name in sys.argv[1:]:
    print("LOADED", type(load_model(name, classes=2)).__name__)
print("NOW")
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError:
    pass
"""


@pytest.mark.slow
def test_what_is_in_the_store_loads_without_asking_anyone(local_hub, tmp_path):
    """Although no offline flag is set: the libraries are simply not given a reason to ask."""
    tiny_timm(tmp_path / "a")
    tiny(BERT, tmp_path / "b")
    tiny(lambda: hf.Dinov2Model(hf.Dinov2Config(**VIT)), tmp_path / "c", image=True)
    pinned(local_hub, "timm/test_resnet.r160_in1k", tmp_path / "a", "timm/test_resnet.r160_in1k")
    pinned(local_hub, "some/text", tmp_path / "b", "hf/text")
    pinned(local_hub, "some/eye", tmp_path / "c", "hf/eye")
    names = ("timm/test_resnet", "hf/text", "hf/eye")
    for name in names:
        load_model(name, classes=2)
    command = [sys.executable, "-c", NO_NETWORK, *names]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    before, _, after = done.stdout.partition("NOW")
    assert before.count("LOADED") == 3 and "ASKED" not in before, done.stdout + done.stderr
    assert "ASKED" in after  # whoever asks is seen


def test_an_unpinned_card_refuses_to_load_and_says_what_to_run(local_hub):
    on_shelf(hub_card("some/tiny", ("config.json",), loads="hf/tiny"))
    for name in ("hf/tiny", "hf/some/tiny"):
        with pytest.raises(CardError, match="is not pinned yet.*Run `tlcourse cards pin"):
            load_model(name, classes=2)
    assert local_hub.asked() == []


def test_a_model_without_a_card_says_how_to_get_one(local_hub):
    with pytest.raises(
        ModelError, match="'timm/resnet10t' has no card.*cards pin timm/resnet10t.c3"
    ):
        load_model("timm/resnet10t", classes=2)
    with pytest.raises(ModelError, match="'hf/some/bert' has no card.*cards pin hf/some/bert"):
        load_model("hf/some/bert", classes=2)


def test_other_bytes_than_were_pinned_never_load(local_hub, tmp_path):
    tiny_timm(tmp_path / "m")
    card = pinned(
        local_hub, "timm/test_resnet.r160_in1k", tmp_path / "m", "timm/test_resnet.r160_in1k"
    )
    weights = tmp_path / "m" / "model.safetensors"
    other = bytearray(weights.read_bytes())
    other[-1] ^= 1
    path = f"/{card.hub.repo}/resolve/{card.hub.revision}/model.safetensors"
    local_hub.server.put(path, bytes(other))
    with pytest.raises(IntegrityError, match="model.safetensors.*expected sha256"):
        load_model("timm/test_resnet", classes=2)
    local_hub.server.put(path, weights.read_bytes())
    assert load_model("timm/test_resnet", classes=2).classes == ("0", "1")


def test_a_hub_that_is_not_there_says_how_to_mirror_it(local_hub, tmp_path, monkeypatch):
    tiny_timm(tmp_path / "m")
    card = pinned(
        local_hub, "timm/test_resnet.r160_in1k", tmp_path / "m", "timm/test_resnet.r160_in1k"
    )
    monkeypatch.setenv("TLCOURSE_OFFLINE", "1")
    with pytest.raises(
        FetchError, match="web is switched off.*tlcourse mirror build.*TLCOURSE_MIRROR"
    ):
        load_model("timm/test_resnet", classes=2)
    # A mirror has the files under the hub's own name, wherever HF_ENDPOINT points.
    there = tmp_path / "mirror" / "huggingface.co" / card.hub.repo / "resolve" / card.hub.revision
    there.mkdir(parents=True)
    for name, body in contents(tmp_path / "m").items():
        (there / name).write_bytes(body)
    monkeypatch.setenv("TLCOURSE_MIRROR", str(tmp_path / "mirror"))
    assert load_model("timm/test_resnet", classes=2).classes == ("0", "1")


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape"])
def test_weights_of_another_shape_are_refused(local_hub, tmp_path, damage):
    tiny_timm(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    weights = load_file(path)
    if damage == "missing":
        del weights["conv1.0.weight"]
    elif damage == "unknown":
        weights["extra.weight"] = torch.zeros(1)
    else:
        weights["conv1.0.weight"] = torch.zeros(1, 3, 3, 3)
    save_file(weights, path)
    pinned(local_hub, "timm/test_resnet.r160_in1k", tmp_path / "m", "timm/test_resnet.r160_in1k")
    with pytest.raises(ModelError, match="does not fit timm's test_resnet: (conv1|extra)"):
        load_model("timm/test_resnet", classes=2)


def test_an_encoder_that_lacks_a_weight_is_refused(local_hub, tmp_path):
    tiny(BERT, tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    weights = load_file(path)
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    with pytest.raises(ModelError, match="do not fit 'hf/tiny': encoder.layer.1.output.dense"):
        load_model("hf/tiny", classes=2)


def sharded(made, folder):
    """The same weights as they are published when they are many: in pieces, with an index."""
    made.save_pretrained(folder, max_shard_size="4KB")
    (folder / "model.safetensors").unlink()
    parts = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(parts) >= 2 and (folder / INDEX).is_file()
    return parts


def test_weights_in_shards_are_the_weights_in_one_file(local_hub, tmp_path):
    made = tiny(BERT, tmp_path / "m")
    pinned(local_hub, "some/whole", tmp_path / "m", "hf/whole")
    parts = sharded(made, tmp_path / "m")
    local_hub.publish("some/tiny", contents(tmp_path / "m"))
    card = on_shelf(pin(draft("hf/some/tiny", read_settings()), read_settings()))
    assert {INDEX, *parts} <= {file.path for file in card.files}  # a hash for each
    assert card.hub.parameters == sum((tmp_path / "m" / part).stat().st_size for part in parts) // 4
    whole, pieces = (load_model(name, classes=2).eval() for name in ("hf/whole", "hf/some/tiny"))
    assert torch.equal(pieces.features(TEXTS), whole.features(TEXTS))
    scratch = load_model("hf/some/tiny", classes=2, pretrained=False)
    assert scratch.state_dict().keys() == pieces.state_dict().keys()


def test_a_timm_models_shards_are_read_together(local_hub, tmp_path):
    tiny_timm(tmp_path / "m")
    name = "timm/test_resnet.r160_in1k"
    weights = load_file(tmp_path / "m" / "model.safetensors")
    pinned(local_hub, name, tmp_path / "m", name)
    whole = load_model(name, classes=2)
    half = len(weights) // 2
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    pairs = list(weights.items())
    for part, some in zip(names, (pairs[:half], pairs[half:]), strict=True):
        save_file(dict(some), tmp_path / "m" / part)
    where = {key: names[at >= half] for at, (key, _) in enumerate(pairs)}
    (tmp_path / "m" / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (tmp_path / "m" / "model.safetensors").unlink()
    pinned(local_hub, name, tmp_path / "m", name)
    pieces = load_model(name, classes=2)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, pieces.state_dict()[key])


def test_a_shard_of_other_bytes_never_loads(local_hub, tmp_path):
    parts = sharded(tiny(BERT, tmp_path / "m"), tmp_path / "m")
    card = pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    other = bytearray((tmp_path / "m" / parts[-1]).read_bytes())
    other[-1] ^= 1
    path = f"/{card.hub.repo}/resolve/{card.hub.revision}/{parts[-1]}"
    local_hub.server.put(path, bytes(other))
    with pytest.raises(IntegrityError, match=f"{parts[-1]}.*expected sha256"):
        load_model("hf/tiny", classes=2)


def test_an_index_that_misses_or_leaves_its_folder_is_refused(local_hub, tmp_path):
    parts = sharded(tiny(BERT, tmp_path / "m"), tmp_path / "m")
    index = (tmp_path / "m" / INDEX).read_text()
    (tmp_path / "m" / parts[0]).unlink()
    local_hub.publish("some/tiny", contents(tmp_path / "m"))
    with pytest.raises(CardError, match=f"some/tiny lacks {parts[0]}, which its {INDEX} names"):
        draft("hf/some/tiny", read_settings())
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    with pytest.raises(ModelError, match=f"has no {parts[0]}, which its {INDEX} names"):
        load_model("hf/tiny", classes=2)
    (tmp_path / "m" / INDEX).write_text(index.replace(parts[0], f"../{parts[0]}"))
    pinned(local_hub, "some/other", tmp_path / "m", "hf/other")
    for refused in (
        lambda: draft("hf/some/other", read_settings()),
        lambda: load_model("hf/other", classes=2),
    ):
        with pytest.raises(CardError, match="does not name the .safetensors files"):
            refused()


class Bomb:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BOMB"],))


@pytest.mark.parametrize("name", ["hf/tiny", "timm/test_resnet"])
def test_a_pickle_is_never_opened(local_hub, tmp_path, monkeypatch, name):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    if name == "hf/tiny":
        tiny(BERT, tmp_path / "m")
        repo = "some/tiny"
    else:
        tiny_timm(tmp_path / "m")
        repo = "timm/test_resnet.r160_in1k"
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save({"w": Bomb()}, tmp_path / "m" / "pytorch_model.bin")
    pinned(local_hub, repo, tmp_path / "m", "hf/tiny" if repo == "some/tiny" else repo)
    with pytest.raises(ModelError, match="no model.safetensors, and load_model reads no pickle"):
        load_model(name, classes=2)
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(FileNotFoundError):  # the pickle does what was feared
        os.rmdir(tmp_path / "exploded")
    torch.load(tmp_path / "m" / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "exploded").exists()


def test_what_has_no_features_is_refused_with_its_folder(local_hub, tmp_path):
    config = hf.WhisperConfig(vocab_size=51865, d_model=16, encoder_layers=1, decoder_layers=1,
                              encoder_attention_heads=1, decoder_attention_heads=1)  # fmt: skip
    (tmp_path / "m").mkdir()
    config.save_pretrained(tmp_path / "m")
    pinned(local_hub, "some/tiny", tmp_path / "m", "hf/tiny")
    with pytest.raises(
        ModelError, match="whisper. is neither an image model nor a text encoder.*home"
    ):
        load_model("hf/tiny", classes=2)


def test_too_little_memory_is_said_before_anything_is_fetched(local_hub, tmp_path):
    tiny_timm(tmp_path / "m")
    card = pinned(
        local_hub, "timm/test_resnet.r160_in1k", tmp_path / "m", "timm/test_resnet.r160_in1k"
    )
    text = (cards.pins() / f"{card.name}.toml").read_text()
    huge = text.replace("parameters = 1000\n", "parameters = 1000000000000000\n")
    (cards.pins() / f"{card.name}.toml").write_text(huge)
    before = len(local_hub.asked())
    with pytest.raises(
        ModelError, match=r"1,000,000,000,000,000 parameters.*8000000.0 GB.*are free"
    ):
        load_model("timm/test_resnet", classes=2)
    assert len(local_hub.asked()) == before
    assert 0 < stored.memory_free() < stored.memory_needed(cards.hub(card.name))


def test_too_much_memory_is_not_asked_of_the_real_cards():
    """What the cards say of memory is for machines that run the gpu tier."""
    needs = {name: stored.memory_needed(cards.hub(name)) for name in cards.hub_names()}
    assert max(needs.values()) < 4e9 and min(needs.values()) > 1e8


def test_a_card_of_a_store_that_was_damaged_is_named(local_hub):
    card = on_shelf(hub_card("some/tiny", ("config.json",), loads="hf/tiny"))
    path = save(card, cards.pins())
    path.write_text(path.read_text().replace("parameters", "paramaters"))
    with pytest.raises(CardError, match="unknown paramaters.*It was read from .*tiny.toml: delete"):
        load_model("hf/tiny", classes=2)
