"""Somebody's optimizer under steering: its groups, schedules, clipping and checkpoints stay its own."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tlcourse as tl
from tlcourse.session import Applied, Refused, StepDone

from .conftest import Net, of
from .test_steer import batches, flat, only_head, train, wait_until  # noqa: F401


def steps_of(optimizer):
    """What rate each parameter really goes by: recorded while a step runs."""
    seen = []

    def look(optimizer, *_):
        seen.append({p: float(g["lr"]) for g in optimizer.param_groups for p in g["params"]})

    optimizer.register_step_pre_hook(look)
    return seen


def decay_and_none(model, lr=0.1, make=torch.optim.SGD, **options):
    flat = [p for p in model.parameters() if p.ndim <= 1]
    matrices = [p for p in model.parameters() if p.ndim > 1]
    return make(
        [{"params": matrices, "weight_decay": 0.1}, {"params": flat, "weight_decay": 0.0}],
        lr=lr,
        **options,
    )


def test_one_rate_leaves_the_others_alone(net):
    optimizer = torch.optim.SGD(
        [
            {"params": net.stem.parameters(), "lr": 0.001},
            {"params": net.body.parameters(), "lr": 0.01},
            {"params": net.head.parameters(), "lr": 0.1},
        ]
    )
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    seen = steps_of(optimizer)
    steering.at(2, tl.SetLR("body", 0.05))
    train(steering, net, optimizer)
    [applied] = of(Applied, steering.events)
    assert applied.lrs == {"stem": 0.001, "body": pytest.approx(0.05), "head": 0.1}
    rates = [(s[net.stem[0].weight], s[net.body[0].bias], s[net.head[2].bias]) for s in seen]
    assert rates == [(0.001, 0.01, 0.1)] * 2 + [(0.001, pytest.approx(0.05), 0.1)] * 2
    assert [g["lr"] for g in optimizer.param_groups] == [0.001, 0.01, 0.1]


def test_a_group_that_lies_in_several_of_the_optimizers_keeps_their_options(net):
    optimizer = decay_and_none(net)
    steering = tl.steer(batches(2), model=net, optimizer=optimizer)
    steering.at(0, tl.SetLR("body", 0.5))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    grads = {}

    def keep():
        if not grads:
            grads.update({n: p.grad.clone() for n, p in net.named_parameters()})
            after.update({n: p.detach().clone() for n, p in net.named_parameters()})

    after = {}
    train(steering, net, optimizer, after=keep)
    for name, was in before.items():
        lr = 0.5 if name.startswith("body") else 0.1
        decay = 0.1 if was.ndim > 1 else 0.0
        assert torch.allclose(after[name], was - lr * (grads[name] + decay * was), atol=1e-6), name


def test_a_rate_goes_on_following_the_schedule(net):
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    steering = tl.steer(batches(6), model=net, optimizer=optimizer)
    seen = steps_of(optimizer)
    steering.at(3, tl.SetLR("head", 0.05))  # the schedule says 0.01 then
    train(steering, net, optimizer, after=schedule.step)
    head = [s[net.head[2].weight] for s in seen]
    assert head == pytest.approx([0.1, 0.1, 0.01, 0.05, 0.005, 0.005])
    assert [s[net.stem[0].weight] for s in seen] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3]
    )
    assert [g.lr for g in steering.groups] == pytest.approx([1e-4, 1e-4, 5e-4])


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "plateau"])
def test_schedules_go_on_after_groups_came_late(net, schedule):
    optimizer = only_head(net)
    made = {
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20),
        "one_cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30),
        "plateau": lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
    }[schedule]()
    steering = tl.steer(batches(10), model=net, optimizer=optimizer)
    steering.at(2, tl.Unfreeze("body", lr=1e-3))
    steering.at(4, tl.AddLoRA("stem", rank=2))
    steering.at(6, tl.SwapHead())
    before = net.body[0].weight.detach().clone()
    train(
        steering,
        net,
        optimizer,
        after=(lambda: made.step(1.0)) if schedule == "plateau" else made.step,
    )
    assert len(of(Applied, steering.events)) == 3 and not of(Refused, steering.events)
    assert len(optimizer.param_groups) == 1 and not torch.equal(net.body[0].weight, before)


def test_a_rate_cannot_be_set_while_the_schedule_says_none(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 4))
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    steering.at(0, tl.SetLR("head", 0.01))
    steering.at(0, tl.Freeze("body"))
    steering.at(0, tl.Unfreeze("body", lr=0.1))
    steering.at(0, tl.Unfreeze("body"))
    train(steering, net, optimizer, after=schedule.step)
    rate, unfreeze = of(Refused, steering.events)
    assert "holds the rate of head at 0" in rate.reason and "or without lr" in unfreeze.reason
    assert [g.lr for g in steering.groups] == pytest.approx([0.1, 0.1, 0.1])


def test_clipping_and_the_gradient_scaler_reach_what_came_late(net):
    optimizer = only_head(net)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    steering = tl.steer(batches(6), model=net, optimizer=optimizer)
    steering.at(3, tl.Unfreeze("body", lr=1e-3))
    norms = []
    for x, y in steering:
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(net(x), y)).backward()
        scaler.unscale_(optimizer)
        held = [p for g in optimizer.param_groups for p in g["params"]]
        norms.append(float(nn.utils.clip_grad_norm_(held, 1e9)))
        scaler.step(optimizer)
        scaler.update()
    assert (
        net.body[0].weight.grad is not None and max(norms) < 10
    )  # scaled they were 1024 times that


def test_a_step_that_the_scaler_skips_is_not_counted(net):
    optimizer = only_head(net)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    for n, (x, y) in enumerate(steering):
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(net(x), y) * (float("inf") if n == 1 else 1)).backward()
        scaler.step(optimizer)
        scaler.update()
    assert steering.step == 3 and len(of(StepDone, steering.events)) == 3


def test_resuming_does_not_freeze_again_what_was_unfrozen_and_says_so():
    first = Net()
    optimizer = only_head(first)
    steering = tl.steer(batches(8), model=first, optimizer=optimizer)
    steering.at(3, tl.Unfreeze("body", lr=1e-3))
    steering.at(4, tl.SetLR("head", 5e-3))
    train(steering, first, optimizer)
    saved = {"model": first.state_dict(), "optimizer": optimizer.state_dict()}

    again = Net(seed=1)  # the script from the beginning: only the head trains
    optimizer = only_head(again)
    steering = tl.steer(batches(4), model=again, optimizer=optimizer)
    again.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    moments = optimizer.state[again.body[0].weight]["exp_avg"].clone()
    before = again.body[0].weight.detach().clone()
    train(steering, again, optimizer)
    assert [type(e.command) for e in of(Applied, steering.events)] == [tl.Unfreeze, tl.SetLR]
    assert of(Applied, steering.events)[-1].lrs == pytest.approx({"body": 1e-3, "head": 5e-3})
    assert not torch.equal(again.body[0].weight, before)
    kept = saved["optimizer"]["state"]
    assert any(torch.equal(moments, state["exp_avg"]) for state in kept.values())
    assert float(optimizer.state[again.body[0].weight]["step"]) == 5 + 4


def test_going_on_from_before_the_unfreezing_freezes_nothing(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(9), model=net, optimizer=optimizer)
    steering.at(3, tl.Unfreeze("body", lr=1e-3))
    early, seen = {}, []

    def note():
        if steering.step == 2:
            early.update(optimizer.state_dict())
        if steering.step == 6:
            optimizer.load_state_dict(early)  # of a time when the body was frozen
        seen.append(net.body[0].weight.detach().clone())

    train(steering, net, optimizer, after=note)
    assert [g.trainable for g in steering.groups] == [False, True, True]
    assert not torch.equal(seen[6], seen[7])
    assert len(optimizer.state_dict()["state"]) == len(optimizer.param_groups[0]["params"])


def test_distributed_checkpoints_go_on_working(net):
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    optimizer = only_head(net)
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    steering.at(2, tl.Unfreeze("body"))
    train(steering, net, optimizer)
    saved = deepcopy(get_optimizer_state_dict(net, optimizer))
    assert "body.0.weight" in saved["state"]
    kept = optimizer.state[net.body[0].weight]["exp_avg"].clone()
    optimizer.state[net.body[0].weight]["exp_avg"].zero_()
    set_optimizer_state_dict(net, optimizer, saved)
    assert torch.equal(optimizer.state[net.body[0].weight]["exp_avg"], kept)


def test_a_checkpoint_of_another_optimizer_is_refused_by_torch_as_ever(net):
    optimizer = only_head(net)
    tl.steer([], model=net, optimizer=optimizer)
    other = torch.optim.AdamW(net.body.parameters(), lr=1.0)
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict(other.state_dict())


@pytest.mark.parametrize("saved", [True, False])
def test_a_step_that_raises_leaves_the_optimizer_as_it_was(net, saved):
    optimizer = decay_and_none(net)
    steering = tl.steer(batches(3), model=net, optimizer=optimizer)
    steering.at(0, tl.SetLR("body", 0.5))

    def broken():
        raise RuntimeError("no loss today")

    for n, (x, y) in enumerate(steering):
        F.cross_entropy(net(x), y).backward()
        if n == 1:
            with pytest.raises(RuntimeError):
                optimizer.step(broken)
            assert not saved or len(optimizer.state_dict()["param_groups"]) == 2
        optimizer.step()
    assert len(optimizer.param_groups) == 2 and steering.step == 3


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_every_implementation_goes_by_the_rates(options):
    """The divided optimizer is one that was made with these groups."""
    steered, made = Net(), Net()
    optimizer = torch.optim.AdamW(steered.parameters(), lr=1e-2, **options)
    steering = tl.steer(batches(6), model=steered, optimizer=optimizer)
    steering.at(0, tl.SetLR("body", 1e-3))
    torch.manual_seed(1)
    train(steering, steered, optimizer)
    groups = [{"params": made.stem.parameters()}, {"params": made.body.parameters(), "lr": 1e-3}]
    bare = torch.optim.AdamW([*groups, {"params": made.head.parameters()}], lr=1e-2, **options)
    torch.manual_seed(1)
    train(None, made, bare, batches=batches(6))
    assert torch.allclose(flat(steered), flat(made), atol=1e-7)


class Counting(torch.optim.SGD):
    """Counts in its groups, as schedule-free optimizers do, and calls its parent's step."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["k"] = group.get("k", 0) + 1
        return super().step(closure)


def test_an_optimizer_that_counts_in_its_groups_goes_on_counting_and_back(net):
    optimizer = decay_and_none(net, make=Counting)
    steering = tl.steer(batches(6), model=net, optimizer=optimizer)
    steering.at(1, tl.SetLR("body", 0.5))
    counts = []
    steering.at(3, tl.Save("three"))
    steering.at(5, tl.Rewind("three"))
    train(steering, net, optimizer, after=lambda: counts.append(optimizer.param_groups[0]["k"]))
    assert counts == [1, 2, 3, 4, 5, 4] and steering.tick == 6


def test_a_loop_under_accelerate_is_counted_by_its_steps(net):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    plain = only_head(net)
    model, optimizer = accelerator.prepare(net, plain)
    steering = tl.steer(batches(8), model=model, optimizer=optimizer)
    steering.at(2, tl.Unfreeze("body", lr=1e-3))
    before = net.body[0].weight.detach().clone()
    for x, y in steering:
        with accelerator.accumulate(model):
            accelerator.backward(F.cross_entropy(model(x), y))
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    assert steering.step == 4 and of(Applied, steering.events)[0].step == 2
    assert not torch.equal(net.body[0].weight, before)


class Nested(torch.optim.SGD):
    """Keeps tensors in a list in its state, as some second-order optimizers do."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    kept = self.state[p].setdefault("kept", [torch.zeros_like(p)])
                    kept[0].add_(p.grad)
                    p.grad.add_(kept[0])
        return super().step(closure)


def test_whatever_an_optimizer_keeps_goes_back(net):
    optimizer = Nested(net.head.parameters(), lr=0.1)
    steering = tl.steer(batches(6), model=net, optimizer=optimizer)
    steering.at(2, tl.Save("two"))
    steering.at(4, tl.Rewind("two"))
    seen = []

    def note():
        seen.append(optimizer.state[net.head[2].weight]["kept"][0].clone())

    train(steering, net, optimizer, after=note)
    kept = next(iter(steering._loop.time.named["two"].snapshot.optimizer.values()))
    assert torch.equal(kept["kept"][0], seen[1]) and not torch.equal(seen[1], seen[3])


def test_a_checkpoint_with_an_adapter_that_is_not_there_is_told_of(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    steering.at(2, tl.AddLoRA("body", rank=2))
    train(steering, net, optimizer)
    saved = deepcopy(optimizer.state_dict())
    fresh = Net()
    other = only_head(fresh)
    again = tl.steer(batches(4), model=fresh, optimizer=other)
    other.load_state_dict(saved)
    [said] = [e.text for e in again.events if e.kind == "warned"]
    assert "2 parameters that this model lacks, such as body.0.lora_A" in said and "AddLoRA" in said
