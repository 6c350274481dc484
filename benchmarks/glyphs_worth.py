"""What `glyphs` is good for: episodes of scripts never seen, and a source for handwritten digits.

    python benchmarks/glyphs_worth.py [--seeds 5] [--steps 600]

Episodes: of each script that pocket-glyphs has seen nothing of, five characters by chance, one or
five pictures of each to learn from, and their test pictures to name. The nearest class mean of
pixels (8 × 8, how far from the paper's grey), and of pocket-glyphs's frozen features. Mean ± standard
deviation over episodes.

Source: pocket-glyphs's architecture from scratch, trained on glyphs' training pictures; then frozen,
the course's logistic probe on digits. Beside it the same body untrained. Mean ± standard deviation
over draws of the digits' labels. Prints Markdown for docs/data/glyphs.md.
"""

import argparse
from statistics import mean, stdev

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import load_data
from tlcourse.data.sources.glyphs import UNSEEN_BY_POCKET_GLYPHS
from tlcourse.methods import features, probe, reuse
from tlcourse.models import load_model

EPISODES, WAYS = 40, 5  # a script; characters
LABELS = (1, 5, 10, 20)


def percent(values: list[float]) -> str:
    return f"{100 * mean(values):.1f} ± {100 * stdev(values):.1f}"


def pixels(x: Tensor) -> Tensor:
    grey = F.avg_pool2d(x.float().mean(1, keepdim=True), 4).flatten(1)
    return (grey - grey.median(1, keepdim=True).values).abs()  # of the paper, be it light or dark


def named(train: Tensor, test: Tensor) -> float:
    """(ways, shots, D) and (ways, test, D): the share whose nearest class mean is its own."""
    means = F.normalize(F.normalize(train, dim=2).mean(1), dim=1)
    nearest = (F.normalize(test, dim=2) @ means.T).argmax(2)
    return (nearest == torch.arange(len(train))[:, None]).double().mean().item()


def episodes(encode: nn.Module | None) -> None:
    cells = []
    for script in UNSEEN_BY_POCKET_GLYPHS:
        every = load_data("glyphs", domain=script)
        seen = every if encode is None else features(encode, every)
        train, test = (
            (pixels(split.x) if encode is None else split.x)[split.y.argsort(stable=True)].view(
                len(every.classes), -1, 64 if encode is None else seen.train.x.shape[1]
            )
            for split in (seen.train, seen.test)
        )
        generator = torch.Generator().manual_seed(0)
        scores: dict[int, list[float]] = {1: [], 5: []}
        for _ in range(EPISODES):
            ways = torch.randperm(len(train), generator=generator)[:WAYS]
            order = torch.randperm(train.shape[1], generator=generator)
            for shots, found in scores.items():
                found.append(named(train[ways][:, order[:shots]], test[ways]))
        cells += [percent(found) for found in scores.values()]
    print(
        f"| {'pixels' if encode is None else 'pocket-glyphs'} | {' | '.join(cells)} |", flush=True
    )


def trained(steps: int) -> nn.Module:
    data = load_data("glyphs")
    model = load_model("pocket-glyphs", classes=data.classes, pretrained=False, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(data.train), (128,), generator=generator)
        loss = F.cross_entropy(model(data.train.x[rows].float() / 255), data.train.y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    cached = features(model, data)
    model.eval()
    with torch.inference_mode():
        right = (model.head(cached.test.x).argmax(1) == data.test.y).double().mean()
    print(f"\nTrained for {steps} steps of 128: {100 * right:.1f} % of glyphs' test set.\n")
    return model


def digits(name: str, model: nn.Module, seeds: int) -> None:
    cached, cells = features(model, load_data("digits")), []
    for labels in LABELS:
        draws = [load_data("digits", labels_per_class=labels, seed=seed) for seed in range(seeds)]
        heads = [probe(reuse(cached, draw)) for draw in draws]
        cells.append(percent([head.accuracy(cached.test) for head in heads]))
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600)
    asked = parser.parse_args()
    torch.set_num_threads(1)

    heads = [f"{s.replace('_', ' ')}, {k}" for s in UNSEEN_BY_POCKET_GLYPHS for k in (1, 5)]
    print(f"| % | {' | '.join(heads)} |\n|---|{'--:|' * len(heads)}")
    episodes(None)
    episodes(load_model("pocket-glyphs", classes=5))
    source = trained(asked.steps)
    print(f"| % of digits | {' | '.join(map(str, LABELS))} |\n|---|{'--:|' * len(LABELS)}")
    digits("untrained", load_model("pocket-glyphs", classes=10, pretrained=False), asked.seeds)
    digits("glyphs", source, asked.seeds)


if __name__ == "__main__":
    main()
