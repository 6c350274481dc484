"""What the features of `pocket_photos.py` are worth on photos of caltech24, in labels.

    python pretraining/evaluate_photos.py WEIGHTS [--size 64] [--scratch 10]

For 1, 2, 5, 10 and 20 labels a class, mean and standard deviation over seeds (each seed draws other
labels) of the accuracy on the 360 test photos:

frozen    the course's logistic probe on the frozen backbone's features
scratch   the same architecture, all of it trained on the same labels (AdamW, 150 steps of up to 32
          photos, half of them mirrored), from another initialisation with each seed; only for the
          numbers of labels given, because it takes minutes

The photos of caltech24 took no part in the pre-training: look once, at the end.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from photo_resnet import classifier

from tlcourse.data import Data, load_data
from tlcourse.methods import features, probe, reuse

LABELS = (1, 2, 5, 10, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--size", type=int, default=64, help="pixels of a photo's side")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scratch", type=int, nargs="*", default=[], choices=LABELS)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=3e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    everything = load_data("caltech24", size=options.size)
    cached = features(classifier(24, weights=options.weights), everything)
    for labels in LABELS:
        draws = [
            load_data("caltech24", labels_per_class=labels, size=options.size, seed=seed)
            for seed in range(options.seeds)
        ]
        frozen = [frozen_accuracy(reuse(cached, draw)) for draw in draws]
        print(f"{labels:3} labels a class  frozen {shown(frozen)}", flush=True)
    for labels in options.scratch:
        began, found = time.monotonic(), []
        for seed in range(options.seeds):
            draw = load_data("caltech24", labels_per_class=labels, size=options.size, seed=seed)
            found.append(scratch(draw, seed, options.steps, options.lr))
        seconds = (time.monotonic() - began) / options.seeds
        print(
            f"{labels:3} labels a class  scratch {shown(found)}  {seconds:.0f} s a run", flush=True
        )


def frozen_accuracy(draw: Data) -> float:
    return probe(draw).accuracy(draw.test)


def shown(accuracies: list[float]) -> str:
    values = 100 * np.array(accuracies)
    each = " ".join(f"{value:.1f}" for value in values)
    return f"{values.mean():5.1f} ± {values.std(ddof=1):4.1f} %  ({each})"


def scratch(data: Data, seed: int, steps: int, lr: float) -> float:
    model = classifier(len(data.classes), seed=seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randperm(len(data.train.y), generator=generator)[:32]
        x = data.train.x[index].float() / 255
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
        x = torch.where(mirrored, x.flip(3), x).contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(model(x), data.train.y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        hits = model(data.test.x.float() / 255).argmax(1) == data.test.y
    return hits.float().mean().item()


if __name__ == "__main__":
    main()
