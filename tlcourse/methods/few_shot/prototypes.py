"""Prototypical Networks: train features in which each class clusters around its mean (Snell et al.
2017).

`probe(kind="prototypes")` uses given features and compares directions. Here the features are trained on
many small tasks like those of the test, and compared by squared Euclidean distance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.errors import DataError
from tlcourse.methods.extra_batches import drawn
from tlcourse.methods.feature_extraction.features import check_features
from tlcourse.methods.few_shot.episodes import draw_episode

if TYPE_CHECKING:
    from tlcourse.data import Data, Split
    from tlcourse.session import Batch, Term


def class_means(features: Tensor, y: Tensor, classes: int) -> Tensor:
    """The prototypes (C, D): the mean of each class's features (Snell et al. 2017, eq. 1).

    features: (N, D); y: (N,) labels 0 … C − 1. Raises DataError for a class without an example.
    """
    counts = torch.bincount(y, minlength=classes)
    if len(counts) != classes or not counts.all():
        raise DataError(
            f"Prototypes are the means of {classes} classes, but the numbers of examples are "
            f"{counts.tolist()}: give at least one of every class."
        )
    sums = features.new_zeros(classes, features.shape[1]).index_add(0, y, features)
    return sums / counts[:, None].to(features)


def prototype_logits(features: Tensor, means: Tensor) -> Tensor:
    """Minus the squared Euclidean distance to each prototype: (N, D), (C, D) → (N, C), all ≤ 0.

    Their softmax is eq. 2 of Snell et al. 2017.
    """
    return -(features[:, None] - means[None]).square().sum(-1)


def as_linear(means: Tensor) -> nn.Linear:
    """The linear layer that predicts the same as the prototypes (C, D): weight 2c, bias −‖c‖².

    −‖x − c‖² = −‖x‖² + 2 c·x − ‖c‖², and the first term is the same for every class (Snell et al. 2017,
    section 2.4). So few-shot prototypes can initialise a head for fine-tuning.
    """
    layer = nn.utils.skip_init(nn.Linear, means.shape[1], len(means), dtype=means.dtype)
    with torch.no_grad():
        layer.weight.copy_(2 * means)
        layer.bias.copy_(-means.square().sum(dim=1))
    return layer


def by_distance(task: Data) -> Tensor:
    """Predict an episode's queries (features) by the nearest prototype; for `episode_accuracies`."""
    means = class_means(task.train.x.float(), task.train.y, len(task.classes))
    return prototype_logits(task.test.x.float(), means).argmax(dim=1)


def prototypical(
    split: Split, *, ways: int = 5, shots: int = 5, queries: int = 5, seed: int = 0
) -> Term:
    """A term of a run's loss: the mean cross-entropy of the queries of one episode of `split` per step.

    In nats; guessing gives ln(ways). (seed, step) alone decides the episode; too few classes or examples
    are refused at once. The paper trains with as many shots as the test has, and with more ways. Use it
    with `head_apart(model)` to train by episodes alone.

    >>> terms = {"episodes": prototypical(digits.train)}
    >>> run = tl.Session(tl.methods.head_apart(model), digits, terms=terms, steps=100)
    """
    how = {"ways": ways, "shots": shots, "queries": queries, "seed": seed}
    draw_episode(split.y, **how)

    def term(model: nn.Module, batch: Batch) -> Tensor:
        check_features(model)
        draw = draw_episode(split.y, **how, number=batch.step)
        rows = torch.cat([draw.support.flatten(), draw.query.flatten()])
        features = model.features(drawn(split, rows, model, batch)).float()
        support, query = features.split([ways * shots, ways * queries])
        means = support.reshape(ways, shots, -1).mean(dim=1)
        y = torch.arange(ways, device=query.device).repeat_interleave(queries)
        return F.cross_entropy(prototype_logits(query, means), y)

    return term
