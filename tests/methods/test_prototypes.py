import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from sklearn.neighbors import NearestCentroid

import tlcourse as tl
from tlcourse.errors import DataError
from tlcourse.methods import (
    as_linear,
    by_distance,
    class_means,
    draw_episode,
    episode,
    fingerprint,
    head_apart,
    prototype_logits,
    prototypical,
)
from tlcourse.session import Batch, StepDone


def test_prototypes_are_means_and_logits_are_squared_distances():
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    means = class_means(x, torch.tensor([1, 1, 0]), 2)
    assert means.tolist() == [[0.0, 3.0], [1.0, 0.0]]
    assert prototype_logits(torch.tensor([[1.0, 1.0]]), means).tolist() == [[-5.0, -1.0]]


def test_the_nearest_prototype_is_scikit_learns(pixels):
    task = episode(pixels, ways=10, shots=5, queries=20)
    twin = NearestCentroid().fit(task.train.x.numpy(), task.train.y.numpy())
    assert by_distance(task).tolist() == twin.predict(task.test.x.numpy()).tolist()


def test_squared_distance_to_prototypes_is_a_linear_classifier():
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    x = torch.randn(30, 7, generator=generator, dtype=torch.float64)
    near, line = prototype_logits(x, means), as_linear(means)(x)
    torch.testing.assert_close(near + x.square().sum(1, keepdim=True), line)
    torch.testing.assert_close(near.softmax(1), line.softmax(1))


class Raw(torch.nn.Module):
    """Features are the numbers themselves, scaled by the one weight there is to learn."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(1, 1, bias=False)
        self.head = torch.nn.Linear(2, 2)
        torch.nn.init.ones_(self.body.weight)

    def features(self, x):
        return x * self.body.weight

    def forward(self, x):
        return self.head(self.features(x))


def test_the_loss_of_an_episode_by_hand(pixels):
    """Class means at 0 and at (2, 0); every query lies on its own mean but one."""
    x = torch.tensor([[-1.0, 0], [1, 0], [0, 0], [0, 0], [1, 0], [3, 0], [2, 0], [2, 0]])
    y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    split = replace(pixels.train, x=x, y=y, ids=tuple("abcdefgh"))
    batch = Batch(x, y, torch.zeros(8, 2), 3)
    draw = draw_episode(y, ways=2, shots=2, queries=2, number=3)
    total = 0.0
    means = [x[rows].mean(0) for rows in draw.support]
    for label, rows in enumerate(draw.query):
        for row in rows:
            near = [math.exp(-((x[row] - mean) ** 2).sum().item()) for mean in means]
            total += -math.log(near[label] / sum(near))
    value = prototypical(split, ways=2, shots=2, queries=2)(Raw(), batch)
    assert value.item() == pytest.approx(total / 4, rel=1e-5)
    value.backward()


def test_training_by_episodes_leaves_the_head_to_its_own_loss(model, digits):
    twin = deepcopy(model)
    term = prototypical(digits.train, ways=5, shots=3, queries=4)
    run = tl.Session(head_apart(model), digits, steps=30, lr=1e-2, terms={"episodes": term})
    run.run()
    values = [event.terms["episodes"] for event in run.events if isinstance(event, StepDone)]
    assert sum(values[-5:]) < 0.7 * sum(values[:5])
    term = prototypical(digits.train, ways=5, shots=3, queries=4)
    again = tl.replay(
        run.record, model=head_apart(deepcopy(twin)), data=digits, terms={"episodes": term}
    )
    assert again.exact
    without = deepcopy(twin)
    tl.Session(head_apart(without), digits, steps=5, lr=1e-2, weight_decay=0.0).run()
    assert [p.equal(q) for p, q in zip(without.parameters(), twin.parameters(), strict=True)] == [
        not name.startswith("head") for name, _ in twin.named_parameters()
    ]


def test_a_head_that_is_apart_learns_as_on_frozen_features(digits, model):
    apart = head_apart(model.eval())
    x, y = digits.train.x[:20].float() / 255, digits.train.y[:20]
    torch.nn.functional.cross_entropy(apart(x), y).backward()
    ours = model.head.weight.grad.clone()
    assert all(p.grad is None for p in (*model.stem.parameters(), *model.deep.parameters()))
    model.head.weight.grad = None
    features = model.features(x).detach()
    torch.nn.functional.cross_entropy(model.head(features), y).backward()
    assert torch.equal(ours, model.head.weight.grad)
    assert apart.model is model and fingerprint(apart, "head") == fingerprint(model, "head")


def test_what_cannot_be_is_said_before_the_run(digits):
    with pytest.raises(DataError, match="11 ways need"):
        prototypical(digits.train, ways=11)
    with pytest.raises(DataError, match=r"\[2, 0, 1\]"):
        class_means(torch.zeros(3, 2), torch.tensor([0, 0, 2]), 3)
