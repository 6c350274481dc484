"""The real digits, and a small network with BatchNorm and dropout that was not trained on anything."""

import pytest
import torch
from torch import nn

import tlcourse as tl


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.deep = nn.Sequential(
            nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.5)
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(64, 10)
        self.recipe = {"name": "small", "classes": 10, "pretrained": False, "seed": 0}

    @property
    def groups(self):
        return {"stem": self.stem, "deep": self.deep, "head": self.head}

    def features(self, x):
        return self.pool(self.deep(self.stem(x)))

    def forward(self, x):
        return self.head(self.features(x))


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small()


@pytest.fixture(scope="session")
def digits():
    return tl.load_data("digits", labels_per_class=10, seed=0)


@pytest.fixture(scope="session")
def pixels(digits):
    """The digits' own pixels as features: real, deterministic, and known to be learnable."""
    from dataclasses import replace

    flat = {
        name: replace(split, x=split.x[:, 0, ::4, ::4].flatten(1).float())
        for name in ("train", "valid", "test")
        for split in [getattr(digits, name)]
    }
    return replace(digits, **flat)
