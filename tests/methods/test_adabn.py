from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

import tlcourse as tl
from tlcourse.errors import DataError, ModelError
from tlcourse.methods import (
    adapt_batchnorm,
    batchnorm_stats,
    drift,
    fingerprint,
    probabilities,
    restore_batchnorm,
)


@pytest.fixture
def dark(digits):
    """The test digits, with their brightness turned down and round."""
    return replace(digits.valid, x=255 - digits.valid.x // 2)


@pytest.fixture
def moved(model, digits):
    """The model after it has seen the source in train mode: statistics that are not the initial ones."""
    with torch.no_grad():
        for _ in range(3):
            model.train()(digits.train.x.float() / 255)
    return model.eval()


def one_big_batch(model, x):
    """The same model in float64 and train mode, whose momentum keeps nothing of what was."""
    twin = deepcopy(model).double().train()
    twin.deep[3].p = 0.0
    for layer in (twin.stem[1], twin.deep[1]):
        layer.momentum = 1.0
    sizes = []
    for layer in (twin.stem[1], twin.deep[1]):
        layer.register_forward_hook(lambda _, args, out: sizes.append(out.numel() / out.shape[1]))
    with torch.no_grad():
        logits = twin(x.double() / 255)
    return logits, batchnorm_stats(twin), sizes


@pytest.mark.parametrize("batch_size", [None, 100, 30, 7])
def test_statistics_are_those_of_one_big_batch_however_it_is_cut(moved, dark, batch_size):
    logits, expected, (first, second) = one_big_batch(moved, dark.x)
    adapt_batchnorm(moved, dark, batch_size=batch_size)
    got = batchnorm_stats(moved)
    for name, value in got.items():
        n = first if name.startswith("stem") else second
        scale = (n - 1) / n if name.endswith("var") else 1.0  # PyTorch keeps the one over n − 1
        torch.testing.assert_close(value.double(), expected[name] * scale, rtol=1e-5, atol=1e-6)
    said = moved(dark.x.float() / 255).double()
    torch.testing.assert_close(said, logits, rtol=1e-4, atol=1e-5)


def test_two_lone_numbers_are_pooled_exactly():
    model = nn.BatchNorm1d(1).eval()
    adapt_batchnorm(model, torch.tensor([[1.0], [2.0], [6.0]]), batch_size=2)
    assert model.running_mean.item() == 3.0 and model.running_var.item() == pytest.approx(14 / 3)


def test_the_original_comes_back_bit_for_bit(moved, dark):
    whole, stats = fingerprint(moved), batchnorm_stats(moved)
    before = adapt_batchnorm(moved, dark)
    assert drift(before, batchnorm_stats(moved)) > 0.1
    assert fingerprint(moved) != whole
    restore_batchnorm(moved, before)
    assert fingerprint(moved) == whole and drift(stats, before) == 0.0


def test_nothing_but_statistics_changes(moved, dark):
    weights = [p.detach().clone() for p in moved.parameters()]
    moved.train()
    moved.deep[1].eval()
    flags, counts = [m.training for m in moved.modules()], moved.stem[1].num_batches_tracked.clone()
    adapt_batchnorm(moved, dark, batch_size=40)
    assert all(torch.equal(a, b) for a, b in zip(weights, moved.parameters(), strict=True))
    assert [m.training for m in moved.modules()] == flags
    assert moved.stem[1].num_batches_tracked == counts
    assert not any(m._forward_pre_hooks for m in moved.modules())


def test_a_model_that_fails_half_way_keeps_its_statistics(moved, dark):
    moved.head = nn.Linear(3, 3)  # another width than the features': it fails behind BatchNorm
    whole = fingerprint(moved)
    with pytest.raises(RuntimeError):
        adapt_batchnorm(moved, dark)
    assert fingerprint(moved) == whole


def test_it_takes_back_a_change_of_brightness(model, digits):
    tl.Session(model, digits, steps=60, lr=1e-2).run()
    dimmed = replace(digits.test, x=(digits.test.x.float() * 0.25 + 150).to(torch.uint8))

    def right():
        return (probabilities(model, dimmed).argmax(1) == dimmed.y).double().mean().item()

    before = right()
    adapt_batchnorm(model, dimmed)
    assert right() > before + 0.1


def test_a_model_without_batchnorm_is_refused():
    layers = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    with pytest.raises(ModelError, match="no BatchNorm with running statistics.*LayerNorm"):
        adapt_batchnorm(layers, torch.zeros(3, 4))


def test_what_does_not_fit_changes_nothing(model):
    whole = fingerprint(model)
    with pytest.raises(DataError, match="two or more"):
        adapt_batchnorm(model, torch.zeros(1, 3, 32, 32))
    with pytest.raises(ModelError, match="another model's: 'deep.1.running_mean'"):
        stats = batchnorm_stats(model)
        del stats["deep.1.running_mean"]
        restore_batchnorm(model, stats)
    assert fingerprint(model) == whole
