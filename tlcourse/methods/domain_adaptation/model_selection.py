"""Which model is best on the target, if no label of the target may be read?

From a model's predictions on the target (probabilities (N, C)):

- `entropy`      mean uncertainty; small is good, though a constant prediction is small too
- `information`  certain on each example and varied over all: large is good
- `atc`          an estimate of the accuracy, from a confidence threshold

From labels of the source, weighted by how much each example resembles the target:

- `importance_weights`, then `importance_weighted` (IWV) or `dev`: an estimate of the target's risk

`model_selection_scores` gives all of them for one model.

Each assumes something that can fail: the first three, that confidence keeps its meaning on the target;
the last, that domains differ in which inputs occur, not in their labels. Test them where labels are
known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tlcourse.checks import choice
from tlcourse.errors import CommandError, DataError

if TYPE_CHECKING:
    from torch import nn

    from tlcourse.data import Split


def entropy(probabilities: Any) -> float:
    """Mean entropy of the predictions in nats, 0 (certain) to ln C (uniform).

    >>> round(entropy([[0.5, 0.5], [1.0, 0.0]]), 3)
    0.347
    """
    return float(_entropy(_checked(probabilities)).mean())


def information(probabilities: Any) -> float:
    """Mutual information of input and predicted class in nats, 0 to ln C: H(mean p) − mean H(p).

    Bridle et al. 1991; Shi & Sha 2012 for choosing among adapted models. A constant prediction has 0,
    however certain it is.
    """
    p = _checked(probabilities)
    return max(0.0, float(_entropy(p.mean(axis=0, keepdims=True))[0] - _entropy(p).mean()))


def atc(
    valid_probabilities: Any, valid_y: Any, target_probabilities: Any, *, score: str = "confidence"
) -> float:
    """The accuracy on the target, 0 to 1, estimated from confidence (ATC, Garg et al. 2022).

    The threshold is chosen so that the share of the source's validation examples below it equals the
    error there; the estimate is the share of target examples at or above it. On the validation set
    itself it gives the accuracy. valid_probabilities: (N, C) with true labels valid_y (N,);
    target_probabilities: (M, C). score: "confidence", the largest probability, or "entropy", minus
    the entropy.
    """
    scores = {"confidence": lambda p: p.max(axis=1), "entropy": lambda p: -_entropy(p)}
    choice(score, "score", scores, CommandError)
    valid, target = _checked(valid_probabilities), _checked(target_probabilities)
    y = np.asarray(valid_y)
    if y.shape != (len(valid),):
        raise DataError(f"{len(valid)} predictions need as many labels, not {y.shape}.")
    wrong = int((valid.argmax(axis=1) != y).sum())
    if wrong == len(valid):
        return 0.0
    threshold = np.sort(scores[score](valid))[wrong]
    return float((scores[score](target) >= threshold).mean())


def importance_weights(source: Any, target: Any, at: Any = None, *, C: float = 1.0) -> np.ndarray:
    """How many times as likely each example is in the target as in the source: (K,) weights > 0.

    A logistic classifier learns to tell target from source by standardised features; its odds, times
    n_source / n_target, are the ratio of the densities (Bickel et al. 2007). source: (n, D), target:
    (m, D) features to learn from; at: (K, D) features to weight, best other examples of the source; None
    means the source itself. C: inverse strength of the L2 penalty; choose it small if D is large and n
    is not. Check `effective_size` before you rely on the weights.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = _matrix(source, "source"), _matrix(target, "target")
    rows = x if at is None else _matrix(at, "at")
    if not x.shape[1] == y.shape[1] == rows.shape[1]:
        raise DataError(
            f"{x.shape[1]}, {y.shape[1]} and {rows.shape[1]} features: all must come from one model."
        )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
    classifier.fit(np.concatenate([x, y]), [0] * len(x) + [1] * len(y))
    return np.exp(classifier.decision_function(rows)) * (len(x) / len(y))


def effective_size(weights: Any) -> float:
    """The number of equally weighted examples with the same information: (Σw)² / Σw² (Kong 1992), 1
    to K.

    >>> effective_size([1.0, 1.0, 0.0])
    2.0
    """
    w = _numbers(weights, "weights")
    return float(w.sum() ** 2 / np.square(w).sum())


def importance_weighted(losses: Any, weights: Any) -> float:
    """The target's risk, estimated from the source's losses: mean(w · loss) (Sugiyama et al. 2007).

    losses: (K,) of labelled source examples that the model was not trained on, such as 0 for right and 1
    for wrong; weights: (K,) from `importance_weights`. In the losses' unit.
    """
    losses, w = _numbers(losses, "losses"), _numbers(weights, "weights")
    _same(losses, w)
    return float((w * losses).mean())


def dev(losses: Any, weights: Any) -> float:
    """The same risk with less variance: mean(w · loss) + η (mean(w) − 1), η = −Cov(w · loss, w) /
    Var(w).

    Deep embedded validation (You et al. 2019, algorithm 1): the weights should average 1; if they
    average more, w · loss is probably too large as well. Equal weights need no correction.
    """
    losses, w = _numbers(losses, "losses"), _numbers(weights, "weights")
    _same(losses, w)
    weighted, spread = w * losses, w.var()
    covariance = ((weighted - weighted.mean()) * (w - w.mean())).mean()
    eta = -covariance / spread if spread > 0 else 0.0
    return float(weighted.mean() + eta * (w.mean() - 1))


def model_selection_scores(
    model: nn.Module, train: Split, valid: Split, target: Split
) -> dict[str, float]:
    """Each score of a model, by name; for all of them larger is better.

    "accuracy at home" (on valid, the source's), "entropy" (negated), "information", "ATC", and "DEV"
    (negated, with the 0/1 error; the densities are learned from the model's features of train, valid
    and target, strongly regularised, C = 0.01). The target's labels are not read. Units differ from
    score to score: compare models by one score, not scores with each other.
    """
    import torch

    from tlcourse.methods.domain_adaptation.self_training import probabilities
    from tlcourse.models.inspection import evaluating

    on_valid, on_target = (probabilities(model, split).numpy() for split in (valid, target))
    y = np.asarray(valid.y)
    wrong = (on_valid.argmax(axis=1) != y).astype(float)
    with evaluating(model):
        features = [
            torch.cat([model.features(rows) for rows in split.x.split(256)])
            for split in (train, valid, target)
        ]
    weights = importance_weights(torch.cat(features[:2]), features[2], at=features[1], C=0.01)
    return {
        "accuracy at home": float(1 - wrong.mean()),
        "entropy": -entropy(on_target),
        "information": information(on_target),
        "ATC": atc(on_valid, y, on_target),
        "DEV": -dev(wrong, weights),
    }


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)


def _checked(probabilities: Any) -> np.ndarray:
    p = _matrix(probabilities, "probabilities")
    if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise DataError(
            "Rows of probabilities are ≥ 0 and sum to one: apply softmax to logits first."
        )
    return p


def _matrix(x: Any, name: str) -> np.ndarray:
    x = np.asarray(getattr(x, "x", x), dtype=np.float64)
    if x.ndim != 2 or not len(x):
        raise DataError(f"{name} must be (N, columns) with one row or more, not {x.shape}.")
    return x


def _numbers(x: Any, name: str) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 1 or not len(x):
        raise DataError(f"{name} must be (K,) numbers, one per example, not {x.shape}.")
    return x


def _same(losses: np.ndarray, weights: np.ndarray) -> None:
    if losses.shape != weights.shape:
        raise DataError(
            f"{len(losses)} losses and {len(weights)} weights: give one of each per example."
        )
