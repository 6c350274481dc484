"""Rates by depth: the numbers of the papers, and timm's own to the last bit."""

import pytest
import timm
import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.methods.fine_tuning.rates import depths_of, discriminative, layer_decay
from tlcourse.models import groups_of, pocket_vit

LABELS = ("a", "b", "c")


def timms_rates(model, lr, decay):
    """id of every parameter → its rate, by timm's own function on timm's own model, head and all."""
    groups = param_groups_layer_decay(model, layer_decay=decay)
    return {id(p): lr * group["lr_scale"] for group in groups for p in group["params"]}


def test_each_group_learns_at_one_over_two_point_six_of_the_next(model):
    rates = discriminative(model, 2.6e-2)
    assert list(rates) == ["stem", "deep", "head"]
    assert rates == pytest.approx({"head": 2.6e-2, "deep": 1e-2, "stem": 1e-2 / 2.6})
    assert discriminative(model, 1e-3, factor=1) == dict.fromkeys(rates, 1e-3)


def test_counted_group_by_group_the_two_ways_agree(model):
    assert depths_of(model) == {"stem": 0, "deep": 1, "head": 2}
    assert layer_decay(model, 1e-3, decay=0.5) == discriminative(model, 1e-3, factor=2)


@pytest.mark.parametrize(("name", "depth"), [("test_vit", 8), ("pocket-vit", 6)])
def test_a_transformer_gets_timms_rates_exactly(name, depth):
    if name == "pocket-vit":
        model = pocket_vit.classifier(LABELS, seed=0, recipe={})
    else:
        model = tl.load_model(f"timm/{name}", classes=LABELS, pretrained=False)
    ours = layer_decay(model, 3e-4, decay=0.65)
    groups = groups_of(model).items()
    mine = {id(p): ours[group] for group, module in groups for p in module.parameters()}
    body = model.body
    inside = dict(body.named_parameters())
    body.head = torch.nn.Linear(model.head.in_features, len(LABELS))  # as timm would have it
    theirs = timms_rates(body, 3e-4, 0.65)
    assert {key: mine[id(p)] for key, p in inside.items()} == {
        key: theirs[id(p)] for key, p in inside.items()
    }
    assert ours["head"] == theirs[id(body.head.weight)] == 3e-4
    assert len(set(theirs.values())) == depth


def test_a_resnet_gets_the_rates_of_timms_coarse_layers():
    model = tl.load_model("timm/resnet18", classes=LABELS, pretrained=False)
    ours = layer_decay(model, 1e-3, decay=0.75)
    whole = timm.create_model("resnet18", num_classes=3)
    fine = whole.group_matcher
    whole.group_matcher = lambda coarse: fine(coarse=True)  # all that timm's function lacks
    theirs = timms_rates(whole, 1e-3, 0.75)
    by_name = {name: theirs[id(p)] for name, p in whole.named_parameters()}
    ids = {id(p): name for name, p in model.body.named_parameters()}
    for group, module in groups_of(model).items():
        if group != "head":
            assert {by_name[ids[id(p)]] for p in module.parameters()} == {ours[group]}
    assert ours["head"] == by_name["fc.weight"] == 1e-3
    assert len(set(group_parameters(whole, fine(coarse=True), reverse=True).values())) == len(ours)


def test_a_session_trains_at_these_rates(model, digits):
    rates = layer_decay(model, 1e-3)
    run = tl.Session(model, digits, steps=1, lr=rates)
    assert {group.name: group.lr for group in run.groups} == rates


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda m: discriminative(m, 0), "above 0, not 0"),
        (lambda m: discriminative(m, True), "not True"),
        (lambda m: discriminative(m, 1e-3, factor=0.5), "from 1 on, not 0.5"),
        (lambda m: layer_decay(m, 1e-3, decay=1.5), "above 0 and up to 1, not 1.5"),
        (lambda m: layer_decay(m, 1e-3, decay=0), "not 0"),
    ],
)
def test_what_cannot_be_is_refused(model, ask, says):
    with pytest.raises(CommandError, match=says):
        ask(model)
