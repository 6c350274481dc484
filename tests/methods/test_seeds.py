"""A seed is a whole number, Python's or numpy's, wherever one is taken; all else gets one sentence."""

import inspect
import json
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse import methods, plots
from tlcourse.data.render.surface.render import render
from tlcourse.data.sources import glyphs
from tlcourse.errors import TLCourseError

DOORS = {
    tl.load_data: lambda d, m, **s: tl.load_data("digits", labels_per_class=2, **s),
    tl.load_model: lambda d, m, **s: tl.load_model("pocket-resnet", classes=3, **s),
    tl.Session: lambda d, m, **s: tl.Session(m, d, steps=2, **s),
    tl.steer: lambda d, m, **s: tl.steer([], model=m, optimizer=sgd(m), **s),
    tl.probe: lambda d, m, **s: tl.probe(flat(d), kind="prototypes", **s),
    methods.adversarial: lambda d, m, **s: methods.adversarial(d.train, **s),
    methods.alignment: lambda d, m, **s: methods.alignment(d.train, **s),
    methods.bottleneck: lambda d, m, **s: methods.bottleneck(m, layers="head", **s),
    methods.contrastive: lambda d, m, **s: methods.contrastive(d.train, **s),
    methods.domain_distance: lambda d, m, **s: methods.domain_distance(
        flat(d).train.x, flat(d).valid.x, **s
    ),
    methods.draw_episode: lambda d, m, **s: methods.draw_episode(
        d.test.y, ways=2, shots=1, queries=1, **s
    ),
    methods.draw_pairs: lambda d, m, **s: methods.draw_pairs(d.train.y, 4, **s),
    methods.episode: lambda d, m, **s: methods.episode(d, **s),
    methods.episode_accuracies: lambda d, m, **s: methods.episode_accuracies(
        flat(d), episodes=1, **s
    ),
    methods.fisher_diagonal: lambda d, m, **s: methods.fisher_diagonal(
        m, half(d).train, samples=1, **s
    ),
    methods.fixmatch: lambda d, m, **s: methods.fixmatch(d.train, **s),
    methods.lora: lambda d, m, **s: methods.lora(m, **s),
    methods.keep_examples: lambda d, m, **s: methods.keep_examples(d, 1, **s),
    methods.mix: lambda d, m, **s: methods.mix(d, d, share=0.1, **s),
    methods.prefix: lambda d, m, **s: methods.prefix(tl.load_model("pocket-vit", classes=2), **s),
    methods.prototypical: lambda d, m, **s: methods.prototypical(d.train, shots=1, queries=1, **s),
    methods.rehearse: lambda d, m, **s: methods.rehearse(d, **s),
    methods.with_domain: lambda d, m, **s: methods.with_domain(m, width=64, **s),
    plots.feature_map: lambda d, m, **s: plots.feature_map(
        flat(d).train, d.classes, method="pca", **s
    ),
    methods.masked_words: lambda d, m, **s: methods.masked_words(words(), **s),
    methods.covered_loss: lambda d, m, **s: methods.covered_loss(
        tl.load_model("minilm", classes=2), words(), **s
    ),
    glyphs.draw: lambda d, m, **s: glyphs.draw("a", copies=1, **s),
    render: lambda d, m, **s: render("line-a", 0, 16, **s),
}
ELSEWHERE = {tl.steer_trainer}  # it needs a trainer; a `steer` is made all the same


def name_of(door):
    return door.__name__


def flat(data):
    """Pixels as features."""

    def rows(split):
        return replace(split, x=split.x.flatten(1).float())

    return replace(data, train=rows(data.train), valid=rows(data.valid), test=rows(data.test))


def half(data):
    return replace(data, train=replace(data.train, x=data.train.x.float() / 255))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def words():
    return tl.load_data("tickets", labels_per_class=1).train


def test_every_public_door_with_a_seed_stands_in_the_table():
    found = set()
    for module in (tl, methods, plots):
        for name in module.__all__:
            one = getattr(module, name)
            if callable(one) and not isinstance(one, ModuleType):
                found |= {one} if "seed" in parameters(one) else set()
    assert found - set(DOORS) == ELSEWHERE


def parameters(one):
    try:
        return inspect.signature(one).parameters
    except ValueError:  # some built-ins have none
        return {}


@pytest.mark.parametrize("door", DOORS, ids=name_of)
@pytest.mark.parametrize("seed", ["a", 1.0, True, None], ids=repr)
def test_what_is_no_whole_number_is_refused(digits, model, door, seed):
    with pytest.raises(TLCourseError, match=f"^seed is a whole number such as 0, not {seed!r}.$"):
        DOORS[door](digits, model, seed=seed)


UNFIT = (
    methods.bottleneck,
    methods.covered_loss,
)  # refuse this small model


@pytest.mark.parametrize("door", [door for door in DOORS if door not in UNFIT], ids=name_of)
def test_numpys_whole_numbers_are_taken(digits, model, door):
    DOORS[door](digits, model, seed=np.int64(7))


def test_a_seed_from_numpy_makes_the_same_and_json_can_hold_it():
    mine = tl.load_data("digits", labels_per_class=3, seed=5)
    numpys = tl.load_data("digits", labels_per_class=3, seed=np.arange(6)[5])
    assert mine.train.ids == numpys.train.ids
    assert json.dumps(numpys.recipe) == json.dumps(mine.recipe)
    first, again = methods.episode(mine, seed=5), methods.episode(mine, seed=np.uint8(5))
    assert first.test.ids == again.test.ids and json.dumps(again.recipe)
