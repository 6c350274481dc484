"""Models as people bring them: parts that never train, odd dtypes, and state that is no parameter."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tlcourse as tl
from tlcourse.session import Applied, Moved, Norms, Refused, Warned

from .conftest import mlp, of


class Odd(nn.Module):
    """Everything that a module can keep besides its parameters, and that changes while it trains."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 2)
        self.register_buffer("grows", torch.zeros(0))
        self.register_buffer("total", torch.zeros(1, dtype=torch.float64))
        self.shared = nn.Module()
        self.shared.register_buffer("same", self.total)
        self.register_buffer("none", None)
        self.calls, self.memory = 0, torch.zeros(2)

    def forward(self, x):
        x = F.relu(self.body(x))
        if self.training:
            self.calls += 1
            mean = x.detach().mean()
            self.grows = torch.cat([self.grows, mean[None]])
            self.total += mean
            self.memory = torch.cat([self.memory[-20:], mean[None].half()])
            if self.calls == 3:
                self.register_buffer("late", torch.ones(3))
                self.none = torch.ones(1)
            x = x + 0.1 * (self.memory.mean() + self.grows.mean() + self.calls % 3)
        return self.head(x)


def session(numbers, model=None, **options):
    return tl.Session(model or Odd(), numbers, steps=30, lr=1e-2, **options)


def state(run):
    model = run.model
    return {**model.state_dict(), "memory": model.memory, "calls": torch.tensor(model.calls)}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_rewind_brings_all_state_of_a_model_back(numbers):
    plain = session(numbers)
    plain.run()
    run = session(numbers)
    run.at(1, tl.Save("early"))
    run.at(12, tl.SetLR("body", 0.1))
    run.at(20, tl.Rewind("early"))
    run.run()
    assert not of(Refused, run.events)
    assert run.result.losses.tolist() == plain.result.losses.tolist()
    assert same(state(run), state(plain))
    assert tl.replay(run.record, model=Odd(), data=numbers).exact


def test_an_autosave_brings_it_back_too(numbers, tmp_path):
    plain = session(numbers)
    plain.run()
    run = session(numbers, autosave=tmp_path, autosave_s=0)
    run.at(17, tl.Stop())
    run.run()
    again = tl.resume(tmp_path, model=Odd(), data=numbers)
    again.send(tl.Branch("on"))
    result = again._outcome() if again.status == "finished" else again.run()
    assert result.losses.tolist() == plain.result.losses.tolist()
    assert same(state(again), state(plain))


# -- what cannot, or shall not, train ----------------------------------------------------------


def half_fixed():
    model = mlp()
    model.body = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 16), nn.ReLU())
    model.body[0].requires_grad_(False)
    return model


def test_what_came_fixed_stays_fixed(numbers):
    torch.manual_seed(0)
    model = half_fixed()
    before = copy.deepcopy(model)
    parts = {"body": model.body, "head": model.head}
    run = tl.Session(model, numbers, steps=12, groups=parts)
    run.at(3, tl.Freeze("body"))
    run.at(6, tl.Unfreeze("body"))
    run.at(9, tl.Rewind(4))
    run.run()
    assert torch.equal(model.body[0].weight, before.body[0].weight)
    assert not torch.equal(model.body[2].weight, before.body[2].weight)
    assert run.groups[0].parameters == sum(p.numel() for p in model.body[2].parameters())
    assert not model.body[0].weight.requires_grad
    for again in (before, copy.deepcopy(before).requires_grad_(True)):
        assert tl.replay(run.record, model=again, data=numbers).exact


def test_whole_numbers_among_the_parameters_are_left_alone(numbers):
    class Coded(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Module()
            self.table.codes = nn.Parameter(torch.arange(8), requires_grad=False)
            self.body, self.head = nn.Linear(8, 16), nn.Linear(16, 2)
            self.body.code = nn.Parameter(torch.arange(3), requires_grad=False)

        def forward(self, x):
            return self.head(F.relu(self.body(x + self.table.codes / 8)))

    for freeze in (None, (), "table"):
        for optimizer in ("adamw", lambda groups: torch.optim.SGD(groups, lr=0.1)):
            run = tl.Session(Coded(), numbers, steps=4, freeze=freeze, optimizer=optimizer)
            run.at(1, tl.Unfreeze("table"))
            run.at(2, tl.Freeze("body"))
            run.run()
            assert "whole numbers" in of(Refused, run.events)[0].reason
            assert len(of(Applied, run.events)) == 1 and len(run.result.losses) == 4


def test_freezing_what_is_frozen_is_refused_whatever_else_it_says(numbers):
    run = tl.Session(mlp(), numbers, steps=4, freeze="body")
    run.at(1, tl.Freeze("body", stats=False))  # there is no BatchNorm in it
    run.run()
    assert "frozen already" in of(Refused, run.events)[0].reason


# -- measuring ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.float8_e4m3fn]
)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_norm_is_right_in_every_dtype(dtype, frozen):
    from tlcourse.session.model.groups import Was, _distance, _norm

    big = torch.full((5000,), 300.0).to(dtype)
    p = nn.Parameter(big, requires_grad=False)
    was = Was.of(p, frozen=frozen)
    p.copy_(
        (p.to(torch.complex64) * 1.5).to(dtype) if dtype.is_complex else (p.float() * 1.5).to(dtype)
    )
    right = 0.5 if dtype != torch.float8_e4m3fn else float(p[0].float() / 288 - 1)
    assert _distance([(p, was)]) == pytest.approx(right, rel=1e-2)
    size = abs(complex(p[0].to(torch.complex64))) if dtype.is_complex else float(p[0].float())
    assert _norm([p.detach()]) == pytest.approx(size * 5000**0.5, rel=1e-3)


def test_a_sparse_gradient_has_a_norm(numbers):
    from tlcourse.session.model.groups import _norm

    table = nn.Embedding(10, 4, sparse=True)
    table(torch.tensor([1, 1, 2])).sum().backward()
    assert _norm([table.weight.grad]) == pytest.approx((4 * 4 + 4) ** 0.5)


def test_what_is_frozen_and_written_to_all_the_same_is_shown_to_move(numbers):
    def meddle(model, batch):
        with torch.no_grad():
            model.body[0].weight.mul_(1.01)
        return batch.logits.sum() * 0

    run = tl.Session(mlp(), numbers, steps=12, freeze="body", terms={"meddle": meddle})
    run.at(2, tl.SetLR("head", 0.01))
    run.run()
    assert of(Moved, run.events)[0].moved["body"] > 0.01
    assert of(Norms, run.events) == [] or "body" in of(Norms, run.events)[-1].moved


def test_a_loss_that_is_no_number_is_an_event_and_a_warning(numbers):
    run = tl.Session(mlp(), numbers, steps=12, lr=1e-2)
    run.at(4, tl.Save("well"))
    run.at(5, tl.SetLR("all", 1e30))
    run.at(9, tl.Rewind("well"))
    with pytest.warns(UserWarning, match="The loss is nan at step 7: rewind"):
        run.run()
    assert [event.step for event in of(Warned, run.events)] == [7]
    assert tl.replay(run.record, model=mlp(), data=numbers).exact
