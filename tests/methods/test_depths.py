"""Features by depth: the last group's are the model's own; an early one's can be had by hand."""

from dataclasses import replace

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.methods.feature_extraction.features import ready


@pytest.fixture(scope="module")
def digits():
    return tl.load_data("digits", labels_per_class=2, size=32)


def test_what_comes_out_of_the_last_group_is_what_the_head_sees(digits):
    model = tl.load_model("pocket-glyphs", classes=digits.classes)
    by_depth = tl.methods.features_by_depth(model, digits)
    assert list(by_depth) == [name for name in model.groups if name != "head"]
    last = list(by_depth.values())[-1]
    torch.testing.assert_close(last.test.x, tl.features(model, digits).test.x)
    assert (
        last.test.ids == digits.test.ids
        and len({d.train.x.shape[1] for d in by_depth.values()}) > 2
    )


def test_an_early_group_is_the_mean_of_its_maps(digits):
    model = tl.load_model("pocket-glyphs", classes=digits.classes).eval()
    by_depth = tl.methods.features_by_depth(model, digits, groups=["stem"])
    x = ready(digits.train.x[:4], model, torch.device("cpu"))
    with torch.no_grad():
        maps = model.groups["stem"](model.normalise(x) if hasattr(model, "normalise") else x)
    assert maps.ndim == 4 and by_depth["stem"].train.x.shape == (20, maps.shape[1])


def test_padding_counts_for_nothing():
    texts = tl.load_data("tickets", domain="shop", labels_per_class=1)
    few = replace(texts.valid, x=texts.valid.x[:16], y=texts.valid.y[:16], ids=texts.valid.ids[:16])
    texts = replace(texts, valid=few, test=few)
    model = tl.load_model("minilm", classes=texts.classes)
    by_depth = tl.methods.features_by_depth(model, texts)
    last = list(by_depth.values())[-1].valid.x
    said = tl.features(model, texts).valid.x
    cosine = torch.nn.functional.cosine_similarity(last, said)
    assert cosine.min() > 0.999


def test_the_model_is_left_as_it_was_and_a_wrong_group_is_said(digits):
    model = tl.load_model("pocket-glyphs", classes=digits.classes).train()
    tl.methods.features_by_depth(model, digits, groups=["stage2"])
    assert model.training and not any(m._forward_hooks for m in model.modules())
    with pytest.raises(CommandError, match="The groups are: stem"):
        tl.methods.features_by_depth(model, digits, groups=["middle"])
