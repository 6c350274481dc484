import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tlcourse as tl
from tlcourse.errors import CommandError, DataError
from tlcourse.methods import (
    contrastive,
    cosine_loss,
    draw_pairs,
    head_apart,
    supervised_contrastive,
)
from tlcourse.session import Batch


def rows(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_supervised_loss_is_the_papers_double_sum():
    features, y, temperature = rows(9, 4), [0, 0, 0, 1, 1, 2, 2, 2, 3], 0.3
    z = [(row / row.norm()).tolist() for row in features]

    def similar(i, j):
        return math.exp(sum(a * b for a, b in zip(z[i], z[j], strict=True)) / temperature)

    anchors = []
    for i in range(9):
        companions = [j for j in range(9) if j != i and y[j] == y[i]]
        others = sum(similar(i, a) for a in range(9) if a != i)
        if companions:
            each = [-math.log(similar(i, p) / others) for p in companions]
            anchors.append(sum(each) / len(companions))
    assert len(anchors) == 8  # class 3 has one member
    ours = supervised_contrastive(features, torch.tensor(y), temperature=temperature)
    assert ours.item() == pytest.approx(sum(anchors) / 8, rel=1e-5)


def test_the_supervised_loss_has_a_gradient_and_a_floor():
    features, y = rows(6, 4).requires_grad_(), torch.tensor([0, 0, 1, 1, 2, 2])
    supervised_contrastive(features, y).backward()
    assert features.grad.isfinite().all() and features.grad.abs().sum() > 0
    ideal = torch.eye(4)[[0, 0, 1, 1, 2, 2]]  # classes at right angles, companions the same
    floor = -math.log(math.e**10 / (math.e**10 + 4))
    assert supervised_contrastive(ideal, y).item() == pytest.approx(floor, rel=1e-3)
    assert supervised_contrastive(features, torch.arange(6)).item() == 0.0


def test_the_cosine_loss_is_torchs_cosine_and_mse():
    left, right, same = rows(8, 5).float(), rows(8, 5, 1).float(), torch.arange(8) % 2 == 0
    twin = F.mse_loss(F.cosine_similarity(left, right), same.float())
    assert cosine_loss(left, 3 * right, same).item() == pytest.approx(twin.item(), rel=1e-5)
    assert cosine_loss(left, left, torch.ones(8, dtype=bool)).item() == pytest.approx(0, abs=1e-12)


def test_pairs_are_what_they_say():
    y = torch.tensor([0] * 4 + [1] * 4 + [2])
    seen = set()
    for step in range(300):
        left, right, same = draw_pairs(y, 6, step=step)
        assert (left != right).all()
        assert torch.equal(y[left] == y[right], same) and same.sum() == 3
        seen |= {tuple(sorted(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    assert len(seen) == 36  # every pair of nine has its turn


def test_pairs_are_a_pure_function_of_seed_and_step():
    y = torch.arange(40) % 4

    def drawn(**key):
        return torch.stack(draw_pairs(y, 8, **key)[:2]).tolist()

    assert drawn(seed=1, step=5) == drawn(seed=1, step=5)
    assert drawn(seed=1, step=5) != drawn(seed=1, step=6)
    assert drawn(seed=1, step=5) != drawn(seed=2, step=5)


@pytest.mark.parametrize("loss", ["cosine", "supervised"])
def test_the_term_is_the_loss_of_its_pairs(model, digits, loss):
    model.eval()
    batch = Batch(digits.train.x[:4].float() / 255, digits.train.y[:4], torch.zeros(4, 10), 11)
    value = contrastive(digits.train, loss, pairs=10, seed=4)(model, batch)
    left, right, same = draw_pairs(digits.train.y, 10, seed=4, step=11)
    x = digits.train.x.float() / 255
    with torch.no_grad():
        if loss == "cosine":
            expected = cosine_loss(model.features(x[left]), model.features(x[right]), same)
        else:
            rows = torch.cat([left, right]).unique()
            expected = supervised_contrastive(model.features(x[rows]), digits.train.y[rows])
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)


def test_contrastive_training_separates_and_replays(model, digits):
    start = deepcopy(model)
    terms = {"pairs": contrastive(digits.train)}
    run = tl.Session(head_apart(model), digits, steps=40, lr=1e-2, terms=terms)
    run.run()

    def value(model):
        held = contrastive(digits.test, pairs=200)
        batch = Batch(digits.train.x[:2].float() / 255, digits.train.y[:2], torch.zeros(2, 10), 0)
        with torch.no_grad():
            return held(model.eval(), batch).item()

    assert value(model) < 0.5 * value(deepcopy(start))  # on pairs of digits that it never saw
    terms = {"pairs": contrastive(digits.train)}
    assert tl.replay(run.record, model=head_apart(start), data=digits, terms=terms).exact


def test_without_companions_nothing_can_be_learned(digits):
    with pytest.raises(DataError, match=r"two examples of one.*prototypes"):
        draw_pairs(torch.arange(5), 4)
    with pytest.raises(DataError, match="two classes or more"):
        contrastive(replace(digits.train, y=torch.zeros(100, dtype=torch.int64)))
    with pytest.raises(CommandError, match="No contrastive loss 'triplet'"):
        contrastive(digits.train, "triplet")
    with pytest.raises(CommandError, match="temperature is a .*number .*, not 0"):
        supervised_contrastive(torch.zeros(2, 2), torch.zeros(2), temperature=0)
