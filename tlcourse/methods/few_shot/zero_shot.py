"""Zero-shot: no labelled example, only descriptions of the classes.

An encoder places texts with similar meaning close together, so an example belongs to the class with the
closest description. The descriptions are the whole classifier: to change it, edit them.

    texts = {"card lost": "my card is gone", "top up": ["add money", "top up"]}
    described = describe(minilm, texts)
    zero_shot(described).predict(features(minilm, messages.test))
    described = describe(minilm, texts | {"card lost": "it was stolen"}, known=described)

With a pair of encoders such as CLIP's, give the arrays: `describe_by({"cat": (K, D) array, …})`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.checks import number
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.feature_extraction.features import check_features, normalised
from tlcourse.methods.feature_extraction.probes import Probe
from tlcourse.models.inspection import evaluating


@dataclass(frozen=True, eq=False)
class Described:
    """Classes and a direction for each. vectors: (C, D) float32 of length one, in the order of
    `classes`; texts: the descriptions they were computed from, if there were any."""

    classes: tuple[str, ...]
    vectors: Tensor = field(repr=False)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def embed(model: nn.Module, texts: Sequence[str], *, batch_size: int = 64) -> Tensor:
    """Features of texts, (N, D) float32 on the CPU, in eval mode. model: a text encoder."""
    check_features(model)
    if not callable(getattr(model, "tokens", None)):
        raise ModelError(
            f"{type(model).__name__} does not read texts: use a text encoder, such as minilm."
        )
    texts = list(texts)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise DataError("A description is empty: give one or more texts, none of them empty.")
    with evaluating(model):
        parts = [
            model.features(model.tokens(texts[start : start + batch_size])).float().cpu()
            for start in range(0, len(texts), batch_size)
        ]
    return torch.cat(parts)


def describe(
    model: nn.Module,
    descriptions: Mapping[str, str | Sequence[str]],
    *,
    known: Described | None = None,
) -> Described:
    """Class name → its description, or several of them, which are averaged (see `describe_by`).

    The order of the mapping is the order of the labels, so use that of data.classes. known: an earlier
    result of the same model; then only classes whose texts changed are embedded.
    """
    texts = {
        name: (text,) if isinstance(text, str) else tuple(text)
        for name, text in descriptions.items()
    }
    if empty := [name for name, own in texts.items() if not own]:
        raise DataError(
            f"Class {empty[0]!r} has no description: write one, even if it is only the name."
        )
    old = dict(zip(known.classes, known.vectors, strict=True)) if known else {}
    before = known.texts if known else {}
    new = [name for name in texts if texts[name] != before.get(name)]
    vectors = {name: old[name] for name in texts if name not in new}
    if new:
        found = embed(model, [text for name in new for text in texts[name]])
        for name, part in zip(new, found.split([len(texts[name]) for name in new]), strict=True):
            vectors[name] = _direction(part)
    return _described(texts, vectors, texts)


def describe_by(embeddings: Mapping[str, Any]) -> Described:
    """Class name → its embedding (D,), or several (K, D): arrays or tensors of the encoder's own space.

    Each is scaled to length one before averaging, so that all count the same (Radford et al. 2021,
    section 3.1.4, "prompt ensembling"), and the mean is scaled again.

    >>> described = describe_by({"left": [-1.0, 0.0], "right": [1.0, 0.0]})
    >>> zero_shot(described).predict(torch.tensor([[3.0, 1.0]])).tolist()
    [1]
    """
    vectors = {name: _direction(torch.as_tensor(part)) for name, part in embeddings.items()}
    return _described(embeddings, vectors, {})


def zero_shot(described: Described, *, temperature: float = 0.05) -> Probe:
    """A classifier by cosine similarity to the descriptions: predict, predict_proba, accuracy.

    It reads features (N, D) of the encoder (for a pair such as CLIP's, of the other encoder).
    temperature: > 0; the cosine is divided by it before the softmax. It changes how confident the
    probabilities are, never which class is first; CLIP learned 0.01.
    """
    number(temperature, "temperature", CommandError, above=0)

    def scores(rows: Tensor) -> Tensor:
        return (normalised(rows) @ described.vectors.T / temperature).double().softmax(dim=1)

    classes, width = described.classes, described.vectors.shape[1]
    return Probe("zero-shot", classes, width, has_proba=True, scores=scores)


def _described(
    names: Mapping[str, Any], vectors: Mapping[str, Tensor], texts: Mapping[str, tuple[str, ...]]
) -> Described:
    if len(names) < 2:
        raise DataError(
            f"{len(names)} class cannot be told apart from others: describe two or more."
        )
    widths = {len(vector) for vector in vectors.values()}
    if len(widths) > 1:
        raise DataError(
            f"Descriptions have {sorted(widths)} numbers: all must come from one encoder."
        )
    stacked = torch.stack([vectors[name] for name in names])
    return Described(tuple(names), stacked, dict(texts))


def _direction(rows: Tensor) -> Tensor:
    """One direction (D,) for one embedding (D,) or several (K, D)."""
    if rows.ndim not in (1, 2) or not rows.numel():
        raise DataError(f"An embedding is (D,), or several (K, D), not {tuple(rows.shape)}.")
    return normalised(normalised(rows.reshape(-1, rows.shape[-1])).mean(dim=0))
