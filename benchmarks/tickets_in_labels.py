"""How hard `tickets` is: accuracy on the 300 test tickets of a domain, by labels an intent.

    python benchmarks/tickets_in_labels.py [--seeds 5]

words     TF-IDF of words and pairs of words, logistic regression (scikit-learn)
encoder   minilm's frozen features, the course's logistic probe

Within a domain and carried to the other one. Mean ± standard deviation over seeds, each of which
draws other labels; "all" is the whole pool, of which there is one. Prints Markdown for
docs/data/tickets.md.
"""

import argparse
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from tlcourse.data import Data, Split, domains, load_data
from tlcourse.methods import probe, reuse
from tlcourse.models import load_model

LABELS = (1, 5, 10, 20, 40, None)


def words(train: Split, test: Split) -> float:
    """The share of `test` that a bag of words gets right."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    model.fit(train.texts, train.y.numpy())
    return float(np.mean(model.predict(test.texts) == test.y.numpy()))


@torch.inference_mode()
def encoded(encoder: nn.Module, data: Data) -> Data:
    """The encoder's frozen features instead of tokens."""

    def of(split: Split) -> Split:
        return replace(split, x=torch.cat([encoder.features(part) for part in split.x.split(64)]))

    return replace(data, train=of(data.train), valid=of(data.valid), test=of(data.test))


def cell(values: list[float]) -> str:
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def rows(source: str, target: str, cached: dict[str, Data], seeds: int) -> list[str]:
    """A row for each way to read, from `source`'s labels to `target`'s test set."""
    found: dict[str, list[str]] = {"words": [], "encoder": []}
    for labels in LABELS:
        values: dict[str, list[float]] = {"words": [], "encoder": []}
        for seed in range(seeds if labels else 1):
            data = load_data("tickets", domain=source, labels_per_class=labels, seed=seed)
            test = load_data("tickets", domain=target, labels_per_class=1).test
            values["words"].append(words(data.train, test))
            head = probe(reuse(cached[source], data), kind="logistic")
            values["encoder"].append(head.accuracy(cached[target].test))
        for way in found:
            found[way].append(cell(values[way]))
    where = source if source == target else f"{source} → {target}"
    return [f"| {where} | {way} | {' | '.join(cells)} |" for way, cells in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)

    every = {domain: load_data("tickets", domain=domain) for domain in domains("tickets")}
    encoder = load_model("minilm", classes=every["shop"].classes).eval()
    cached = {domain: encoded(encoder, data) for domain, data in every.items()}
    print(f"| % | | {' | '.join(str(labels or 'all') for labels in LABELS)} |")
    print(f"|---|---|{'--:|' * len(LABELS)}")
    for source, target in (("shop",) * 2, ("clinic",) * 2, ("shop", "clinic"), ("clinic", "shop")):
        print("\n".join(rows(source, target, cached, asked.seeds)), flush=True)


if __name__ == "__main__":
    main()
