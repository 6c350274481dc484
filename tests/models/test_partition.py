"""Into which groups models of any shape are divided; the same ones in a `Session` and under `steer`."""

import pytest
import timm
import torch
import transformers as hf
from torch import nn

import tlcourse as tl
from tests.session.conftest import make_numbers, mlp
from tests.session.shapes import BertShaped
from tlcourse.errors import ModelError
from tlcourse.models import groups_of, load_model
from tlcourse.models.partition import divide, paths_of

SMALL = dict(hidden_size=16, num_hidden_layers=6, num_attention_heads=2, intermediate_size=32)
LAYERS = ["layer.0", "layer.1-2", "layer.3", "layer.4-5"]
VIT_LAYERS = [name.replace("layer", "layers") for name in LAYERS]
BLOCKS = ["blocks.0-2", "blocks.3-5", "blocks.6-8", "blocks.9-11"]


@pytest.fixture
def numbers():
    return make_numbers()


class ResNetShaped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        for n in range(1, 5):
            block = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3))
            setattr(self, f"layer{n}", block)
        self.fc = nn.Linear(8, 2)


class VitShaped(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.patch_embed = nn.Conv2d(3, 8, 4)
        self.blocks = nn.Sequential(*[nn.Linear(8, 8) for _ in range(12)])
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 2)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.body = nn.Embedding(20, 4), nn.Linear(4, 4)
        self.out = nn.Linear(4, 20)
        self.out.weight = self.embed.weight


class TwoOfAKind(nn.Module):
    """Both halves have children of the same names."""

    def __init__(self):
        super().__init__()
        self.left = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8)})
        self.right = nn.ModuleDict({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8)})


def bert():
    return hf.BertForSequenceClassification(hf.BertConfig(vocab_size=50, **SMALL))


def vit():
    return hf.ViTForImageClassification(hf.ViTConfig(image_size=32, patch_size=8, **SMALL))


SHAPES = [
    (BertShaped, ["embeddings", *LAYERS, "pooler", "head"]),
    (bert, ["embeddings", *LAYERS, "pooler", "classifier"]),
    (vit, ["embeddings", *VIT_LAYERS, "layernorm", "classifier"]),
    (VitShaped, ["rest", "patch_embed", *BLOCKS, "norm", "head"]),
    (
        lambda: timm.create_model("vit_tiny_patch16_224", depth=12),
        ["rest", "patch_embed", *BLOCKS, "norm", "head"],
    ),
    (ResNetShaped, ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]),
    (
        lambda: timm.create_model("resnet10t"),
        ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"],
    ),
    (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), ["0", "2"]),
    (lambda: nn.Linear(3, 2), ["rest"]),
    (mlp, ["body", "head"]),
    (Tied, ["embed", "body", "out"]),
    (TwoOfAKind, ["a", "b", "right.a", "right.b"]),
    (
        lambda: load_model("pocket-resnet", pretrained=False, classes=2),
        ["stem", "stage1", "stage2", "stage3", "stage4", "head"],
    ),
]


@pytest.mark.parametrize(("make", "names"), SHAPES, ids=lambda v: getattr(v, "__name__", ""))
def test_one_rule_for_session_and_steer(make, names):
    model = make()
    groups, parts = groups_of(model), divide(model)
    assert list(groups) == list(parts) == names
    held = {name: list(module.parameters()) for name, module in groups.items()}
    for name, part in parts.items():
        assert same(held[name], part.own)
    everything = [id(p) for own in held.values() for p in own]
    assert sorted(everything) == sorted({id(p) for p in model.parameters()})


@pytest.mark.parametrize(("make", "names"), SHAPES, ids=lambda v: getattr(v, "__name__", ""))
def test_paths_make_the_same_groups_again(make, names):
    model = make()
    groups = groups_of(model)
    again = groups_of(model, paths_of(model, groups))
    assert list(again) == names
    for name, module in groups.items():
        assert same(module.parameters(), again[name].parameters())


def test_a_session_and_a_loop_of_ones_own_show_the_same_groups(numbers):
    model = BertShaped()
    steering = tl.steer([], model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    run = tl.Session(BertShaped(), numbers)
    assert [(g.name, g.parameters) for g in run.groups] == [
        (g.name, g.parameters) for g in steering.groups
    ]


def test_collective_names_hold_for_whatever_the_groups_are_called(numbers):
    run = tl.Session(BertShaped(), numbers, freeze="backbone", lr={"backbone": 1e-3, "head": 1})
    assert [g.name for g in run.groups if g.trainable] == ["head"]
    run.at(0, tl.Unfreeze("layer"))
    run.at(0, tl.Freeze("head"))
    run.at(1, tl.Stop())
    run.run()
    assert [g.name for g in run.groups if g.trainable] == LAYERS
    groups = {"all but it": "backbone", "classifier": "head"}
    run = tl.Session(BertShaped(), numbers, freeze="head", groups=groups)
    assert [(g.name, g.trainable) for g in run.groups] == [
        ("all but it", True), ("classifier", False),
    ]  # fmt: skip


def test_what_does_not_exist_is_refused_with_what_does():
    with pytest.raises(ModelError, match="no part 'encoder.layer'. Its own are: backbone, head"):
        groups_of(BertShaped(), {"low": "encoder.layer"})
    with pytest.raises(ModelError, match="has no parameters"):
        groups_of(nn.ReLU())


def same(one, other):
    return [id(p) for p in one] == [id(p) for p in other]
