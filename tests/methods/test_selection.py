import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tlcourse.data import Split
from tlcourse.errors import CommandError, DataError
from tlcourse.methods import (
    atc,
    dev,
    effective_size,
    entropy,
    importance_weighted,
    importance_weights,
    information,
    model_selection_scores,
)


def said(confidence, y=0, classes=2):
    """Rows that are so confident of class y, the rest shared equally."""
    confidence = np.asarray(confidence, dtype=float)
    p = np.repeat(((1 - confidence) / (classes - 1))[:, None], classes, axis=1)
    p[np.arange(len(p)), y] = confidence
    return p


def test_entropy_is_scipys():
    from scipy.stats import entropy as scipys

    p = np.random.default_rng(0).dirichlet([0.5] * 6, size=30)
    assert entropy(p) == pytest.approx(scipys(p, axis=1).mean())
    assert entropy(torch.full((4, 8), 1 / 8)) == pytest.approx(math.log(8))
    assert entropy(torch.eye(3)) == 0.0


def test_information_wants_certainty_and_variety():
    certain, same, unsure = np.eye(4), np.eye(4)[[1] * 4], np.full((4, 4), 0.25)
    assert information(certain) == pytest.approx(math.log(4))
    assert information(same) == information(unsure) == 0.0
    assert entropy(same) == entropy(certain)  # which is why entropy alone can be fooled


def test_information_is_that_of_a_noisy_channel():
    p = said([0.9] * 10, y=[0, 1] * 5)  # a symmetric channel, both inputs equally often
    noise = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert information(p) == pytest.approx(math.log(2) - noise)


def test_atc_of_the_validation_set_itself_is_its_accuracy():
    rng = np.random.default_rng(1)
    p = rng.dirichlet([0.7] * 5, size=200)
    y = np.where(rng.random(200) < 0.7, p.argmax(1), rng.integers(0, 5, 200))
    right = (p.argmax(1) == y).mean()
    assert 0.5 < right < 0.9
    for score in ("confidence", "entropy"):
        assert atc(p, y, p, score=score) == pytest.approx(right)


def test_atc_counts_what_is_above_the_threshold_by_hand():
    valid = said([0.95, 0.9, 0.8, 0.7, 0.6])
    y = [0, 0, 0, 1, 0]  # one of five is wrong: the threshold is the second lowest, 0.7
    assert atc(valid, y, said([0.99, 0.75, 0.7, 0.69, 0.55, 0.51])) == 3 / 6
    assert atc(valid, [0] * 5, said([0.99, 0.55])) == 1 / 2  # nothing wrong: the lowest, 0.6
    assert atc(valid, [1] * 5, valid) == 0.0


def test_atc_is_right_where_confidence_keeps_its_meaning():
    """Right with exactly the probability that it says, in both; the target is harder."""
    rng = np.random.default_rng(2)

    def draw(low, n=20_000):
        confidence = rng.uniform(low, 1.0, n)
        return said(confidence), (rng.random(n) > confidence).astype(int)

    (valid, y), (target, truth) = draw(0.8), draw(0.6)
    assert (truth == 0).mean() == pytest.approx(0.8, abs=0.01)
    found = atc(valid, y, target)
    assert found < 0.9 < (y == 0).mean() + 0.01  # it notices that the target is harder
    # 10 % of the source lie below 0.82; above that there are 45 % of the target.
    assert found == pytest.approx(0.45, abs=0.02)


def gaussians(n, shift, seed):
    return np.random.default_rng(seed).normal(shift, 1.0, (n, 1))


def test_weights_are_the_ratio_of_the_densities():
    source, target = gaussians(4000, 0.0, 0), gaussians(8000, 1.0, 1)
    at = np.linspace(-1.5, 2.5, 9)[:, None]
    exact = np.exp(at[:, 0] - 0.5)  # N(1, 1) over N(0, 1)
    np.testing.assert_allclose(importance_weights(source, target, at), exact, rtol=0.15)
    assert importance_weights(source, target).mean() == pytest.approx(1.0, abs=0.05)


def test_no_shift_gives_equal_weights():
    weights = importance_weights(gaussians(4000, 0.0, 0), gaussians(4000, 0.0, 1))
    assert effective_size(weights) > 3900
    assert effective_size([1.0] * 7) == pytest.approx(7) and effective_size([1.0, 0, 0]) == 1.0


def test_weighted_validation_estimates_the_targets_risk_from_the_source():
    """The loss is x²: 1 on average in the source, 2 in the target, where x is N(1, 1)."""
    x = gaussians(20_000, 0.0, 3)[:, 0]
    exact = np.exp(x - 0.5)
    assert np.mean(x**2) == pytest.approx(1.0, abs=0.05)
    assert importance_weighted(x**2, exact) == pytest.approx(2.0, abs=0.15)
    assert dev(x**2, exact) == pytest.approx(2.0, abs=0.15)


def test_dev_varies_less_than_plain_weighting():
    plain, corrected = [], []
    for seed in range(100):
        x = gaussians(200, 0.0, seed)[:, 0]
        weights = np.exp(x - 0.5)
        plain.append(importance_weighted(x**2, weights))
        corrected.append(dev(x**2, weights))
    assert np.std(corrected) < 0.7 * np.std(plain)
    assert np.mean(corrected) == pytest.approx(2.0, abs=0.25)


def test_of_a_constant_loss_dev_is_that_constant_exactly():
    weights = np.random.default_rng(0).gamma(1.0, 2.0, 50)
    assert dev([0.3] * 50, weights) == pytest.approx(0.3, rel=1e-12)
    assert importance_weighted([0.3] * 50, weights) == pytest.approx(0.3 * weights.mean())
    assert dev([1.0, 2.0, 6.0], [1.0, 1.0, 1.0]) == pytest.approx(3.0)  # nothing to correct


def test_what_cannot_be_judged_is_named():
    with pytest.raises(DataError, match="softmax"):
        entropy([[2.0, -1.0]])
    with pytest.raises(CommandError, match="No score 'margin'"):
        atc(np.eye(2), [0, 1], np.eye(2), score="margin")
    with pytest.raises(DataError, match="2 predictions need as many labels"):
        atc(np.eye(2), [0], np.eye(2))
    with pytest.raises(DataError, match="1, 2 and 1 features"):
        importance_weights(np.zeros((3, 1)), np.zeros((3, 2)))
    with pytest.raises(DataError, match="2 losses and 3 weights"):
        dev([1.0, 2.0], [1.0, 2.0, 3.0])


class Sorter(torch.nn.Module):
    """Two classes by the sign of the first column; its features are the columns."""

    def __init__(self, sharp=4.0):
        super().__init__()
        self.head = torch.nn.Linear(2, 2, bias=False)
        self.head.weight.data = torch.tensor([[-sharp, 0.0], [sharp, 0.0]])

    def features(self, x):
        return x

    def forward(self, x):
        return self.head(self.features(x))


def test_the_judges_say_what_each_says_alone_and_read_no_label_of_the_target():
    draw = torch.Generator().manual_seed(0)

    def split(n, shift=0.0):
        x = torch.randn(n, 2, generator=draw) + torch.tensor([shift, 0.0])
        y = (x[:, 0] + 0.3 * torch.randn(n, generator=draw) > 0).long()
        return Split(x, y, ids=tuple(map(str, range(n))))

    train, valid, target = split(40), split(60), split(80, shift=1.0)
    model = Sorter().train()
    says = model_selection_scores(model, train, valid, target)
    here, there = (model(s.x).softmax(1).detach() for s in (valid, target))
    wrong = (here.argmax(1) != valid.y).double()
    weights = importance_weights(torch.cat([train.x, valid.x]), target.x, at=valid.x, C=0.01)
    assert says == pytest.approx(
        {
            "accuracy at home": 1 - wrong.mean().item(),
            "entropy": -entropy(there),
            "information": information(there),
            "ATC": atc(here, valid.y, there),
            "DEV": -dev(wrong, weights),
        }
    )
    assert model.training
    blind = replace(target, y=torch.zeros_like(target.y))
    assert model_selection_scores(model, train, valid, blind) == says
    assert model_selection_scores(Sorter(0.1), train, valid, target)["entropy"] < says["entropy"]
