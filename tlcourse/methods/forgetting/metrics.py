"""What learning tasks one after another gains and costs, computed from a matrix of accuracies.

R[i][j] is the accuracy on task j after training on tasks 0 … i, in this order: (T, T), 0 to 1. NaN means
not measured, and is refused where a value is needed.

                    task 0   task 1   task 2
    after task 0      0.95     0.12     0.10
    after task 1      0.60     0.93     0.15
    after task 2      0.40     0.70     0.92
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlcourse.errors import DataError


def average_accuracy(R: Any) -> float:
    """Mean accuracy on all tasks at the end, 0 to 1: mean of the last row.

    Lopez-Paz & Ranzato 2017, "Gradient Episodic Memory", eq. 2 (ACC).
    """
    R = _matrix(R, 1)
    return _mean(R[-1], "the last row")


def backward_transfer(R: Any) -> float:
    """How later tasks changed the earlier ones: mean over all but the last of R[last][j] − R[j][j].

    −1 to 1. Below zero, earlier tasks were forgotten; above, later tasks helped. Needs two tasks.
    Lopez-Paz & Ranzato 2017, eq. 3 (BWT).

    >>> round(backward_transfer([[0.9, 0.1], [0.6, 0.9]]), 2)
    -0.3
    """
    R = _matrix(R, 2)
    return _mean(R[-1, :-1] - np.diag(R)[:-1], "the diagonal and the last row")


def forward_transfer(R: Any, untrained: Sequence[float]) -> float:
    """How earlier tasks helped a task before its own training: mean over all but the first of
    R[j − 1][j] − untrained[j].

    untrained: (T,) accuracy of the model before any task. −1 to 1. Needs two tasks.
    Lopez-Paz & Ranzato 2017, eq. 4 (FWT).
    """
    R = _matrix(R, 2)
    before = np.asarray(untrained, dtype=float)
    if before.shape != (len(R),):
        raise DataError(
            f"untrained is one accuracy for each of the {len(R)} tasks, not {before.shape}."
        )
    return _mean(np.diag(R, 1) - before[1:], "the diagonal above the main one")


def average_forgetting(R: Any) -> float:
    """How far each earlier task fell from its best: mean over all but the last of
    max over i < last of R[i][j], minus R[last][j].

    −1 to 1; below zero, the last task improved the earlier ones beyond their best. Values measured
    before a task's own training count, as in the paper; NaN there is ignored. Needs two tasks.
    Chaudhry et al. 2018, "Riemannian Walk for Incremental Learning" (their F at the last task).
    """
    R = _matrix(R, 2)
    earlier = np.where(np.isnan(R[:-1, :-1]) & ~np.tri(len(R) - 1, dtype=bool), -1, R[:-1, :-1])
    return _mean(earlier.max(axis=0) - R[-1, :-1], "the diagonal and all below it")


def _matrix(R: Any, least: int) -> np.ndarray:
    R = np.asarray(R, dtype=float)
    if R.ndim != 2 or R.shape[0] != R.shape[1] or len(R) < least:
        raise DataError(
            f"R is a square of accuracies, with a row for each of {least} or more tasks, not {R.shape}."
        )
    known = R[~np.isnan(R)]
    if len(known) and not (0 <= known.min() and known.max() <= 1):
        raise DataError(f"Accuracies go from 0 to 1; R holds {known.min():g} to {known.max():g}.")
    return R


def _mean(values: np.ndarray, needed: str) -> float:
    if np.isnan(values).any():
        raise DataError(f"R has a NaN where it is needed: in {needed}.")
    return float(values.mean())
