"""What the features of `pocket_photos.py` are worth in labels, on photos or on surfaces.

    python pretraining/evaluate_photos.py [pocket-resnet | pocket-vit] [--data surfaces] [--scratch 10]

For 1, 2, 5, 10 and 20 labels a class, mean and standard deviation over seeds (each seed draws other
labels) of the accuracy on the test pictures:

frozen    the course's logistic probe on the frozen backbone's features
scratch   the same architecture, all of it trained on the same labels (AdamW, 150 steps of up to 32
          pictures, half of them mirrored), from another initialisation with each seed; only for the
          numbers of labels given, because it takes minutes

and the difference of the two over the same seeds. The photos of caltech24 took no part in the
pre-training; `docs/models` says how often they were looked at.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tlcourse.data import Data, load_data
from tlcourse.measure import interval, paired
from tlcourse.methods import features, probe, reuse
from tlcourse.models import load_model
from tlcourse.models.pocket import load_weights

LABELS = (1, 2, 5, 10, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="pocket-resnet")
    parser.add_argument("--weights", type=Path, help="default: those that are shipped")
    parser.add_argument("--data", default="caltech24")
    parser.add_argument("--size", type=int, default=64, help="pixels of a picture's side")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--scratch", type=int, nargs="*", default=[], choices=LABELS)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=3e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    everything = load_data(options.data, size=options.size)
    classes = everything.classes
    model = load_model(options.model, classes=classes, pretrained=not options.weights)
    if options.weights:
        load_weights(model.body, options.weights)
    cached, frozen = features(model, everything), {}
    for labels in LABELS:
        drawn = [draw(labels, seed, options) for seed in range(options.seeds)]
        frozen[labels] = [frozen_accuracy(reuse(cached, one)) for one in drawn]
        print(f"{labels:3} labels a class  frozen  {shown(frozen[labels])}", flush=True)
    for labels in options.scratch:
        began = time.monotonic()
        found = [scratch(labels, seed, options) for seed in range(options.seeds)]
        seconds = (time.monotonic() - began) / options.seeds
        print(f"{labels:3} labels a class  scratch {shown(found)}  {seconds:.0f} s a run")
        more = paired(interval(frozen[labels]), interval(found))
        print(f"{labels:3} labels a class  frozen − scratch {more.text}", flush=True)


def draw(labels: int, seed: int, options) -> Data:
    return load_data(options.data, labels_per_class=labels, size=options.size, seed=seed)


def frozen_accuracy(draw: Data) -> float:
    return probe(draw).accuracy(draw.test)


def shown(accuracies: list[float]) -> str:
    values = 100 * np.array(accuracies)
    each = " ".join(f"{value:.1f}" for value in values)
    return f"{values.mean():5.1f} ± {values.std(ddof=1):4.1f} %  ({each})"


def scratch(labels: int, seed: int, options) -> float:
    data = draw(labels, seed, options)
    model = load_model(options.model, classes=data.classes, pretrained=False, seed=seed).train()
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(options.steps):
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
