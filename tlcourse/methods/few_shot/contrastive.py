"""Contrastive fine-tuning on few labels: similar means same class (SetFit, Tunstall et al. 2022).

Eight labelled texts per class are few for a head, but they make hundreds of pairs. An encoder trained
to move same-class pairs together and other pairs apart gives features on which a logistic head needs
no more than those eight.

    few = load_data("banking77", labels_per_class=8)
    run = Session(head_apart(minilm), few, terms={"pairs": contrastive(few.train)}, lr=2e-5, steps=100)
    run.run()
    probe(features(minilm, few))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tlcourse.checks import choice, number, whole_number
from tlcourse.errors import CommandError, DataError
from tlcourse.methods.extra_batches import drawn
from tlcourse.methods.feature_extraction.features import check_features, normalised
from tlcourse.rng import checked_seed, fold_in, uniforms

if TYPE_CHECKING:
    from tlcourse.data import Split
    from tlcourse.session import Batch, Term

LOSSES = ("cosine", "supervised")


def draw_pairs(
    y: Tensor, count: int, *, seed: int = 0, step: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """`count` pairs of different examples, alternately of the same class and of two: (left, right,
    same).

    y: (N,) labels. left, right: (count,) int64 rows; same: (count,) bool, True first. A pure function of
    (seed, step). The first of a pair is any example that has a partner; its partner is any that fits.
    Raises DataError if no class has two examples, or there is only one class.

    >>> left, right, same = draw_pairs(torch.tensor([0, 0, 1]), 4)
    >>> same.tolist()
    [True, False, True, False]
    """
    count = whole_number(count, "The number of pairs", CommandError, 2)
    seed = checked_seed(seed, CommandError)
    y = torch.as_tensor(y).cpu()
    sizes = torch.bincount(y)
    if int((sizes > 0).sum()) < 2 or int(sizes.max()) < 2:
        raise DataError(
            f"Pairs need two classes or more, and two examples of one: here are {sizes.tolist()}. With "
            "one label per class use probe(kind='prototypes')."
        )
    has_partner = (sizes[y] > 1).nonzero().squeeze(1)
    key = fold_in(seed, "pairs", step)
    u = torch.from_numpy(uniforms(key, torch.arange(count).numpy(), 2))
    left, right = torch.empty(count, dtype=torch.int64), torch.empty(count, dtype=torch.int64)
    same = torch.arange(count) % 2 == 0
    for n in range(count):
        firsts = has_partner if same[n] else torch.arange(len(y))
        left[n] = firsts[int(u[n, 0] * len(firsts))]
        fits = (y == y[left[n]]) == same[n]
        fits[left[n]] = False
        partners = fits.nonzero().squeeze(1)
        right[n] = partners[int(u[n, 1] * len(partners))]
    return left, right, same


def cosine_loss(left: Tensor, right: Tensor, same: Tensor) -> Tensor:
    """Mean of (cos(left, right) − same)²: pairs (P, D), (P, D) and (P,) booleans → scalar, 0 to 4.

    The loss of sentence-transformers (Reimers & Gurevych 2019, section 3), which SetFit uses.
    """
    cosine = (normalised(left) * normalised(right)).sum(dim=-1)
    return (cosine - same.to(cosine)).square().mean()


def supervised_contrastive(features: Tensor, y: Tensor, *, temperature: float = 0.1) -> Tensor:
    """The supervised contrastive loss in nats (Khosla et al. 2020, eq. 2, L_out).

    For each example, the mean over the others of its class of −log softmax of their cosine similarity /
    temperature among all others; then the mean over the examples that have one (the paper sums).
    features: (N, D), of any length; y: (N,). 0 if no class has two examples.
    """
    number(temperature, "temperature", CommandError, above=0)
    unit = normalised(features)
    itself = torch.eye(len(y), dtype=torch.bool, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):
        similar = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    log_p = similar.log_softmax(dim=1).masked_fill(itself, 0.0)
    companions = (y[:, None] == y[None]) & ~itself
    counts = companions.sum(dim=1)
    each = -(log_p * companions).sum(dim=1) / counts.clamp(min=1)
    return each.sum() / (counts > 0).sum().clamp(min=1)


def contrastive(
    split: Split,
    loss: str = "cosine",
    *,
    pairs: int = 16,
    temperature: float = 0.1,
    seed: int = 0,
) -> Term:
    """A term of a run's loss that trains features by which examples share a class.

    split: few labelled texts (token ids) or pictures. loss: "cosine" over `pairs` pairs per step, half
    of them of the same class (SetFit), or "supervised" over the examples of those pairs, each once
    (Khosla et al. 2020, with `temperature`). (seed, step) alone decides which pairs. With
    `head_apart(model)` the features learn from nothing else, as in SetFit; with the model itself, also
    from its head.
    """
    choice(loss, "contrastive loss", LOSSES, CommandError)
    draw_pairs(split.y, pairs, seed=seed)
    labels = torch.as_tensor(split.y)

    def term(model: nn.Module, batch: Batch) -> Tensor:
        check_features(model)
        left, right, same = draw_pairs(labels, pairs, seed=seed, step=batch.step)
        rows, places = torch.cat([left, right]).unique(return_inverse=True)  # each text once
        found = model.features(drawn(split, rows, model, batch)).float()
        if loss == "supervised":
            y = labels[rows].to(found.device)
            return supervised_contrastive(found, y, temperature=temperature)
        first, second = found[places.to(found.device)].split(pairs)
        return cosine_loss(first, second, same.to(found.device))

    return term
