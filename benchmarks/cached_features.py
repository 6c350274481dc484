"""Cached features against a frozen forward pass every epoch: time ratio at equal accuracy.

    python benchmarks/cached_features.py [--tier public] [--epochs 10] [--rounds 3] [--threads 2]

Both ways train the same linear head on the same batches of the same pictures with the same optimizer.
The cached way pays for its features first. Rounds alternate who goes first; ratios are within a round,
median (lowest … highest).
"""

import argparse
import statistics
import time

import torch
from torch import nn

import tlcourse as tl

TASKS = {"public": ("caltech24", "mobilenetv2"), "pocket": ("surfaces", "pocket-resnet")}


def forward_every_time(name: str, data, steps: int) -> tuple[float, float]:
    model = tl.load_model(name, classes=data.classes)
    began = time.perf_counter()
    run = tl.Session(model, data, steps=steps, freeze="backbone", eval_every=steps)
    accuracy = run.run().accuracy
    return time.perf_counter() - began, accuracy


def cached(name: str, data, steps: int) -> tuple[float, float, float]:
    model = tl.load_model(name, classes=data.classes)
    began = time.perf_counter()
    rows = tl.features(model, data)
    asked = time.perf_counter()
    head = nn.Sequential()
    head.add_module("head", model.head)
    accuracy = tl.Session(head, rows, steps=steps, eval_every=steps).run().accuracy
    return time.perf_counter() - began, accuracy, time.perf_counter() - asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tier", choices=TASKS, default="public")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)

    dataset, name = TASKS[asked.tier]
    data = tl.load_data(dataset)
    steps = asked.epochs * (len(data.train) // 32)
    rows = []
    for number in range(asked.rounds):
        if number % 2:
            fast, slow = cached(name, data, steps), forward_every_time(name, data, steps)
        else:
            slow, fast = forward_every_time(name, data, steps), cached(name, data, steps)
        rows.append((slow, fast))
        print(f"  round {number}: {slow} {fast}", flush=True)

    def spread(values: list[float], digits: int = 3) -> str:
        low, high = min(values), max(values)
        return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"

    print(
        f"\n{dataset}, {name}, {asked.epochs} epochs of {len(data.train)}, {asked.threads} threads\n"
    )
    print("| figure | measured |\n|---|---|")
    print(f"| forward pass every epoch, s | {spread([s[0] for s, _ in rows], 1)} |")
    print(f"| cached / every epoch, features included | {spread([f[0] / s[0] for s, f in rows])} |")
    print(
        f"| cached / every epoch, once they are there | {spread([f[2] / s[0] for s, f in rows], 4)} |"
    )
    print(f"| test accuracy, every epoch | {spread([s[1] for s, _ in rows])} |")
    print(f"| test accuracy, cached | {spread([f[1] for _, f in rows])} |")


if __name__ == "__main__":
    main()
