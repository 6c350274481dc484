import copy

import pytest
import torch

from tlcourse.errors import CommandError, ModelError
from tlcourse.methods import batchnorm_stats, drift, fingerprint


def forward(model):
    with torch.no_grad():  # no gradient anywhere: "everything is frozen"
        model(torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(1)))


def test_train_mode_moves_a_frozen_backbone(model):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    before, weights = batchnorm_stats(model), [p.clone() for p in model.parameters()]
    forward(model.train())
    assert drift(before, batchnorm_stats(model)) > 0.01
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_eval_mode_moves_nothing(model):
    before, bits = batchnorm_stats(model), fingerprint(model)
    forward(model.eval())
    assert drift(before, batchnorm_stats(model)) == 0.0
    assert fingerprint(model) == bits


def test_statistics_are_copies_of_every_batchnorm(model):
    stats = batchnorm_stats(model)
    assert sorted(stats) == [
        f"{layer}.1.running_{which}" for layer in ("deep", "stem") for which in ("mean", "var")
    ]
    stats["stem.1.running_mean"].fill_(9)
    assert model.stem[1].running_mean.max() == 0


def test_drift_is_relative_to_the_length_before():
    before = {"mean": torch.tensor([3.0, 0.0]), "var": torch.tensor([4.0])}
    after = {"mean": torch.tensor([3.0, 0.3]), "var": torch.tensor([4.4])}
    assert drift(before, after) == pytest.approx(0.5 / 5)
    with pytest.raises(ModelError, match="'var'"):
        drift(before, {"mean": after["mean"]})


def test_a_fingerprint_notices_one_bit(model):
    twin = copy.deepcopy(model)
    assert fingerprint(model) == fingerprint(twin)
    with torch.no_grad():
        twin.deep[0].weight.view(-1)[3] = torch.nextafter(
            twin.deep[0].weight.view(-1)[3], torch.tensor(9.0)
        )
    assert fingerprint(model) != fingerprint(twin)
    assert fingerprint(model, "deep") != fingerprint(twin, "deep")
    assert fingerprint(model, "backbone") != fingerprint(twin, "backbone")
    assert fingerprint(model, "stem") == fingerprint(twin, "stem")
    assert fingerprint(model, "head") == fingerprint(twin, "head")


def test_a_fingerprint_notices_a_buffer(model):
    before = fingerprint(model, "stem")
    model.stem[1].running_var[0] += 1
    assert fingerprint(model, "stem") != before


def test_an_unknown_group_is_answered_with_the_choices(model):
    with pytest.raises(CommandError, match="'body'.*stem, deep, head"):
        fingerprint(model, "body")
