import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tlcourse as tl
from tlcourse.data import Data, Split
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods import (
    adversarial,
    domain_distance,
    fingerprint,
    reversal,
    reverse_gradient,
    with_domain,
)
from tlcourse.methods.extra_batches import ExtraBatches
from tlcourse.models.classifier import new_head
from tlcourse.session import Batch, StepDone


@pytest.fixture
def target(digits):
    return replace(digits.valid, x=255 - digits.valid.x)


@pytest.fixture
def batch(digits):
    x, y = digits.train.x[:16].float() / 255, digits.train.y[:16]
    return Batch(x, y, torch.zeros(16, 10), 30)


@pytest.mark.parametrize("strength", [0.0, 0.3, 2.0])
def test_a_reversed_gradient_is_exactly_minus_strength_times_the_gradient(strength):
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def gradient(through):
        return torch.autograd.grad((through(x).sin() * x.detach()).sum(), x)[0]

    assert torch.equal(reverse_gradient(x, strength), x)
    plain = gradient(lambda x: x)
    assert torch.equal(gradient(lambda x: reverse_gradient(x, strength)), -strength * plain)


def test_the_strength_grows_as_in_the_paper():
    assert reversal(0.0) == 0.0
    assert reversal(0.1) == pytest.approx(math.tanh(0.5))  # 2σ(z) − 1 = tanh(z / 2)
    assert reversal(1.0) == pytest.approx(math.tanh(5.0))


def test_a_model_gains_a_group_and_stays_the_same(model, digits):
    wrapped = with_domain(model)
    assert list(wrapped.groups) == ["stem", "deep", "domain", "head"]
    owned = [p for group in wrapped.groups.values() for p in group.parameters()]
    assert {id(p) for p in owned} == {id(p) for p in wrapped.parameters()} and len(owned) == len(
        list(wrapped.parameters())
    )
    x = digits.test.x[:20].float() / 255
    wrapped.eval()
    assert torch.equal(wrapped(x), model(x)) and torch.equal(wrapped.features(x), model.features(x))
    assert wrapped.model is model and wrapped.head is model.head
    assert list(deepcopy(wrapped).groups) == list(wrapped.groups)


def test_the_discriminator_is_drawn_by_its_seed_alone(model):
    state = torch.get_rng_state()
    first, same, other = (with_domain(model, seed=seed).domain for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_the_term_gives_both_sides_the_gradients_of_two_plain_losses(model, target, batch):
    """The discriminator's gradient is that of its loss; the features' is −λ times it."""
    wrapped = with_domain(model).eval()
    term = adversarial(target, steps=100)
    value = term(wrapped, batch)
    body, judge = list(model.deep.parameters()), list(wrapped.domain.parameters())
    ours = torch.autograd.grad(value, [*body, *judge])

    other = ExtraBatches(target).matching(batch)[0]
    logits = wrapped.domain(model.features(torch.cat([batch.x, other]))).squeeze(1)
    loss = (F.softplus(logits[:16]).mean() + F.softplus(-logits[16:]).mean()) / 2
    plain = torch.autograd.grad(loss, [*body, *judge])
    assert value.item() == pytest.approx(loss.item(), rel=1e-6)
    strength = math.tanh(5 * 0.3)
    for got, g in zip(ours[: len(body)], plain[: len(body)], strict=True):
        torch.testing.assert_close(got, -strength * g, rtol=1e-4, atol=1e-7)
    for got, g in zip(ours[len(body) :], plain[len(body) :], strict=True):
        torch.testing.assert_close(got, g, rtol=1e-4, atol=1e-7)


def test_a_run_trains_the_discriminator_and_replays(model, digits, target):
    twin, before = deepcopy(model), fingerprint(with_domain(model), "domain")
    wrapped, terms = with_domain(model), {"domain": adversarial(target, steps=10)}
    run = tl.Session(wrapped, digits, steps=10, terms=terms, weights={"domain": 0.0})
    run.at(4, tl.SetWeight("domain", 1.0))
    run.run()
    assert fingerprint(wrapped, "domain") != before
    values = [e.terms["domain"] for e in run.events if isinstance(e, StepDone) and e.terms]
    assert len(values) == 6 and values[0] == pytest.approx(math.log(2), abs=0.2)
    terms = {"domain": adversarial(target, steps=10)}
    assert tl.replay(run.record, model=with_domain(twin), data=digits, terms=terms).exact


def two_domains(shift):
    """Numbers whose first half tells the class and whose second half tells the domain alone."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 8, generator=generator), torch.arange(300) % 2
    x[:, :4] += (2 * y - 1)[:, None]
    x[:, 4:] += shift
    ids = tuple(str(n) for n in range(300))
    parts = (Split(x[n::3], y[n::3], ids[n::3]) for n in range(3))
    return Data("numbers", "numbers", *parts, classes=("less", "more"))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = new_head(8, 4, 0), new_head(4, 2, 0)
        self.features = self.body
        self.forward = lambda x: self.head(self.body(x))

    @property
    def groups(self):
        return {"body": self.body, "head": self.head}


def test_the_adversary_takes_out_what_tells_the_domain_and_nothing_else():
    source, target = two_domains(0.0), two_domains(2.0)
    apart, right = {}, {}
    for weight in (0.0, 1.0):
        wrapped, terms = with_domain(Linear(), hidden=16), {"domain": adversarial(target.train)}
        how = {"lr": {"body": 1e-3, "domain": 1e-2, "head": 1e-2}, "steps": 400}
        tl.Session(wrapped, source, terms=terms, weights={"domain": weight}, **how).run()
        with torch.no_grad():
            clouds = [wrapped.features(data.test.x) for data in (source, target)]
            right[weight] = (wrapped(target.test.x).argmax(1) == target.test.y).float().mean()
        apart[weight] = domain_distance(*clouds)
    assert apart[0.0] > 1.3 and apart[1.0] < 0.5
    assert right[1.0] > right[0.0] + 0.05


def test_domain_distance_is_two_apart_and_zero_together():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(400, 5, generator=generator), torch.randn(1200, 5, generator=generator)
    assert domain_distance(a, a[:300] + 20) == 2.0
    assert abs(domain_distance(a, b)) < 0.3  # however unequal in number
    # Two unit Gaussians 2 apart: the best error is Φ(−1) = 0.1587.
    shifted = b + torch.tensor([2.0, 0, 0, 0, 0])
    assert domain_distance(b, shifted) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.12)


def test_what_is_missing_is_said(model, target, batch):
    with pytest.raises(ModelError, match="with_domain"):
        adversarial(target)(model, batch)
    with pytest.raises(ModelError, match="already"):
        with_domain(with_domain(model))
    with pytest.raises(ModelError, match="width=D"):
        headless = nn.Sequential(nn.Linear(2, 2))
        headless.features = lambda x: x
        with_domain(headless)
    with pytest.raises(CommandError, match="hidden is a .*number .*, not 0"):
        with_domain(model, hidden=0)
    with pytest.raises(CommandError, match="steps is a .*number .*, not 0"):
        adversarial(target, steps=0)
    with pytest.raises(DataError, match="at least 4"):
        domain_distance(torch.zeros(3, 2), torch.zeros(9, 2))
