"""What an adapter trains is what is measured, whichever way a model uses its layers."""

import copy
import pickle

import pytest
import timm
import torch
from torch import nn

import tlcourse as tl
from tlcourse.errors import ModelError
from tlcourse.methods.adapters.insert import bottleneck, ia3


class Tokens(nn.Module):
    """(B, 96) → 3 classes, by a body that takes and returns six tokens."""

    def __init__(self, body):
        super().__init__()
        self.body, self.head = body, nn.Linear(16, 3)
        self.groups = {"body": self.body, "head": self.head}
        self.classes = ("a", "b", "c")

    def features(self, x):
        return self.body(x.reshape(-1, 6, 16)).mean(1)

    def forward(self, x):
        return self.head(self.features(x))


class Decoder(nn.TransformerDecoderLayer):
    def forward(self, x):
        return super().forward(x, x)


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


def encoder_layer(**how):
    return nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, **how)


def encoder(**how):
    return Tokens(nn.TransformerEncoder(encoder_layer(**how), 2, enable_nested_tensor=False))


def of_timm(name, **how):
    return timm.create_model(name, pretrained=False, num_classes=3, drop_path_rate=0.0, **how)


VIT = {"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 1, "num_heads": 2}
SWIN = {"img_size": 64, "embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4}
MODELS = {
    "encoder": encoder,
    "encoder, gelu, norm first": lambda: encoder(norm_first=True, activation="gelu"),
    "encoder layer": lambda: Tokens(encoder_layer()),
    "attention": lambda: Tokens(Attention(16, 2, batch_first=True)),
    "decoder": lambda: Tokens(Decoder(16, 2, 32, dropout=0.0, batch_first=True)),
    "vit": lambda: of_timm("vit_tiny_patch16_224", **VIT),
    "beit": lambda: of_timm("beit_base_patch16_224", **VIT),
    "eva": lambda: of_timm("eva02_tiny_patch14_224", **VIT),
    "swin v2": lambda: of_timm("swinv2_tiny_window8_256", **SWIN),
    "convnext": lambda: of_timm("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
}


def data_for(model):
    x = torch.randn(24, 96)
    if not isinstance(model, Tokens):
        size = 64 if "Swin" in type(model).__name__ else 32
        x = torch.randint(0, 256, (24, 3, size, size), dtype=torch.uint8)
    return tl.Data.from_tensors((x, torch.arange(24) % 3), valid=(x[:6], torch.arange(6) % 3))


@pytest.fixture(params=list(MODELS))
def model(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = MODELS[request.param]()
    for module in made.modules():
        if isinstance(module, nn.LayerNorm):  # Swin V2 begins with dead branches
            nn.init.ones_(module.weight)
    return made


def test_every_matrix_of_an_adapter_trains_and_is_measured(model):
    run = tl.Session(model, data_for(model), steps=4, lr=3e-2, weight_decay=0.0, batch_size=8)
    run.at(0, tl.AddLoRA("all", rank=2, lr=3e-2))
    run.run()
    matrices = {n: p for n, p in model.named_parameters() if "lora_" in n}
    assert matrices and not [n for n, p in matrices.items() if p.grad is None or not p.grad.any()]
    x = next(iter(run._training.batches.all_of(run.data.train, 8)))[0]
    with torch.no_grad():
        measured, trained = model.eval()(x), model.train()(x)
        assert torch.allclose(measured, trained, atol=1e-5), "eval sees the adapter as train does"
        for name in (n for n in matrices if "lora_B" in n):
            matrices[name].data.zero_()
            now = model.eval()(x)
            assert not torch.equal(now, measured), f"{name} counts in eval mode"
            measured = now
    again = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize("layers", ["out_proj", "linear1", "linear2"])
def test_factors_are_measured_as_they_train(layers):
    """(IA)³, whose layers are peft's, too."""
    adapted = ia3(Tokens(encoder_layer()), layers=layers, feedforward="linear2")
    x = torch.randn(4, 96)
    for p in adapted.parameters():
        p.data.uniform_(-0.4, 0.4)
    with torch.no_grad():
        measured, trained = adapted.eval()(x), adapted.train()(x)
    assert torch.allclose(measured, trained, atol=1e-5)
    adapted(x).sum().backward()
    factors = [p for n, p in adapted.named_parameters() if "ia3_l" in n]
    assert factors and all(p.grad is not None and p.grad.any() for p in factors)


def test_a_bottleneck_where_it_would_have_no_effect_is_refused():
    for layers in ("out_proj", "linear2"):
        with pytest.raises(ModelError, match="reads its weight"):
            bottleneck(Tokens(encoder_layer()), layers=layers)
