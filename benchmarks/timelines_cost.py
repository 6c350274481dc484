"""What does time travel cost, and what streaming?

    python benchmarks/timelines_cost.py [--rounds 15] [--threads 2] [--only head lora full twin stream]

head, lora, full: resnet18 at 64 px of which the head trains, or adapters of rank 8 and the head, or all.
For each: `snapshot`, to keep a moment (ms, and MB that it holds and the run does not); `rewind`, to put
the run back into a kept moment that was trained past (ms); `step`, for comparison. twin: the time of a
step with a twin beside over one without, interleaved, of the same three. stream: bytes and µs of Python
a step for telling a view ten times a second of steps that come at 1,000 a second. Figures: median
(lowest … highest).
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch
import works
from session_overhead import spread

import tlcourse as tl
from tlcourse.session.events import StepDone
from tlcourse.session.timelines.snapshot import History, own_bytes, restore, take
from tlcourse.session.timelines.timelines import _live
from tlcourse.ui.cockpit.story import Story

T = TypeVar("T")
KINDS = {"head": "head only", "lora": "LoRA, rank 8, and head", "full": "everything"}


def session(kind: str) -> tl.Session:
    data = works.work("resnet").data
    model = tl.load_model("timm/resnet18", classes=data.classes, pretrained=False)
    freeze = None if kind == "full" else "backbone"
    run = tl.Session(model, data, steps=10**6, freeze=freeze, batch_size=works.BATCH, device="cpu")
    if kind == "lora":
        from tlcourse.session.engine.apply import apply

        apply(tl.AddLoRA("backbone"), run._training)
    return run


def timed(act: Callable[[], T]) -> tuple[float, T]:
    """(ms, what came of it)."""
    began = time.perf_counter()
    made = act()
    return (time.perf_counter() - began) * 1e3, made


def moments(kind: str, rounds: int) -> Iterator[str]:
    """snapshot and rewind, in a run that trains on between them."""
    t = session(kind)._training
    for _ in range(2):
        t.train_step()
    steps, takes, restores = [], [], []
    for _ in range(rounds):
        ms, kept = timed(lambda: take(t, History()))
        takes.append(ms)
        steps.append(timed(t.train_step)[0])
        restores.append(timed(partial(restore, t, kept))[0])
    trained = sum(p.numel() for p in t.model.parameters() if p.requires_grad)
    yield f"| resnet18, 64 px | {KINDS[kind]} | {trained:,} | {spread(takes, 2)} "
    yield f"| {own_bytes([kept], _live(t)) / 1e6:.2f} | {spread(restores, 2)} | {spread(steps, 1)} |"


def twin(kind: str, rounds: int) -> str:
    """One step of the run, then one of both, again and again."""
    t = session(kind)._training
    beside = t.fork("twin")
    for _ in range(2):
        t.train_step(), beside.train_step()
    ratios = []
    for _ in range(rounds):
        alone = timed(t.train_step)[0]
        beside.train_step()
        both = timed(t.train_step)[0] + timed(beside.train_step)[0]
        ratios.append(both / alone)
    return f"| resnet18, 64 px | {KINDS[kind]} | {spread(ratios)} |"


def stream(rounds: int) -> tuple[str, str]:
    """(bytes a step, µs a step) of reading the news and packing them, as the messenger does."""
    work = works.work("mlp")
    run, _ = works.session(work)
    story = Story(run)
    story.snapshot()
    sizes, costs, per = [], [], 100
    for turn in range(rounds + 5):
        at = turn * per
        run.events += [StepDone(at + n + 1, at + n + 1, "main", 0.5) for n in range(per)]
        began = time.perf_counter()
        content, buffers = story.read()
        text = json.dumps(content).encode()
        costs.append((time.perf_counter() - began) * 1e6 / per)
        sizes.append((len(text) + sum(map(len, buffers))) / per)
    return spread(sizes[5:], 1), spread(costs[5:], 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    choices = [*KINDS, "twin", "stream"]
    parser.add_argument("--only", nargs="+", default=choices, choices=choices)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    print(f"\ntorch {torch.__version__}, {asked.threads} threads, {asked.rounds} rounds\n")
    kinds = [kind for kind in KINDS if kind in asked.only]
    if kinds:
        print("| model | trains | parameters | snapshot, ms | MB | rewind, ms | step, ms |")
        print("|---|---|---|---|---|---|---|")
    for kind in kinds:
        print("".join(moments(kind, asked.rounds)))
    if "twin" in asked.only:
        print("\n| model | trains | step with twin / without |\n|---|---|---|")
        for kind in KINDS:
            print(twin(kind, asked.rounds))
    if "stream" in asked.only:
        sizes, costs = stream(asked.rounds)
        print("\n| streaming, 1,000 steps a second | |\n|---|---|")
        print(f"| bytes a step | {sizes} |\n| Python, µs a step | {costs} |")


if __name__ == "__main__":
    main()
