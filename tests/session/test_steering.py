"""What each command does to a run, seen from outside: by its events and by the weights."""

import torch
from torch import nn

import tlcourse as tl
from tlcourse.session import Applied, Evaluated, Finished, Moved, Refused, StepDone

from .conftest import Net, mlp, of


def copy_of(module):
    return [p.detach().clone() for p in module.parameters()]


def same(before, module):
    return all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_events_tell_the_whole_run_in_order(run):
    result = run.run()
    steps = of(StepDone, run.events)
    assert [event.step for event in steps] == list(range(1, 61))
    assert isinstance(run.events[-1], Finished) and run.events[-1].reason == "done"
    assert [event.split for event in of(Evaluated, run.events)][-2:] == ["valid", "test"]
    assert result.steps == 60 and len(result.losses) == 60
    assert result.accuracy == of(Evaluated, run.events)[-1].accuracy
    assert steps[-1].loss < steps[0].loss


def test_a_frozen_group_does_not_move_and_the_others_do(run):
    body, head = copy_of(run.model.body), copy_of(run.model.head)
    run.run()
    assert same(body, run.model.body)
    assert not same(head, run.model.head)


def test_unfreezing_moves_the_weights_and_says_how_far(run):
    run.at(20, tl.Unfreeze("body", lr=1e-3))
    body = copy_of(run.model.body)
    run.run()
    assert not same(body, run.model.body)
    (applied,) = of(Applied, run.events)
    (moved,) = of(Moved, run.events)
    assert applied.tick == 20
    assert applied.trainable_before == 16 * 2 + 2
    assert applied.trainable_after == applied.trainable_before + 8 * 16 + 16
    assert applied.lrs == {"body": 1e-3, "head": 1e-2}
    assert moved.since == 20 and moved.tick == 25
    assert moved.moved["body"] > 0


def test_a_frozen_group_has_not_moved_when_asked_whether_it_bit(numbers):
    run = tl.Session(mlp(), numbers, steps=30)
    run.at(10, tl.Freeze("body"))
    run.run()
    (moved,) = of(Moved, run.events)
    assert moved.moved["body"] == 0.0 and moved.moved["head"] > 0


def test_setting_one_rate_leaves_every_other_rate(numbers):
    run = tl.Session(mlp(), numbers, steps=30, lr={"body": 1e-4, "head": 1e-2})
    run.at(10, tl.SetLR("head", 5e-3))
    run.run()
    assert of(Applied, run.events)[0].lrs == {"body": 1e-4, "head": 5e-3}
    held = run._training.levers.optimizer.torch.param_groups
    assert {name: g["lr"] for g in held for name in g["names"]} == {"body": 1e-4, "head": 5e-3}


def test_groups_of_one_rate_train_as_apart(pictures):
    """They share an optimizer group until their rates part; that must not change a bit."""
    together = tl.Session(Net(), pictures, steps=12, lr=1e-3)
    apart = tl.Session(Net(), pictures, steps=12, lr=1e-3)
    levers = apart._training.levers
    levers.optimizer.torch.param_groups[:] = [
        levers.optimizer._options | {"lr": 1e-3, "params": parameters}
        for parameters in levers.groups.values()
    ]
    assert together.run().losses.tolist() == apart.run().losses.tolist()
    parted = tl.Session(Net(), pictures, steps=12, lr=1e-3)
    parted.at(6, tl.SetLR("stem", 1e-4))
    parted.run()
    assert [g["names"] for g in parted._training.levers.optimizer.torch.param_groups] == [
        ["stem"],
        ["body", "head"],
    ]


def test_backbone_and_all_stand_for_several_groups(pictures, net):
    run = tl.Session(net, pictures, steps=20, lr={"backbone": 1e-4, "head": 1e-2})
    run.at(5, tl.Freeze("backbone"))
    run.at(10, tl.Unfreeze("backbone", lr=3e-4))
    run.at(15, tl.SetLR("all", 1e-3))
    run.run()
    frozen, thawed, level = of(Applied, run.events)
    assert frozen.frozen == ("stem", "body")
    assert thawed.lrs == {"stem": 3e-4, "body": 3e-4, "head": 1e-2}
    assert set(level.lrs.values()) == {1e-3}


def test_unfreezing_takes_up_the_optimizer_state_where_it_stopped(numbers):
    run = tl.Session(mlp(), numbers, steps=30)
    run.at(10, tl.Freeze("body"))
    run.at(20, tl.Unfreeze("body"))
    run.run()
    weight = run.model.body[0].weight
    assert (
        run._training.levers.optimizer.torch.state[weight]["step"].item() == 20
    )  # 10 before, 10 after


def test_frozen_batchnorm_statistics_stand_still_unless_asked(pictures):
    still, drifting = Net(), Net()
    before = still.stem[1].running_mean.clone()
    tl.Session(still, pictures, steps=5, freeze="backbone").run()
    tl.Session(drifting, pictures, steps=5, freeze="backbone", freeze_stats=False).run()
    assert torch.equal(still.stem[1].running_mean, before)
    assert not torch.equal(drifting.stem[1].running_mean, before)


def test_evaluation_does_not_disturb_training(pictures):
    often = tl.Session(Net(), pictures, steps=20, freeze="stem", eval_every=1)
    seldom = tl.Session(Net(), pictures, steps=20, freeze="stem", eval_every=20)
    assert often.run().losses.tolist() == seldom.run().losses.tolist()
    assert len(of(Evaluated, often.events)) > len(of(Evaluated, seldom.events))


def test_evaluate_measures_the_split_it_names(run):
    run.at(7, tl.Evaluate("train"))
    run.run()
    measured = [event for event in of(Evaluated, run.events) if event.split == "train"]
    x, y = run.data.train.x, run.data.train.y
    assert [event.step for event in measured] == [7]
    assert 0 <= measured[0].accuracy <= 1
    run.model.eval()
    right = int((run.model(x).argmax(1) == y).sum())
    assert run._training.evaluate(run.data.train)["accuracy"] == right / len(y)


def test_stop_ends_the_run_with_a_result(run):
    run.at(13, tl.Stop())
    result = run.run()
    assert result.steps == 13 and result.reason == "stopped" and run.status == "stopped"
    assert result.accuracy is not None


def test_augmentation_changes_the_batches_and_only_from_then_on(pictures):
    plain = tl.Session(Net(), pictures, steps=20).run().losses
    run = tl.Session(Net(), pictures, steps=20)
    run.at(10, tl.Augment(0.8))
    varied = run.run().losses
    assert plain[:10].tolist() == varied[:10].tolist()
    assert plain[10] != varied[10]


def test_a_model_keeps_the_freezing_it_came_with_and_freeze_overrides_it(numbers):
    model = mlp()
    model.body.requires_grad_(False)
    assert [g.trainable for g in tl.Session(model, numbers).groups] == [False, True]
    assert [g.trainable for g in tl.Session(model, numbers, freeze=()).groups] == [True, True]


def test_what_trains_is_what_the_optimizer_holds(pictures, net):
    run = tl.Session(net, pictures, steps=12, freeze=("stem", "body"))
    run.at(4, tl.Unfreeze("body"))
    run.at(8, tl.Freeze("head"))
    seen = []
    for tick in range(12):
        run.at(tick, tl.Evaluate("valid"))
    run.run()
    for event in of(Applied, run.events):
        seen.append(event.trainable_after)
    sizes = {g.name: g.parameters for g in run.groups}
    assert seen[:4] == [sizes["head"]] * 4
    assert seen[-1] == sizes["body"]
    held = {
        id(p)
        for group in run._training.levers.optimizer.torch.param_groups
        for p in group["params"]
    }
    assert held == {id(p) for p in run.model.parameters() if p.requires_grad}


def test_sgd_trains_too(numbers):
    losses = tl.Session(mlp(), numbers, optimizer="sgd", lr=0.1, steps=40).run().losses
    assert losses[-5:].mean() < losses[:5].mean()


def test_any_module_can_be_steered_by_its_children(numbers):
    model = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2))
    assert [group.name for group in tl.Session(model, numbers).groups] == ["0", "2"]


def test_refused_commands_change_nothing(run):
    run.at(5, tl.SetLR("body", 1.0))
    run.at(5, tl.Freeze("head"))
    run.at(5, tl.Resume())
    run.at(5, tl.Augment(0.5))
    run.at(5, tl.Unfreeze("head"))
    clean = tl.Session(mlp(), run.data, steps=60, lr=1e-2, freeze="body", seed=3).run()
    assert run.run().losses.tolist() == clean.losses.tolist()
    reasons = [event.reason for event in of(Refused, run.events)]
    assert len(reasons) == 5
    assert "frozen, so a rate would do nothing" in reasons[0]
    assert "Everything would be frozen" in reasons[1]
    assert "not paused" in reasons[2]
    assert "nothing to augment" in reasons[3]
    assert "SetLR('head', 0.01)" in reasons[4]
