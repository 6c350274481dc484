"""A Session with an optimizer and a schedule of one's own: any of torch.optim, made by functions."""

import copy
import functools
import json
import shutil
import time

import pytest
import torch
import torch.nn.functional as F
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

import tlcourse as tl
from tlcourse.errors import CommandError, RecordError, TrainingFailed
from tlcourse.session import Applied, Norms, Refused, StepDone
from tlcourse.session.autosave import folder as disk
from tlcourse.session.engine.batches import Order
from tlcourse.session.engine.boundary import State
from tlcourse.session.model.user_optimizer import UserOptimizer

from .conftest import Net, mlp

STEPS = 24


def nesterov(groups):
    return SGD(groups, momentum=0.9, nesterov=True, weight_decay=1e-3)


def one_cycle(optimizer):
    return OneCycleLR(optimizer, max_lr=0.2, total_steps=STEPS)


def warm_up(optimizer):
    """0 at the first step, then up."""
    return LambdaLR(optimizer, lambda step: min(1.0, step / 10))


def in_turn(optimizer):
    """Kinds of state that are easily lost: schedules within one, a Counter of milestones."""
    parts = [CosineAnnealingLR(optimizer, 8), MultiStepLR(optimizer, [4, 9], gamma=0.5)]
    return SequentialLR(optimizer, parts, milestones=[8])


def adam_by_kind(groups):
    """As people do it: other groups than the model's, biases without weight decay."""
    every = [p for group in groups for p in group["params"]]
    return AdamW(
        [
            {"params": [p for p in every if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=3e-3,
    )


PAIRS = [
    pytest.param(nesterov, one_cycle, id="nesterov, one cycle"),
    pytest.param(adam_by_kind, in_turn, id="adam by kind, in turn"),
    pytest.param("adamw", warm_up, id="adamw, warm-up"),
    pytest.param(functools.partial(torch.optim.Adagrad, lr=0.05), None, id="adagrad, no schedule"),
]


PLAN = [
    (4, tl.SetLR("body", 0.03)),
    (6, tl.Freeze("stem")),
    (8, tl.AddLoRA("body", rank=2, lr=0.02)),
    (10, tl.Save("ten")),
    (12, tl.Unfreeze("stem", 0.01)),
    (14, tl.SwapHead(lr=0.04)),
]


def session(model, data, optimizer=nesterov, scheduler=one_cycle, **options):
    options = {"steps": STEPS, "lr": 0.05, "batch_size": 16, "eval_every": 100, "seed": 5} | options
    return tl.Session(model, data, optimizer=optimizer, scheduler=scheduler, **options)


def of(kind, run):
    return [event for event in run.events if isinstance(event, kind)]


def weights(run):
    return [p.detach().clone() for p in run.model.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# -- it is what PyTorch would do ---------------------------------------------------------------


def bare_loop(model, data, optimizer, scheduler):
    groups = [
        {"params": list(part.parameters()), "lr": 0.05, "name": name}
        for name, part in model.named_children()
    ]
    optimizer = optimizer(groups)
    schedule = scheduler(optimizer) if scheduler else None
    order, losses = Order(len(data.train.y), 16, seed=5), []
    for step in range(STEPS):
        numbers = order.at(step)[1]
        loss = F.cross_entropy(model(data.train.x[numbers]), data.train.y[numbers])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule:
            schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("optimizer", "scheduler"), [p for p in PAIRS if "warm" not in p.id])
def test_it_trains_as_the_loop_that_one_would_write(numbers, optimizer, scheduler):
    expected = bare_loop(mlp(), numbers, optimizer, scheduler)
    assert session(mlp(), numbers, optimizer, scheduler).run().losses.tolist() == expected


def test_the_schedule_shows_in_the_rates(numbers):
    run = session(mlp(), numbers)
    run.run()
    shown = {event.step: event.lrs for event in of(Norms, run)}
    assert len({tuple(lrs.values()) for lrs in shown.values()}) == len(shown) or len(shown) < 2
    reference = one_cycle(SGD(mlp().parameters(), lr=0.05, momentum=0.9))
    for _ in range(STEPS):
        reference.step()
    assert {g.lr for g in run.groups} == {reference.get_last_lr()[0]}


def test_a_rate_that_is_set_goes_on_following_the_schedule(numbers):
    run = session(mlp(), numbers)
    run.at(6, tl.SetLR("head", 0.01))
    run.at(12, tl.Pause())
    run.start()
    wait_for_pause(run)
    body, head = run.groups
    assert head.lr < body.lr
    at_six = of(Applied, run)[0].state.lrs
    assert at_six["head"] == pytest.approx(0.01)
    assert head.lr / body.lr == pytest.approx(at_six["head"] / at_six["body"])
    run.send(tl.Resume())
    run.run()


def test_a_rate_cannot_be_set_while_the_schedule_holds_it_at_zero(numbers):
    run = session(mlp(), numbers, "adamw", warm_up)
    run.at(0, tl.SetLR("head", 0.01))
    run.at(0, tl.SwapHead(lr=0.01))
    run.at(3, tl.SetLR("head", 0.01))
    with pytest.warns(UserWarning, match="holds the rate of head at 0"):
        run.run()
    assert [e.reason.split(",")[0] for e in of(Refused, run)] == [
        "Your schedule holds the rate of head at 0 at this step (in a warm-up"
    ] * 2
    assert len(of(Applied, run)) == 1


# -- going back --------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_rewind_is_exact(pictures, optimizer, scheduler):
    """Back over a new rate, a frozen group, an adapter and a new head; what follows is what was."""
    run = session(Net(), pictures, optimizer, scheduler)
    for step, command in PLAN:
        run.at(step, command)
    first = run.run()
    at_end, rates = weights(run), [g.lr for g in run.groups]
    again = session(Net(), pictures, optimizer, scheduler)
    for step, command in PLAN:
        again.at(step, command)
    again.at(18, tl.Pause())
    again.start()
    wait_for_pause(again)
    again.send(tl.Rewind("ten"))
    again.send(tl.Rewind(8))
    until(lambda: again.step == 8)
    for step, command in PLAN:
        if step >= 8 and not isinstance(command, tl.Save):
            again.at(step, command)
    again.send(tl.Resume())
    result = again.run()
    assert result.losses.tolist() == first.losses.tolist()
    assert same(weights(again), at_end)
    assert [g.lr for g in again.groups] == rates


def until(fact, seconds=60):
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.005)


def saved_step(folder):
    saves = disk.saves(folder)
    return json.loads((saves[0] / "state.json").read_text())["run"]["step"] if saves else None


def wait_for_pause(run):
    until(lambda: run.status not in ("ready", "running"))
    assert run.status == "paused", run.events[-1]


@pytest.mark.parametrize("part", ["schedule", "factors", "options"])
def test_a_rewind_that_forgot_a_part_would_be_noticed(numbers, monkeypatch, part):
    def losses():
        run = session(mlp(), numbers)
        run.at(4, tl.SetLR("head", 0.03))
        run.at(6, tl.Rewind(2))
        try:
            return run.run().losses.tolist()
        except TrainingFailed:  # the schedule was stepped beyond its end
            return None

    clean, go_to = session(mlp(), numbers).run().losses.tolist(), UserOptimizer.go_to

    def forgetful(self, position):
        go_to(self, position | {part: self.position()[part]})

    assert losses() == clean  # at step 2 the rate was not set yet, and SetLR acts once
    monkeypatch.setattr(UserOptimizer, "go_to", forgetful)
    assert losses() != clean


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_a_twin_follows_a_schedule_of_its_own(numbers, optimizer, scheduler):
    untouched = session(mlp(), numbers, optimizer, scheduler).run()
    run = session(mlp(), numbers, optimizer, scheduler)
    run.at(5, tl.Twin())
    run.at(5, tl.Freeze("body"))
    run.run()
    losses = [e.loss for e in of(StepDone, run) if e.branch == "twin"]
    assert losses == untouched.losses.tolist()[5:]


def test_branches_keep_their_own_rates(numbers):
    run = session(mlp(), numbers)
    run.at(6, tl.Branch("other", at=3))
    run.at(9, tl.SetLR("head", 0.001))
    run.at(12, tl.Rewind(6, branch="main"))
    expected = session(mlp(), numbers).run()
    assert run.run().losses.tolist() == expected.losses.tolist()


# -- surviving ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_a_run_is_recorded_and_replayed(pictures, tmp_path, optimizer, scheduler):
    run = session(Net(), pictures, optimizer, scheduler)
    for step, command in PLAN:
        run.at(step, command)
    run.at(20, tl.Rewind("ten"))
    run.run()
    path = run.record.save(tmp_path / "run.jsonl")
    own = {} if isinstance(optimizer, str) else {"optimizer": optimizer}
    again = tl.replay(path, model=Net(), data=pictures, scheduler=scheduler, **own)
    assert again.exact, again.text


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_a_killed_run_goes_on(pictures, tmp_path, optimizer, scheduler):
    run = session(Net(), pictures, optimizer, scheduler)
    for step, command in PLAN:
        run.at(step, command)
    run.at(11, tl.Twin())
    expected = run.run()
    killed = session(Net(), pictures, optimizer, scheduler, autosave=tmp_path, autosave_s=1e9)
    for step, command in PLAN:
        killed.at(step, command)
    killed.at(11, tl.Twin())
    killed.at(15, tl.Pause())
    killed.start()
    wait_for_pause(killed)
    until(lambda: saved_step(tmp_path) == 15)
    copied = tmp_path.parent / f"{tmp_path.name}-copied"
    shutil.copytree(tmp_path, copied)
    killed.send(tl.Stop())
    killed.run()
    own = {} if isinstance(optimizer, str) else {"optimizer": optimizer}
    run = tl.resume(copied, model=Net(), data=pictures, scheduler=scheduler, **own)
    assert run.step == 15
    run.send(tl.Resume())
    result = run.run()
    assert result.losses.tolist() == expected.losses.tolist()


def test_functions_are_asked_for_again_by_name(numbers, tmp_path):
    run = session(mlp(), numbers)
    run.run()
    recipe = run.record.header["recipe"]
    assert recipe["optimizer"].endswith("test_own_optimizer.nesterov")
    assert recipe["scheduler"].endswith("test_own_optimizer.one_cycle")
    path = run.record.save(tmp_path / "run.jsonl")
    made = {"model": mlp(), "data": numbers}
    with pytest.raises(RecordError, match="optimizer was made by .*nesterov.*optimizer=…"):
        tl.replay(path, **made)
    with pytest.raises(RecordError, match="scheduler was made by .*one_cycle.*scheduler=…"):
        tl.replay(path, optimizer=nesterov, **made)
    with pytest.raises(RecordError, match="nesterov, not by .*adam_by_kind"):
        tl.replay(path, optimizer=adam_by_kind, scheduler=one_cycle, **made)
    plain = tl.Session(mlp(), numbers, steps=2)
    plain.run()
    with pytest.raises(RecordError, match="optimizer was 'adamw', not a function's"):
        tl.replay(plain.record, optimizer=nesterov, **made)


def test_a_script_has_a_place_for_them(numbers):
    run = session(mlp(), numbers)
    run.at(4, tl.Freeze("body"))
    run.at(9, tl.Unfreeze("body"))
    losses = run.run().losses.tolist()
    text = tl.to_script(run.record)
    given = {"YOUR_MODEL": mlp(), "YOUR_DATA": numbers}
    given |= {"YOUR_OPTIMIZER": nesterov, "YOUR_SCHEDULER": one_cycle}
    exec(compile(text, "script", "exec"), given)
    assert given["losses"] == losses
    run = session(mlp(), numbers)
    run.at(4, tl.SetLR("head", 0.01))
    run.run()
    with pytest.raises(RecordError, match="SetLR.*a script cannot express"):
        tl.to_script(run.record)


# -- refusals ----------------------------------------------------------------------------------


class NeedsClosure(SGD):
    def step(self, closure):
        return super().step(closure)


REFUSED = [
    ({"optimizer": lambda groups: groups}, "it returned list"),
    (
        {"optimizer": lambda: None},
        "called with the run's parameter groups, and it raised TypeError",
    ),
    ({"optimizer": lambda groups: SGD(groups[1:])}, "does not hold all of body"),
    ({"optimizer": lambda g: SGD([*g, {"params": mlp().parameters()}])}, "are not the model's"),
    ({"optimizer": lambda g: torch.optim.LBFGS([p for x in g for p in x["params"]])}, "one vector"),
    ({"optimizer": lambda groups: NeedsClosure(groups)}, "needs a closure"),
    ({"optimizer": SGD(mlp().parameters())}, "a function that makes one.*SGD"),
    ({"optimizer": "lion"}, "adamw, sgd; or a function"),
    ({"scheduler": "cosine"}, "a function of the optimizer"),
    ({"scheduler": ReduceLROnPlateau}, "needs a metric"),
    ({"scheduler": lambda optimizer: optimizer}, "it returned SGD"),
    ({"scheduler": lambda o: OneCycleLR(o, 0.1, total_steps=9)}, "ends after 9 steps .* has 24"),
    ({"scheduler": lambda o: MultiStepLR(SGD(mlp().parameters()), [1])}, "it has another one"),
]


@pytest.mark.parametrize(
    ("options", "says"), REFUSED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_cannot_work_is_refused_in_one_sentence(numbers, options, says):
    model = mlp()
    model.body.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CommandError, match=says):
        session(model, numbers, **{"optimizer": nesterov, "scheduler": None} | options)
    assert same(model.state_dict().values(), before.values())
    assert not any(p.requires_grad for p in model.body.parameters())


def test_a_state_that_an_autosave_cannot_hold_is_refused_at_once(numbers, tmp_path):
    class Odd(LambdaLR):
        def __init__(self, optimizer):
            super().__init__(optimizer, lambda step: 1.0)
            self.helper = object()

    with pytest.raises(CommandError, match="autosave= cannot hold the state"):
        session(mlp(), numbers, scheduler=Odd, autosave=tmp_path)
    session(mlp(), numbers, scheduler=Odd).run()


def test_a_twin_of_what_cannot_be_made_alike_is_refused(numbers):
    made = []

    def another_each_time(groups):
        made.append(1)
        return SGD(groups if len(made) == 1 else [p for g in groups for p in g["params"]], lr=0.1)

    run = session(mlp(), numbers, another_each_time, None)
    run.at(3, tl.Twin())
    run.at(3, tl.Freeze("body"))
    with pytest.warns(UserWarning, match="made 2 groups at first and 1 now"):
        run.run()
    assert len(of(Applied, run)) == 1 and run.groups[0].trainable


# -- one boundary ------------------------------------------------------------------------------


def test_a_session_and_a_loop_of_ones_own_have_the_same_boundary(numbers):
    model = mlp()
    steering = tl.steer([], model=model, optimizer=SGD(model.parameters(), lr=0.1))
    assert isinstance(steering._loop, State)
    assert isinstance(tl.Session(mlp(), numbers)._training, State)
