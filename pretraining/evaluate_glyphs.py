"""What pocket-glyphs's features are worth on handwritten digits, in labels.

    python pretraining/evaluate_glyphs.py [--weights FILE] [--seeds 5]

For 1, 2, 5, 10 and 20 labels a class, mean and standard deviation over seeds (each seed draws other
labels) of the accuracy on the 500 test digits:

frozen    the course's logistic probe on the frozen backbone's features
pixels    the same probe on the 8×8 pixels themselves
scratch   the same architecture, all of it trained on the same labels (AdamW, 150 steps of up to
          32 images, no augmentation), from another initialisation with each seed
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tlcourse.data import Data, Split, load_data
from tlcourse.methods import features, probe, reuse
from tlcourse.models import load_model
from tlcourse.models.pocket import load_weights

LABELS = (1, 2, 5, 10, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="default: those that are shipped")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--lr", type=float, default=1e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    backbone = load_model("pocket-glyphs", classes=10, pretrained=options.weights is None)
    if options.weights:
        load_weights(backbone.body, options.weights)
    everything = load_data("digits")
    deep, flat = features(backbone, everything), pixels(everything)

    print("labels  frozen          pixels          scratch         seconds of one scratch run")
    for labels in LABELS:
        rows = []
        for seed in range(options.seeds):
            data = load_data("digits", labels_per_class=labels, seed=seed)
            probes = [reuse(cached, data) for cached in (deep, flat)]
            began = time.monotonic()
            rows.append(
                [*(probe(cached).accuracy(cached.test) for cached in probes)]
                + [scratch(data, seed, options.steps, options.lr), time.monotonic() - began]
            )
        columns = np.array(rows).T
        cells = [f"{column.mean():6.1%} ± {column.std(ddof=1):5.1%}" for column in columns[:3]]
        print(f"{labels:6}  {'  '.join(cells)}  {np.median(columns[3]):.1f}", flush=True)


def floats(x: Tensor) -> Tensor:
    return x.float() / 255


def pixels(data: Data) -> Data:
    """The 8×8 grey values instead of pictures."""

    def flat(split: Split) -> Split:
        return replace(split, x=F.avg_pool2d(floats(split.x[:, :1]), 4).flatten(1))

    return replace(data, train=flat(data.train), valid=flat(data.valid), test=flat(data.test))


def scratch(data, seed: int, steps: int, lr: float) -> float:
    model = load_model("pocket-glyphs", classes=10, pretrained=False, seed=seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(seed)
    x, y = floats(data.train.x), data.train.y
    for _ in range(steps):
        index = torch.randperm(len(y), generator=generator)[:32]
        loss = F.cross_entropy(model(x[index]), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        return (model(floats(data.test.x)).argmax(1) == data.test.y).float().mean().item()


if __name__ == "__main__":
    main()
