"""Adversarial domain adaptation (DANN): features from which no discriminator can tell the domain.

A small network learns to tell source from target by their features. Between features and network is a
layer that is the identity in the forward pass and reverses the gradient in the backward pass, so the
step that improves the discriminator makes the features harder to discriminate.

    model = with_domain(load_model(…))
    run = Session(model, photos, terms={"domain": adversarial(sketches.train, steps=300)}, steps=300)

It can hurt: if class frequencies differ between the domains, features that hide the domain must
confuse classes (Zhao et al. 2019).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks import whole_number
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.extra_batches import ExtraBatches, features_of_both
from tlcourse.methods.wrapped_model import Wrapped
from tlcourse.rng import checked_seed, initial_seed, seeded

if TYPE_CHECKING:
    from tlcourse.data import Split
    from tlcourse.session import Batch, Term


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    """x unchanged; its gradient is multiplied by −strength (Ganin et al. 2016)."""
    return _Reverse.apply(x, strength)


def reversal(progress: float, gamma: float = 10.0) -> float:
    """The strength λ of the reversal, from 0 at progress 0 to almost 1 at progress 1:
    2 / (1 + exp(−γ p)) − 1, with the γ of Ganin et al. 2016.

    So the discriminator learns something before the features start to adapt against it.
    """
    return 2 / (1 + math.exp(-gamma * progress)) - 1


class WithDomain(Wrapped):
    """A model with a domain discriminator as one more parameter group, "domain", before the head."""

    def __init__(self, model: nn.Module, domain: nn.Module) -> None:
        super().__init__(model)
        self.domain = domain

    @property
    def groups(self) -> dict[str, nn.Module]:
        *body, (head, module) = super().groups.items()
        return {**dict(body), "domain": self.domain, head: module}


def with_domain(
    model: nn.Module, *, width: int | None = None, hidden: int = 100, seed: int = 0
) -> WithDomain:
    """The model, with a discriminator (D → hidden → 1) next to its head, trained by the run's optimizer.

    Groups, features and predictions do not change; `.model` is the model without the discriminator.
    "backbone" includes the discriminator, so give it a rate of its own: lr={"backbone": 1e-4,
    "domain": 1e-3, "head": 1e-3}. width: D; None means the input width of the head's linear
    layer. hidden: units; the paper uses 100 for digits. seed: of the discriminator's initial weights.
    """
    if "domain" in getattr(model, "groups", {}):
        raise ModelError('This model has a group "domain" already; use it as it is.')
    hidden = whole_number(hidden, "hidden", CommandError, 1)
    width = _width(model) if width is None else whole_number(width, "width", CommandError, 1)
    seed = checked_seed(seed, CommandError)
    with seeded(initial_seed(seed, "domain")):
        domain = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))
    like = next(model.parameters())
    return WithDomain(model, domain.to(like.device, like.dtype))


def adversarial(
    target: Split,
    *,
    steps: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    augment: float = 0.0,
) -> Term:
    """A term of a run's loss: the discriminator's, whose gradient reaches the features reversed.

    Mean binary cross-entropy in nats over a batch of the source and as many examples of the target,
    whose labels are never read. ln 2 = 0.693 means that the discriminator guesses, which is the goal.
    steps: of the run, over which the reversal grows (see `reversal`); None means λ = 1 from the first
    step. SetWeight scales the whole term, for features and discriminator alike. augment: use the run's
    own strength. The model must come from `with_domain`.
    """
    if steps is not None:
        steps = whole_number(steps, "steps", CommandError, 1, also=", or None")
    extra = ExtraBatches(target, seed=seed, batch_size=batch_size, augment=augment)

    def term(model: nn.Module, batch: Batch) -> Tensor:
        domain = getattr(model, "domain", None)
        if domain is None:
            raise ModelError(
                f"{type(model).__name__} has no domain discriminator: train with_domain(model)."
            )
        source, other = features_of_both(model, batch.x, extra.matching(batch)[0])
        strength = reversal(batch.step / steps) if steps else 1.0
        logits = domain(reverse_gradient(torch.cat([source, other]), strength)).squeeze(1).float()
        is_target = (torch.arange(len(logits), device=logits.device) >= len(source)).float()
        return F.binary_cross_entropy_with_logits(logits, is_target)

    return term


def domain_distance(source: Tensor, target: Tensor, *, seed: int = 0) -> float:
    """The proxy A-distance, 2 (1 − 2ε) (Ben-David et al. 2007): how well two domains can be told apart.

    ε is the balanced error of a linear classifier trained on one half of each domain and tested on the
    other. source: (n, D), target: (m, D) features, n and m ≥ 4. Returns −2 to 2: about 0 means that they
    cannot be told apart, 2 that the classifier makes no mistake. It uses a new classifier, because the
    run's own discriminator may simply have stopped learning.

    >>> domain_distance(torch.zeros(8, 2), torch.ones(8, 2))
    2.0
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if source.ndim != 2 or target.ndim != 2 or source.shape[1:] != target.shape[1:]:
        raise DataError(
            f"Features {tuple(source.shape)} and {tuple(target.shape)} must both be (n, D) of one model."
        )
    if min(len(source), len(target)) < 4:
        raise DataError(f"{len(source)} and {len(target)} examples: give at least 4 of each.")
    seed = checked_seed(seed, CommandError)
    halves: list[tuple[Tensor, Tensor]] = []
    for x in (source, target):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        halves.append((x[order[: len(x) // 2]], x[order[len(x) // 2 :]]))
    train = torch.cat([first for first, _ in halves]).double().numpy()
    labels = [0] * len(halves[0][0]) + [1] * len(halves[1][0])
    judge = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    ).fit(train, labels)
    wrong = [
        float((judge.predict(rest.double().numpy()) != label).mean())
        for label, (_, rest) in enumerate(halves)
    ]
    return 2 * (1 - sum(wrong))  # the error is the mean of the two


def _width(model: nn.Module) -> int:
    head = getattr(model, "head", None)
    linear = [m for m in head.modules() if isinstance(m, nn.Linear)] if head is not None else []
    if not linear:
        raise ModelError(
            f"{type(model).__name__} has no linear head that shows how many features there are: call "
            "with_domain(model, width=D)."
        )
    return linear[0].in_features
