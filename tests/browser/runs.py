"""A small real run for the cockpit to show: digits, a net of five groups, about 10 ms a step."""

import time
from collections import OrderedDict

import torch
from torch import nn

import tlcourse as tl


def digits_run(
    steps: int = 4000, *, pace_s: float = 0.0, fail_at: int | None = None, **options
) -> tl.Session:
    """pace_s: what each step waits besides. fail_at: the step at which training raises."""
    data = tl.load_data("digits", labels_per_class=20, seed=0)
    calls = []

    def loss(logits, target):
        if logits.requires_grad:
            time.sleep(pace_s)
            calls.append(1)
            if len(calls) == fail_at:
                raise ValueError("the loss fell off the table")
        return nn.functional.cross_entropy(logits, target)

    return tl.Session(
        net(), data, steps=steps, lr=3e-3, freeze="backbone", loss=loss, seed=0, **options
    )


def small_weights(model, batch):
    """A further term of the loss: the mean square of the head's weights."""
    return sum(weight.square().mean() for weight in model.head.parameters())


def net() -> nn.Module:
    def stage(into: int, out: int) -> nn.Module:
        convolution = nn.Conv2d(into, out, 3, padding=1)
        return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = OrderedDict(stem=stage(3, 16), stage1=stage(16, 24), stage2=stage(24, 32))
        parts["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        parts["head"] = nn.Linear(32, 10)
        return nn.Sequential(parts)
