"""Counting right and wrong answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlcourse.errors import DataError


def accuracy(predicted: Any, target: Any) -> float:
    """The share of equal labels, 0 to 1. predicted, target: (N,) integer arrays or tensors.

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    predicted, target = _labels(predicted, target)
    if not len(target):
        raise DataError("Accuracy needs examples: both arrays are empty.")
    return float((predicted == target).mean())


def confusion(predicted: Any, target: Any, classes: Sequence[str] | int) -> np.ndarray:
    """How often class i (row: truth) was predicted as class j (column): (C, C) int64.

    classes: the names of the classes, or their number. The diagonal counts the correct predictions.

    >>> confusion([0, 1, 1], [0, 1, 0], classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    predicted, target = _labels(predicted, target)
    count = classes if isinstance(classes, int) else len(classes)
    for name, labels in (("predicted", predicted), ("target", target)):
        if len(labels) and not (0 <= labels.min() and labels.max() < count):
            raise DataError(
                f"{name} holds labels {labels.min()} to {labels.max()}, but {count} classes are "
                f"numbered 0 to {count - 1}."
            )
    flat = np.bincount(target * count + predicted, minlength=count * count)
    return flat.reshape(count, count)


def _labels(predicted: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    predicted, target = (np.asarray(labels) for labels in (predicted, target))
    if predicted.shape != target.shape or predicted.ndim != 1:
        raise DataError(
            f"predicted {predicted.shape} and target {target.shape} must both be (N,) class "
            "numbers; from scores (N, C) take argmax(1) first."
        )
    return predicted.astype(np.int64), target.astype(np.int64)
