"""Tiny random models as their authors would publish them, published in a local hub and pinned."""

from __future__ import annotations

import json

import timm
import torch
import transformers as hf
from safetensors.torch import save_file

from tests.cards.local_hub import contents, hub_card, on_shelf
from tlcourse.supply import read_settings
from tlcourse.supply.hub import pin

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a the card was lost cake bread my".split()
SMALL = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


def pinned(local_hub, repo, folder, loads):
    """Publish a folder, pin it, and put the card on the shelf."""
    files = contents(folder)
    local_hub.publish(repo, files)
    card = pin(hub_card(repo, tuple(files), loads=loads), read_settings())
    return on_shelf(card)


def tiny_timm(folder, name="test_resnet.r160_in1k"):
    """A random timm model as its authors would publish it, head and all."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False).eval()
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": name.split(".")[0]}))
    return model


def tokenizer(folder):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    made = hf.BertTokenizerFast(
        vocab_file=str(folder / "vocab.txt"), vocab={w: i for i, w in enumerate(WORDS)}
    )
    made.save_pretrained(folder)


def tiny(model, folder, image=False):
    """A random model of transformers as its authors would publish it."""
    torch.manual_seed(0)
    made = model().eval()
    made.save_pretrained(folder)
    if image:
        said = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
        (folder / "preprocessor_config.json").write_text(json.dumps(said))
    else:
        tokenizer(folder)
    return made


def images(size, count=2):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def normalised(x):
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]))
    return (x - mean) / std


BERT = lambda: hf.BertForMaskedLM(hf.BertConfig(vocab_size=len(WORDS), **SMALL))  # noqa: E731
DISTIL = lambda: hf.DistilBertModel(  # noqa: E731
    hf.DistilBertConfig(vocab_size=len(WORDS), dim=16, hidden_dim=32, n_heads=2, n_layers=2)
)
LLAMA = lambda: hf.LlamaForCausalLM(  # noqa: E731
    hf.LlamaConfig(vocab_size=len(WORDS), num_key_value_heads=1, tie_word_embeddings=True, **SMALL)
)
T5 = lambda: hf.T5ForConditionalGeneration(  # noqa: E731
    hf.T5Config(vocab_size=len(WORDS), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
)


VIT = dict(image_size=32, patch_size=8, **SMALL)


def clip():
    text = dict(vocab_size=len(WORDS), **SMALL)
    return hf.CLIPModel(hf.CLIPConfig(text_config=text, vision_config=VIT, projection_dim=8))
