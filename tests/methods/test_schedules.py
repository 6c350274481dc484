"""Schedules: what was planned is what the run's events say, and what was frozen did not move."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.optim import SGD
from torch.optim.lr_scheduler import LinearLR
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

import tlcourse as tl
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.fine_tuning.schedules import gradual_unfreezing, lp_ft, solve_head, warm_up
from tlcourse.session import Applied, Freeze, Refused, SetLR, StepDone, Unfreeze


def ran(model, data, schedule, *, steps, lr=1e-2):
    """A real run with the schedule on it, and the model's weights at each step boundary."""
    run = tl.Session(model, data, steps=steps, lr=lr, batch_size=16, eval_every=steps, seed=1)
    for step, command in schedule:
        run.at(step, command)
    seen = []

    def look(*_):
        groups = model.groups.items()
        seen.append({g: [p.detach().clone() for p in m.parameters()] for g, m in groups})

    hook = model.register_forward_pre_hook(lambda *_: look() if model.training else None)
    run.run()
    hook.remove()
    look()
    assert not [e for e in run.events if isinstance(e, Refused)]
    return run, seen


def happened(run):
    return [(e.step, e.command) for e in run.events if isinstance(e, Applied)]


def moved(before, after, group):
    pairs = zip(before[group], after[group], strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


def test_gradual_unfreezing_comes_down_from_the_head(model):
    assert gradual_unfreezing(model, 9) == [
        (0, Freeze("backbone")),
        (3, Unfreeze("deep")),
        (6, Unfreeze("stem")),
    ]
    assert gradual_unfreezing(model, 100, every=2, lr={"all": 1e-3, "stem": 1e-4}) == [
        (0, Freeze("backbone")),
        (2, Unfreeze("deep", 1e-3)),
        (4, Unfreeze("stem", 1e-4)),
    ]


def test_a_run_unfreezes_as_planned_and_nothing_moves_before_its_turn(model, digits):
    schedule = gradual_unfreezing(model, 9)
    run, seen = ran(model, digits, schedule, steps=9, lr={"all": 1e-2, "stem": 1e-3})
    assert happened(run) == schedule
    begins = {"head": 0, "deep": 3, "stem": 6}
    for step in range(9):
        for group, begin in begins.items():
            assert moved(seen[step], seen[step + 1], group) == (step >= begin), (group, step)
    last = [e for e in run.events if isinstance(e, Applied)][-1]
    assert last.lrs == {"stem": 1e-3, "deep": 1e-2, "head": 1e-2}


def test_lp_ft_trains_the_head_first_and_then_everything(model, digits):
    schedule = lp_ft(model, 8, probe=5, lr={"backbone": 1e-4, "head": 1e-3})
    run, seen = ran(model, digits, schedule, steps=8)
    assert happened(run) == schedule
    assert not any(moved(seen[0], seen[5], group) for group in ("stem", "deep"))
    assert all(moved(seen[5], seen[6], group) for group in ("stem", "deep", "head"))
    last = [e for e in run.events if isinstance(e, Applied)][-1]
    assert last.lrs == {"stem": 1e-4, "deep": 1e-4, "head": 1e-3}
    assert lp_ft(model, 8) == [(0, Freeze("backbone")), (4, Unfreeze("backbone"))]


@pytest.mark.parametrize("classes", [10, 2])
def test_a_solved_head_says_what_the_probe_says(model, pixels, classes):
    rows = pixels.train.x * 0.01 + 5  # far from standardised
    mine = pixels.train.y < classes
    x, y = rows[mine], pixels.train.y[mine]
    cached = replace(pixels, train=replace(pixels.train, x=x, y=y))
    model.head = torch.nn.Linear(64, classes)
    body = tl.methods.fingerprint(model, "backbone")
    assert solve_head(model, cached, C=0.3) is model
    spread = x.double().std(0, correction=0)
    scaled = ((x.double() - x.double().mean(0)) / torch.where(spread > 0, spread, 1.0)).numpy()
    probe = LogisticRegression(C=0.3, max_iter=5000, tol=1e-6).fit(scaled, y.numpy())
    with torch.no_grad():
        said = model.head(x).softmax(1).numpy()
    assert np.abs(said - probe.predict_proba(scaled)).max() < 1e-4
    assert (said.argmax(1) == y.numpy()).mean() > 0.95
    assert tl.methods.fingerprint(model, "backbone") == body


def test_a_head_that_a_probe_does_not_fit_is_refused(model, pixels):
    narrow = replace(pixels.train, x=pixels.train.x[:, :9])
    with pytest.raises(DataError, match=r"\(N, 64\), not \(100, 9\)"):
        solve_head(model, replace(pixels, train=narrow))
    nine = pixels.train.y < 9
    few = replace(pixels.train, x=pixels.train.x[nine], y=pixels.train.y[nine])
    with pytest.raises(DataError, match="9 of 10"):
        solve_head(model, replace(pixels, train=few))
    model.head = torch.nn.Sequential(torch.nn.Linear(64, 10))
    with pytest.raises(ModelError, match="Sequential"):
        solve_head(model, pixels)


def torchs_rates(schedule_of, steps, lr):
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = schedule_of(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_a_warm_up_of_one_stair_a_step_is_torchs():
    ours = [command.lr for _, command in warm_up(3e-3, 8, stairs=99)]
    theirs = torchs_rates(lambda o: LinearLR(o, start_factor=1 / 8, total_iters=7), 8, 3e-3)
    assert ours == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(
    ("then", "schedule"),
    [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)],
)
def test_what_follows_falls_as_in_transformers(then, schedule):
    plan = warm_up(1e-2, 6, steps=30, then=then, stairs=99)
    theirs = torchs_rates(lambda o: schedule(o, 6, 30), 30, 1e-2)
    ours = dict((step, command.lr) for step, command in plan)
    assert sorted(ours) == [*range(6), *range(7, 30)]  # at 6 the full rate stands already
    assert ours[5] == 1e-2 == theirs[6]
    assert [ours[t] for t in range(7, 30)] == pytest.approx(theirs[7:], rel=1e-9)


def test_stairs_share_the_way_and_end_at_the_full_rate():
    plan = warm_up({"head": 1.0, "deep": 0.1}, 10, stairs=3)
    assert [step for step, _ in plan] == [0, 0, 3, 3, 6, 6]
    assert [c.lr for _, c in plan] == pytest.approx([0.3, 0.03, 0.6, 0.06, 1.0, 0.1])
    assert [c.group for _, c in plan] == ["head", "deep"] * 3
    assert len(warm_up(1e-3, 500, steps=2000, then="cosine")) == 10 + 9


def test_a_run_warms_up_as_planned(model, digits):
    schedule = warm_up(1e-2, 4)
    run, seen = ran(model, digits, schedule, steps=6)
    assert happened(run) == schedule == [(t, SetLR("all", 1e-2 * (t + 1) / 4)) for t in range(4)]
    assert sum(isinstance(e, StepDone) for e in run.events) == 6


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda m: gradual_unfreezing(m, 2), "more than 2 steps, and the run has 2"),
        (lambda m: gradual_unfreezing(m, 8, every=4), "more than 8 steps"),
        (lambda m: gradual_unfreezing(m, 8, every=0), "every is a whole number"),
        (lambda m: gradual_unfreezing(m, 8, lr=-1), "above 0, not -1"),
        (lambda m: gradual_unfreezing(torch.nn.Sequential(m.head), 8), "nothing to unfreeze"),
        (lambda m: lp_ft(m, 8, probe=8), "probe is a whole number from 1 to 7, not 8"),
        (lambda m: lp_ft(m, 8, lr={"head": 1e-3}), "no rate for stem, deep"),
        (lambda m: warm_up(1e-3, 0), "from 1 on, not 0"),
        (lambda m: warm_up(math.nan, 3), "above 0, not nan"),
        (lambda m: warm_up(1e-3, 3, then="sine"), "constant, linear, cosine"),
        (lambda m: warm_up(1e-3, 3, steps=3, then="linear"), "more than warm=3"),
    ],
)
def test_what_cannot_be_planned_is_refused(model, ask, says):
    with pytest.raises(CommandError, match=says):
        ask(model)
