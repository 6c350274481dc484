"""What holds for every model that `load_model` can make."""

import json

import pytest
import torch
from torch import nn

from tlcourse import load_model
from tlcourse.errors import ModelError
from tlcourse.models import groups_of, names

CLASSES = ("cat", "dog", "bird")
TEXTS = ["the card was stolen", "a cake"]
STAGES = ["stem", "stage1", "stage2", "stage3", "stage4"]
public = pytest.mark.public

# name, pretrained, groups before the head, width of the features
EVERY = [
    pytest.param("pocket-glyphs", True, STAGES, 128),
    pytest.param("pocket-glyphs", False, STAGES, 128),
    pytest.param("pocket-resnet", True, STAGES, 320),
    pytest.param("pocket-resnet", False, STAGES, 320),
    pytest.param("pocket-vit", True, ["stem", *(f"block{n}" for n in range(1, 5)), "norm"], 192),
    pytest.param("pocket-vit", False, ["stem", *(f"block{n}" for n in range(1, 5)), "norm"], 192),
    pytest.param("mobilenetv1-025", True, STAGES, 256, marks=public),
    pytest.param("mobilenetv1-025", False, STAGES, 256),
    pytest.param("mobilenetv1-050", True, STAGES, 512, marks=public),
    pytest.param("mobilenetv1-050", False, STAGES, 512),
    pytest.param("mobilenetv2", True, STAGES, 1280, marks=public),
    pytest.param("mobilenetv2", False, STAGES, 1280),
    pytest.param("minilm", True, ["embeddings", *(f"layer{n}" for n in range(6))], 384),
    pytest.param("minilm", False, ["embeddings", *(f"layer{n}" for n in range(6))], 384),
    pytest.param("timm/resnet10t", False, STAGES, 512),
    pytest.param("timm/test_vit", False, ["stem", *(f"stage{n}" for n in range(1, 7))], 64),
    pytest.param("timm/test_convnext", False, STAGES, 64),
    pytest.param("timm/test_efficientnet", False, [*STAGES, "stage5"], 256),
]
models = pytest.mark.parametrize(("name", "pretrained", "groups", "width"), EVERY)


def example(name):
    if name == "minilm":
        return TEXTS
    size = 160 if "test_vit" in name else 64
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


@models
def test_groups_run_from_input_to_head_and_hold_every_parameter_once(
    name, pretrained, groups, width
):
    model = load_model(name, classes=CLASSES, pretrained=pretrained)
    found = groups_of(model)
    assert list(found) == [*groups, "head"]
    held = [id(p) for group in found.values() for p in group.parameters()]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert isinstance(found["head"], nn.Linear)


@models
def test_a_group_is_the_model_itself_not_a_copy(name, pretrained, groups, width):
    model = load_model(name, classes=CLASSES, pretrained=pretrained).eval()
    with torch.no_grad():
        before = model.features(example(name))
        for parameter in model.groups[groups[-1]].parameters():
            parameter.add_(0.05)
        after = model.features(example(name))
    assert not torch.allclose(before, after)
    model.groups[groups[0]].train()
    assert any(module.training for module in model.body.modules())


@models
def test_features_are_what_the_head_sees(name, pretrained, groups, width):
    model = load_model(name, classes=CLASSES, pretrained=pretrained).eval()
    with torch.inference_mode():
        features, logits = model.features(example(name)), model(example(name))
        assert features.shape == (2, width) and logits.shape == (2, len(CLASSES))
        assert torch.allclose(model.head(features), logits, atol=1e-5)
    assert logits.isfinite().all() and features.std(0).max() > 0


@models
def test_the_seed_decides_and_the_global_generator_is_left_alone(name, pretrained, groups, width):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = load_model(name, classes=CLASSES, pretrained=pretrained, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)  # whatever happens in between
    again = load_model(name, classes=CLASSES, pretrained=pretrained, seed=1)
    other = load_model(name, classes=CLASSES, pretrained=pretrained, seed=2)
    assert equal(first.state_dict(), again.state_dict())
    assert not torch.equal(first.head.weight, other.head.weight)
    assert equal(first.body.state_dict(), other.body.state_dict()) == pretrained


@models
def test_the_recipe_is_json_and_the_classes_are_kept(name, pretrained, groups, width):
    model = load_model(name, classes=CLASSES, pretrained=pretrained, seed=3)
    assert model.classes == CLASSES and model.training
    assert json.loads(json.dumps(model.recipe)) == {
        "name": name, "classes": list(CLASSES), "pretrained": pretrained, "seed": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["pocket-resnet", "minilm", pytest.param("mobilenetv2", marks=public)]
)
def test_pretrained_or_not_is_the_same_architecture(name):
    ready, fresh = (load_model(name, classes=4, pretrained=p) for p in (True, False))
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (ready, fresh)]
    assert shapes[0] == shapes[1]
    assert not equal(ready.body.state_dict(), fresh.body.state_dict())
    assert equal(ready.head.state_dict(), fresh.head.state_dict())
    assert fresh.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize(("height", "width"), [(32, 32), (47, 80)])
@pytest.mark.parametrize("name", ["pocket-resnet", "mobilenetv2"])
def test_images_of_any_size_from_32(name, height, width):
    model = load_model(name, classes=2, pretrained=False).eval()
    assert model(torch.rand(1, 3, height, width)).shape == (1, 2)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "mobilenetv3"}, r"No model 'mobilenetv3'\. Did you mean 'mobilenetv2'\?.*minilm"),
        ({"name": "resnet50"}, r"No model 'resnet50'\. Did you mean 'timm/resnet50"),
        ({"name": None}, "No model None"),
        ({"name": "timm/resnet10x"}, "timm has no model 'resnet10x'"),
        ({"name": "timm/resnet10t"}, "no card here.*timm/resnet50.*tlcourse cards pin timm/resnet10t"),
        ({"name": "hf/google/vit"}, "'hf/google/vit' has no card here.*hf/dinov2-small"),
        ({"name": "minilm", "classes": "imagenet"}, "only the pre-trained mobilenetv2.*not 'minilm'"),
        ({"name": "minilm", "classes": "cat"}, "'cat' is one string"),
        ({"name": "minilm", "classes": 1}, "two or more"),
        ({"name": "minilm", "classes": 1.5}, "classes=1.5 is neither"),
        ({"name": "minilm", "classes": ["a", "b", "a"]}, "'a' more than once"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_with_the_choices(wrong, sentence):
    with pytest.raises(ModelError, match=sentence):
        load_model(**{"classes": 3, **wrong})


def test_every_name_is_tested_here():
    assert set(names()) == {str(p.values[0]) for p in EVERY if "/" not in p.values[0]}


def test_bytes_instead_of_floats_are_refused():
    model = load_model("pocket-resnet", classes=2, pretrained=False)
    with pytest.raises(ModelError, match=r"torch.uint8.*x.float\(\) / 255"):
        model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
