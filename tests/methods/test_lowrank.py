"""Few directions and four bits: against matrices of known rank, and the levels that are published."""

import copy

import pytest
import torch
from torch import nn

from tlcourse.errors import ModelError
from tlcourse.methods.adapters.lowrank import BLOCK, directions, four_bits, held_by, nf4, rounded

# Dettmers et al. 2023, "QLoRA", appendix E
PUBLISHED = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
]  # fmt: skip


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def model():
    made = nn.Sequential()
    made.add_module("query", nn.Linear(32, 32))
    made.add_module("other", nn.Linear(32, 32))
    made.add_module("head", nn.Linear(32, 3))
    return made


def test_a_change_of_rank_two_is_held_by_two_directions():
    before = model()
    after = copy.deepcopy(before)
    after.query.weight.data += draw(32, 2) @ draw(2, 32)
    (held,) = directions(before, after, layers="query,other", kept=(1, 2, 32))  # the other stayed
    assert held[1] < 0.999 and held[2] == pytest.approx(1) == held[32]


def test_directions_without_favourites_hold_their_share():
    assert held_by(torch.eye(64), (1, 8, 64)) == pytest.approx({1: 1 / 64, 8: 1 / 8, 64: 1})


def test_other_models_and_layers_are_refused():
    with pytest.raises(ModelError, match="different models"):
        directions(model(), model().query)
    with pytest.raises(ModelError, match="ends in key"):
        directions(model(), model(), layers="key")


def test_the_levels_are_those_that_are_published():
    assert nf4().tolist() == pytest.approx(PUBLISHED, abs=1e-6)


def test_each_number_becomes_the_nearest_level_of_its_block():
    weight = draw(5, 26)  # 130 numbers: two blocks, and a last one that is not full
    found = rounded(weight)
    for block, was in zip(
        found.reshape(-1).split(BLOCK), weight.reshape(-1).split(BLOCK), strict=True
    ):
        levels = nf4() * was.abs().max()
        nearest = levels[(was[:, None] - levels).abs().argmin(1)]
        assert torch.allclose(block, nearest)
    assert found.shape == weight.shape and not rounded(torch.zeros(2, 3)).any()


def test_the_linear_layers_are_rounded_and_the_head_is_not():
    before = model()
    after = four_bits(before)
    assert torch.equal(after.head.weight, before.head.weight)
    assert torch.equal(after.query.weight, rounded(before.query.weight.data))
    assert not torch.equal(after.query.weight, before.query.weight)
