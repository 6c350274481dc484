"""An ordinary loop under `steer`: it takes commands, tells what happened, and stays an ordinary loop."""

import asyncio
import copy
import threading
import time
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tlcourse as tl
from tlcourse.errors import CommandError, SessionError
from tlcourse.session import Applied, Evaluated, Finished, Moved, Norms, Refused, StepDone, Warned
from tlcourse.session.commands import kinds
from tlcourse.session.guests.run import CAN, CANNOT

from .conftest import Net, of


def batches(count=10, size=16):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count * size, 3, 12, 12, generator=generator)
    y = torch.arange(count * size) % 3
    x[torch.arange(len(y)), y] += 0.5
    return list(zip(x.split(size), y.split(size), strict=True))


def only_head(model):
    """As tutorials freeze: what is frozen never reaches the optimizer."""
    model.stem.requires_grad_(False)
    model.body.requires_grad_(False)
    return torch.optim.AdamW(model.head.parameters(), lr=1e-2)


def train(steering, model, optimizer, after=lambda: None, batches=None):
    for x, y in steering if batches is None else batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after()
        if batches is None:
            steering.log(loss)


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_unless_steered_the_loop_is_what_it_was(net):
    bare = Net()
    train(None, bare, torch.optim.AdamW(bare.parameters(), lr=1e-2), batches=seeded(batches()))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    train(tl.steer(seeded(batches()), model=net, optimizer=optimizer), net, optimizer)
    assert torch.equal(flat(net), flat(bare))


def seeded(given):
    torch.manual_seed(5)
    yield from given


def test_a_backbone_unfrozen_live_moves_though_the_optimizer_never_held_it(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(), model=net, optimizer=optimizer, epochs=2)
    before = net.body[0].weight.detach().clone()
    steering.at(8, tl.Unfreeze("body", lr=1e-3))
    train(steering, net, optimizer)
    assert not torch.equal(net.body[0].weight, before)
    [applied], [moved] = of(Applied, steering.events), of(Moved, steering.events)
    assert applied.lrs == {"body": pytest.approx(1e-3), "head": 1e-2}
    assert applied.trainable_after - applied.trainable_before == sum(
        p.numel() for p in net.body.parameters()
    )
    assert moved.moved["body"] > 0 and moved.moved["stem"] == 0
    optimizer.load_state_dict(optimizer.state_dict())  # the optimizer is a sound one still


def test_what_the_optimizer_does_not_hold_is_frozen_whatever_its_requires_grad(net):
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)  # the only thing that says so
    steering = tl.steer(batches(8), model=net, optimizer=optimizer)
    assert [g.trainable for g in steering.groups] == [False, False, True]
    seen = []
    steering.at(4, tl.Unfreeze("body"))
    train(steering, net, optimizer, after=lambda: seen.append(net.body[0].weight.detach().clone()))
    assert torch.equal(seen[0], seen[3]) and not torch.equal(seen[3], seen[4])
    head, body = (sum(p.numel() for p in m.parameters()) for m in (net.head, net.body))
    [applied] = of(Applied, steering.events)
    assert (applied.trainable_before, applied.trainable_after) == (head, head + body)


def test_freezing_bites_at_once_and_for_good(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    steering.at(4, tl.Freeze("body"))
    seen = []
    train(steering, net, optimizer, after=lambda: seen.append(net.body[0].weight.detach().clone()))
    assert not torch.equal(seen[2], seen[3])
    assert all(torch.equal(seen[3], later) for later in seen[4:])


def test_a_frozen_batchnorm_stands_still_though_the_loop_calls_train(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    steering.at(3, tl.Freeze("stem"))
    steering.at(6, tl.Unfreeze("stem"))
    seen = []

    def note():
        seen.append(float(net.stem[1].running_mean.sum()))
        net.train()

    train(steering, net, optimizer, after=note)
    assert seen[2] == seen[3] == seen[5] != seen[6]


def test_what_was_frozen_before_goes_on_as_its_owner_wrote_it(net):
    optimizer = only_head(net)
    before = net.stem[1].running_mean.clone()
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    assert [g.stats for g in steering.groups if not g.trainable] == [False, False]
    train(steering, net, optimizer)
    assert not torch.equal(net.stem[1].running_mean, before)


def test_a_rewind_brings_back_weights_optimizer_freezing_and_random_numbers(net):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    same = batches(1) * 12  # one batch over and over, so that a repetition can be compared
    steering = tl.steer(same, model=net, optimizer=optimizer)
    steering.at(4, tl.Save("here"))
    steering.at(6, tl.Freeze("body"))
    steering.at(7, tl.AddLoRA("stem"))
    steering.at(8, tl.Rewind("here"))
    train(steering, net, optimizer)
    losses = [(e.step, e.loss) for e in of(StepDone, steering.events)]
    assert losses[4:6] == losses[8:10]  # dropout, BatchNorm and AdamW the same again
    back = of(Applied, steering.events)[-1]
    assert (back.tick, back.step, back.frozen) == (8, 4, ())
    assert [g.name for g in steering.groups] == ["stem", "body", "head"]
    assert steering.step == 8 and of(StepDone, steering.events)[-1].tick == 12
    assert {mark.name: mark.step for mark in steering.bookmarks} == {"start": 0, "here": 4}


def test_a_rewind_reaches_steps_where_something_was_done_and_names_them_otherwise(net):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    steering.at(3, tl.SetLR("head", 1e-3))
    steering.at(6, tl.Rewind(5))
    steering.at(7, tl.Rewind(3))
    train(steering, net, optimizer)
    [refused] = of(Refused, steering.events)
    assert "There are: 0, 3." in refused.reason
    assert of(Applied, steering.events)[-1].lrs["head"] == 1e-2  # as on arrival


def test_frozen_weights_that_the_loop_overwrote_are_not_pretended_to_be_brought_back(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    steering.at(3, tl.Rewind("start"))
    other = Net(seed=1).state_dict()
    train(steering, net, optimizer, after=lambda: net.load_state_dict(other))
    [refused] = of(Refused, steering.events)
    assert "written to by your own code" in refused.reason


def test_adapters_and_a_new_head_train(net):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    steering = tl.steer(batches(), model=net, optimizer=optimizer, epochs=2)
    steering.at(2, tl.AddLoRA("body", rank=2))
    steering.at(8, tl.SwapHead("mlp", lr=5e-3))
    steering.at(12, tl.SetScale("lora", 0.5))
    train(steering, net, optimizer)
    of_lora, of_head, _ = of(Moved, steering.events)
    assert of_lora.moved["lora"] > 0 and of_lora.moved["body"] == 0
    assert of_head.moved["head"] > 0
    kinds = {g.name: (g.kind, g.scale, g.lr) for g in steering.groups}
    assert kinds["lora"] == ("adapter", 0.5, 1e-2)
    assert kinds["head"] == ("layers", None, pytest.approx(5e-3))


def test_steps_are_optimizer_steps_not_batches(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    steering = tl.steer(batches(12), model=net, optimizer=optimizer, epochs=2)
    steering.at(2, tl.Freeze("body"))
    seen, planned = [], []
    for n, (x, y) in enumerate(steering):
        seen.append(net.body[0].weight.grad)
        loss = F.cross_entropy(net(x), y) / 4
        loss.backward()
        steering.log(loss * 4)
        if n == 5:
            steering.send(tl.SetLR("head", 0.01))  # in the midst of a step
        if n % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
        planned.append(steering.steps)
    done = of(StepDone, steering.events)
    assert [e.step for e in done] == [1, 2, 3, 4, 5, 6] and steering.steps == 6
    assert planned[8:] == [6] * 16
    applied = [(type(e.command), e.step) for e in of(Applied, steering.events)]
    assert applied == [(tl.Freeze, 2), (tl.SetLR, 2)]
    assert all(e.loss > 0.3 for e in done)  # the mean over the batches of a step


def test_what_is_told_reaches_the_curves(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(3), model=net, optimizer=optimizer)
    for n, (x, y) in enumerate(steering):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        if n == 1:
            steering.log(torch.tensor(0.25, requires_grad=True), accuracy=0.5)
    losses = [e.loss for e in of(StepDone, steering.events)]
    assert losses[1] == 0.25 and losses[0] != losses[0] and losses[2] != losses[2]
    [measured] = of(Evaluated, steering.events)
    assert (measured.step, measured.split, measured.accuracy) == (2, "valid", 0.5)
    kinds = [type(e) for e in steering.events]
    assert kinds.index(Evaluated) > [n for n, k in enumerate(kinds) if k is StepDone][1]


def test_gradients_are_measured_though_the_loop_zeroes_them(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    train(steering, net, optimizer, after=lambda: (optimizer.zero_grad(), time.sleep(0.01)))
    told = of(Norms, steering.events)
    assert told and all(value > 0 for value in told[0].grad.values())


def test_stop_ends_the_loop_and_the_loops_after_it(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    steering.at(4, tl.Stop())
    train(steering, net, optimizer)
    assert (steering.step, steering.status) == (4, "stopped")
    train(steering, net, optimizer)
    assert steering.step == 4 and len(of(Finished, steering.events)) == 1
    with pytest.raises(CommandError, match="comes too late"):
        steering.send(tl.Freeze("head"))


def test_a_loop_over_epochs_may_be_the_users_own(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(5), model=net, optimizer=optimizer)
    for _ in range(3):
        train(steering, net, optimizer)
    assert (steering.step, steering.epoch, steering.status) == (15, 3, "finished")


def test_steps_end_the_loop_and_repeat_the_loader(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(5), model=net, optimizer=optimizer, steps=12)
    train(steering, net, optimizer)
    assert (steering.step, steering.steps, steering.status) == (12, 12, "finished")


def test_a_loop_that_is_left_is_over_and_can_be_gone_on_with(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(5), model=net, optimizer=optimizer)
    for x, y in steering:
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        break
    assert steering.status == "stopped" and of(Finished, steering.events)[-1].reason == "stopped"
    train(steering, net, optimizer)
    assert (steering.step, steering.status) == (6, "finished")


def test_a_pause_holds_the_loop_until_it_is_resumed(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    steering.at(3, tl.Pause())
    beside = threading.Thread(target=train, args=(steering, net, optimizer))
    beside.start()
    wait_until(lambda: steering.status == "paused")
    steering.send(tl.Unfreeze("body"))  # acts while it is paused
    wait_until(lambda: len(of(Applied, steering.events)) == 2)
    assert steering.step == 3
    steering.send(tl.Resume())
    beside.join(60)
    assert steering.status == "finished"


def wait_until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_an_async_loop_lets_others_act_between_batches(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(20), model=net, optimizer=optimizer)

    async def loop():
        async for x, y in steering:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()

    async def hand():
        while steering.step < 5:
            await asyncio.sleep(0)
        steering.send(tl.Pause())
        while steering.status != "paused":
            await asyncio.sleep(0)
        steering.send(tl.Unfreeze("body"))
        steering.send(tl.Resume())

    async def both():
        await asyncio.gather(loop(), hand())

    asyncio.run(both())
    assert [type(e.command) for e in of(Applied, steering.events)] == [
        tl.Pause,
        tl.Unfreeze,
        tl.Resume,
    ]
    assert (steering.step, steering.status) == (20, "finished")


@pytest.mark.parametrize("kind", sorted(set(kinds()) - CAN))
def test_what_such_a_loop_cannot_do_is_refused_with_the_reason(net, kind):
    steering = tl.steer([], model=net, optimizer=only_head(net))
    arguments = {"branch": ("b",), "augment": (0.5,), "set_weight": ("t", 1.0)}.get(kind, ())
    with pytest.raises(CommandError) as refusal:
        steering.send(kinds()[kind](*arguments))
    assert str(refusal.value) == CANNOT[kind] + " A Session can do it."
    assert kind not in steering.can


def test_what_can_be_seen_to_be_wrong_is_refused_at_once(net):
    steering = tl.steer([], model=net, optimizer=only_head(net))
    with pytest.raises(CommandError, match="Did you mean 'body'"):
        steering.send(tl.Freeze("bdy"))
    with pytest.raises(SessionError, match="not a number|whole number"):
        tl.steer([], model=net, optimizer=only_head(net), epochs=0)
    with pytest.raises(SessionError, match="one vector"):
        tl.steer([], model=net, optimizer=torch.optim.LBFGS(net.parameters()))
    with pytest.raises(SessionError, match="such as AdamW, not str"):
        tl.steer([], model=net, optimizer="adamw")


def test_a_cell_that_is_run_again_does_not_steer_twice(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        steering = tl.steer(batches(2), model=net, optimizer=optimizer)
        steering.at(0, tl.SetLR("head", 0.05))
        train(steering, net, optimizer)
        assert of(Applied, steering.events)[0].lrs["head"] == pytest.approx(0.05)
    before = [p.detach().clone() for p in net.head.parameters()]
    steering = tl.steer(batches(1), model=net, optimizer=optimizer)
    grads = []
    train(
        steering, net, optimizer, after=lambda: grads.extend(p.grad for p in net.head.parameters())
    )
    for p, was, grad in zip(net.head.parameters(), before, grads, strict=True):
        assert torch.allclose(was - p.detach(), 0.1 * grad, atol=1e-7)


def test_a_cockpit_shows_it(net):
    optimizer = only_head(net)
    steering = tl.steer(batches(), model=net, optimizer=optimizer)
    cockpit = tl.Cockpit(steering)
    train(steering, net, optimizer)
    wait_until(lambda: cockpit.saved["now"]["status"] == "finished")
    assert cockpit.saved["can"] == sorted(CAN)
    assert cockpit.saved["now"]["lost"] is None


@pytest.mark.parametrize("told", [False, True])
def test_a_cockpit_takes_silence_for_silence_and_nan_for_divergence(net, told):
    optimizer = only_head(net)
    steering = tl.steer(batches(4), model=net, optimizer=optimizer)
    cockpit = tl.Cockpit(steering)
    for n, (x, y) in enumerate(steering):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
        if told:
            steering.log(float("nan") if n > 1 else 0.5)
    wait_until(lambda: cockpit.saved["now"]["status"] == "finished")
    assert cockpit.saved["now"]["lost"] == (3 if told else None)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.embedding = nn.Embedding(5, 4)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(9))
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.layers[0].weight.requires_grad_(False)


def test_any_model_falls_into_groups():
    model = Tied()
    besides = nn.Parameter(torch.zeros(2))
    held = [p for p in model.parameters() if p.requires_grad] + [besides]
    steering = tl.steer([], model=model, optimizer=torch.optim.SGD(held, lr=0.1))
    assert {g.name: (g.parameters, g.trainable) for g in steering.groups} == {
        "besides": (2, True),
        "rest": (4, True),
        "embedding": (20, True),
        "layers.0-1, fixed": (16, False),
        "layers.0-1": (24, True),
        "layers.2-3": (40, True),
        "layers.4-5": (40, True),
        "layers.6-8": (60, True),
    }
    named = {"low": ["embedding", "layers.0"], "high": model.layers[1:]}
    steering = tl.steer([], model=model, optimizer=torch.optim.SGD(held, lr=0.1), groups=named)
    assert [g.name for g in steering.groups] == ["besides", "rest", "low, fixed", "low", "high"]
    with pytest.raises(tl.errors.ModelError, match="no part 'laers'"):
        tl.steer([], model=model, optimizer=torch.optim.SGD(held, lr=0.1), groups={"a": "laers"})


def test_a_schedule_shows_in_the_rates():
    """A schedule of the loop's own turns the rates without a command; a cockpit draws that, too."""
    from tlcourse.ui.cockpit.story import Story

    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=60)
    steering = tl.steer([torch.rand(4, 8)] * 60, model=model, optimizer=optimizer)
    story = Story(steering)
    for batch in steering:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
        schedule.step()
        time.sleep(0.01)
    story.read()
    shown = [entry["lrs"]["0"] for entry in story.rates]
    assert len(shown) >= 3 and shown == sorted(shown, reverse=True) and shown[-1] < 0.08


def test_what_comes_too_late_for_a_loop_is_refused_and_harms_nothing():
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    steering = tl.steer([torch.rand(4, 8)] * 6, model=model, optimizer=optimizer)
    head = model[2]
    steering.at(6, tl.SwapHead())
    steering.at(100, tl.Freeze("0"))
    for batch in steering:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    assert model[2] is head
    assert [e.reason for e in of(Refused, steering.events)] == [
        "The loop has taken all its steps, so nothing would train with this.",
        "The loop ended at step 6, before step 100 came.",
    ]


# -- the owner's own hand ------------------------------------------------------------------------


def small_mlp():
    torch.manual_seed(0)
    parts = {"body": nn.Linear(8, 16), "act": nn.ReLU(), "head": nn.Linear(16, 2)}
    return nn.Sequential(OrderedDict(parts))


OWN_WAYS = {  # how a loop unfreezes by itself, from a model whose body does not train
    "flags": (lambda net: net.parameters(), lambda net, _: net.body.requires_grad_(True)),
    "another group": (
        lambda net: net.head.parameters(),
        lambda net, o: o.add_param_group({"params": list(net.body.parameters()), "lr": 0.05}),
    ),
}


@pytest.mark.parametrize("way", OWN_WAYS)
def test_what_the_loop_does_by_itself_is_shown_and_can_be_taken_back(numbers, way):
    held, thaw = OWN_WAYS[way]
    net, shown = small_mlp(), []
    net.body.requires_grad_(way != "flags")
    optimizer = torch.optim.SGD(held(net), lr=0.05)
    batch = numbers.train.x[:16], numbers.train.y[:16]
    steering = tl.steer([batch] * 12, model=net, optimizer=optimizer)
    steering.at(3, tl.SetLR("head", 0.1))
    steering.at(8, tl.Rewind("start"))
    start = copy.deepcopy(net.state_dict())
    for n, (x, y) in enumerate(steering):
        shown.append(steering.groups[0].trainable)
        if n == 4:
            thaw(net, optimizer)
        if n == 8:
            assert all(torch.equal(now, start[name]) for name, now in net.state_dict().items())
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steering.log(loss)
    assert shown == [False] * 5 + [True] * 3 + [False] * 4
    assert of(Moved, steering.events)[0].moved["body"] > 0
    assert "Your code unfroze body." in [e.text for e in of(Warned, steering.events)]


def test_parameters_that_the_loop_adds_are_a_group_of_their_own(numbers):
    net, extra = small_mlp(), nn.Parameter(torch.zeros(16))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    steering = tl.steer([0] * 6, model=net, optimizer=optimizer)
    steering.at(3, tl.SetLR("head", 0.1))
    for n, _ in enumerate(steering):
        if n == 1:
            optimizer.add_param_group({"params": [extra]})
        optimizer.zero_grad()
        (net(numbers.train.x[:16]).square().mean() + (extra - 1).square().sum()).backward()
        optimizer.step()
    assert [group.name for group in steering.groups] == ["besides", "body", "head"]
    assert of(Moved, steering.events)[0].moved["besides"] > 0


@pytest.mark.parametrize(
    "measured",
    [
        {"loss": torch.zeros(3)}, {"loss": "0.5"}, {"loss": 1j}, {"loss": True}, {"accuracy": 87.0},
        {"accuracy": float("nan")}, {"accuracy": torch.tensor([0.1, 0.2])}, {"valid_loss": [1.0]},
        {"loss": torch.zeros(1, dtype=torch.complex64)},
    ],
)  # fmt: skip
def test_what_is_logged_is_checked_at_the_call(net, measured):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    steering = tl.steer([1], model=net, optimizer=optimizer)
    with pytest.raises(CommandError, match="is (a|one) number|goes from 0 to 1"):
        steering.log(**measured)
    steering.report(**measured)  # as a trainer's callback does: told once, never raised
    steering.report(**measured)
    assert len(of(Warned, steering.events)) == 1
