"""How hard `surfaces` is at ten labels a class, and what is lost from one line to the other.

    python benchmarks/surfaces_worth.py [--models pocket-resnet@64 mobilenetv2@96 scratch@64] [--seeds 5]

A model is NAME@SIZE: its frozen features at that size and the course's logistic probe, learnt on ten
labels a class of line-a. `scratch` is pocket-resnet's architecture, all of it trained on the same
pictures: 150 steps of 32, AdamW at up to 3e-3 in one cycle, mirrored both ways. Percent of the 840 test
pictures of each line, mean ± standard deviation over seeds, each of which draws other labels.
"""

import argparse
import statistics
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data, Split, load_data
from tlcourse.methods import features, probe
from tlcourse.models import load_model

LABELS = 10


def frozen(name: str, size: int, seeds: int) -> list[tuple[float, float]]:
    tests = [load_data("surfaces", size=size, domain=line).test for line in ("line-a", "line-b")]
    model = load_model(name, classes=7)
    here, there = (features(model, test) for test in tests)
    found = []
    for seed in range(seeds):
        draw = load_data("surfaces", labels_per_class=LABELS, size=size, seed=seed)
        few = replace(
            draw, train=features(model, draw.train), valid=features(model, draw.valid), test=here
        )
        learnt = probe(few)
        found.append((learnt.accuracy(here), learnt.accuracy(there)))
    return found


def scratch(size: int, seeds: int) -> list[tuple[float, float]]:
    there = load_data("surfaces", size=size, domain="line-b").test
    found = []
    for seed in range(seeds):
        draw = load_data("surfaces", labels_per_class=LABELS, size=size, seed=seed)
        model = load_model("pocket-resnet", classes=7, pretrained=False, seed=seed)
        trained(model.to(memory_format=torch.channels_last), draw, seed)
        found.append((right(model, draw.test), right(model, there)))
    return found


def trained(model: nn.Module, data: Data, seed: int, steps: int = 150, lr: float = 3e-3) -> None:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randperm(len(data.train), generator=generator)[:32]
        x = data.train.x[index].float() / 255
        for axis in (2, 3):
            mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
            x = torch.where(mirrored, x.flip(axis), x)
        logits = model(x.contiguous(memory_format=torch.channels_last))
        optimizer.zero_grad()
        F.cross_entropy(logits, data.train.y[index]).backward()
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def right(model: nn.Module, split: Split) -> float:
    model.eval()
    logits: Tensor = torch.cat([model(part.float() / 255) for part in split.x.split(120)])
    return (logits.argmax(1) == split.y).float().mean().item()


def shown(values: tuple[float, ...]) -> str:
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--models",
        nargs="*",
        default=["scratch@64", "pocket-resnet@64"]
        + [f"mobilenetv2@{size}" for size in (64, 96, 128)],
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| learnt on line-a, at | line-a | line-b |\n|---|--:|--:|")
    for each in asked.models:
        name, _, size = each.partition("@")
        if name == "scratch":
            found = scratch(int(size), asked.seeds)
        else:
            found = frozen(name, int(size), asked.seeds)
        here, there = zip(*found, strict=True)
        print(f"| {name}, {size} px | {shown(here)} | {shown(there)} |", flush=True)


if __name__ == "__main__":
    main()
