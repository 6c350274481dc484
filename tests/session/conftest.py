"""Small real runs: eight numbers to two classes for the mechanics, 8×8 pictures for the rest."""

import pytest
import torch
from torch import nn

import tlcourse as tl
from tlcourse.data import Data, Split


def split(x, y, first, last):
    return Split(x[first:last], y[first:last], tuple(str(i) for i in range(first, last)))


@pytest.fixture(scope="session")
def numbers():
    return make_numbers()


def make_numbers():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(300, 8, generator=generator)
    y = (x[:, :4].sum(1) > x[:, 4:].sum(1)).long()
    return Data(
        name="numbers",
        title="numbers",
        train=split(x, y, 0, 200),
        valid=split(x, y, 200, 250),
        test=split(x, y, 250, 300),
        classes=("less", "more"),
        recipe={},
    )


@pytest.fixture(scope="session")
def pictures():
    return make_pictures()


def make_pictures():
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(240) % 3
    noise = torch.randint(0, 120, (240, 3, 12, 12), generator=generator, dtype=torch.uint8)
    for label in range(3):  # each class is bright in one colour
        noise[y == label, label] += 100
    return Data(
        name="pictures",
        title="pictures",
        train=split(noise, y, 0, 160),
        valid=split(noise, y, 160, 200),
        test=split(noise, y, 200, 240),
        classes=("red", "green", "blue"),
        recipe={},
    )


class Net(nn.Module):
    """BatchNorm and dropout, so that everything that can go wrong with replay is in it."""

    def __init__(self, classes=3, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
            self.body = nn.Sequential(
                nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
            )
            self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(8, classes))

    def forward(self, x):
        return self.head(self.body(self.stem(x)))


def mlp(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential()
        model.add_module("body", nn.Sequential(nn.Linear(8, 16), nn.ReLU()))
        model.add_module("head", nn.Linear(16, 2))
    return model


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def run(numbers):
    """A run of a small MLP whose body is frozen."""
    return tl.Session(mlp(), numbers, steps=60, lr=1e-2, freeze="body", seed=3)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]
