"""Few-shot learning in episodes: N classes, K examples of each, then a test (Vinyals et al. 2016).

One draw of five examples says little about a method, because another draw gives another accuracy. So a
method is evaluated over many small tasks, each with its own classes and examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tlcourse.checks import whole_number
from tlcourse.errors import CommandError, DataError
from tlcourse.methods.feature_extraction.probes import probe
from tlcourse.rng import checked_seed, fold_in, permutation

if TYPE_CHECKING:
    from tlcourse.data import Data, Split

Method = Callable[["Data"], Tensor]
"""Learns an episode's training split and predicts its test split: (N·Q,) labels 0 … N − 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """classes: (N,) labels of the split, in the order in which the episode numbers them; support:
    (N, K) and query: (N, Q) row numbers in the split, one row per class."""

    classes: Tensor
    support: Tensor
    query: Tensor


def draw_episode(
    y: Tensor, *, ways: int, shots: int, queries: int, seed: int = 0, number: int = 0
) -> Draw:
    """The classes and examples of episode `number`: a pure function of (seed, number) and y (N,).

    Classes with at least shots + queries examples are drawn without replacement, and so are their
    examples: support and query never share one. Raises CommandError or DataError, which say how many
    there are.
    """
    ways = whole_number(ways, "ways", CommandError, 2)
    shots = whole_number(shots, "shots", CommandError, 1)
    queries = whole_number(queries, "queries", CommandError, 1)
    seed = checked_seed(seed, CommandError)
    y = torch.as_tensor(y).cpu()
    counts = torch.bincount(y)
    fit = (counts >= shots + queries).nonzero().squeeze(1)
    if len(fit) < ways:
        raise DataError(
            f"{ways} ways need {ways} classes with {shots} + {queries} examples, and {len(fit)} of "
            f"{int((counts > 0).sum())} classes have as many: choose fewer ways, shots or queries."
        )
    key = fold_in(seed, "episode", number)
    classes = fit[torch.from_numpy(permutation(key, len(fit)))[:ways]]
    rows = []
    for label in classes.tolist():
        members = (y == label).nonzero().squeeze(1)
        order = torch.from_numpy(permutation(fold_in(key, "examples", label), len(members)))
        rows.append(members[order[: shots + queries]])
    support, query = torch.stack(rows).split([shots, queries], dim=1)
    return Draw(classes, support, query)


def episode(
    data: Data, *, ways: int = 5, shots: int = 1, queries: int = 15, seed: int = 0, number: int = 0
) -> Data:
    """One task as a `Data`, for a probe, a Session or anything else that takes one.

    Drawn from the test split of `data` (pictures, texts or features). train: the support, ways · shots
    examples; test: the query, ways · queries; labels are 0 … ways − 1, and `classes` has the names. No
    examples are left for validation, so valid is the query too: use it to watch a run, but choose
    nothing by it.

    >>> episode(digits, shots=5, number=3)
    digits, episode 3: 5 classes · 25 train, 75 valid, 75 test · 3×32×32
    """
    split, seed = data.test, checked_seed(seed, CommandError)
    draw = draw_episode(split.y, ways=ways, shots=shots, queries=queries, seed=seed, number=number)
    how = {"ways": ways, "shots": shots, "queries": queries, "seed": seed, "number": number}
    query = _part(split, draw.query)
    return replace(
        data,
        name=f"{data.name}, episode {number}",
        train=_part(split, draw.support),
        valid=query,
        test=query,
        classes=tuple(data.classes[label] for label in draw.classes.tolist()),
        recipe={"episode_of": data.recipe} | how,
    )


def episode_accuracies(
    data: Data,
    method: str | Method = "prototypes",
    *,
    episodes: int = 100,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    seed: int = 0,
) -> tuple[float, ...]:
    """The accuracy, 0 to 1, of each episode; `tl.interval(…)` gives their mean and interval.

    method: a kind of probe ("prototypes", "knn" with one neighbour, "logistic", "mlp"), and then data
    holds features; or a function that learns an episode and predicts its test split. The same seed gives
    every method the same episodes, so `measure.paired` can compare them. Episodes share examples: the
    interval is over tasks from these classes, not over other classes.

    >>> cached = tl.features(model, digits)
    >>> tl.interval(episode_accuracies(cached, "prototypes", shots=5, episodes=10))
    ⟨... ± ... %⟩
    """
    episodes = whole_number(episodes, "episodes", CommandError, 1)
    learn = _probe(method) if isinstance(method, str) else method
    found = []
    for number in range(episodes):
        task = episode(data, ways=ways, shots=shots, queries=queries, seed=seed, number=number)
        predicted = torch.as_tensor(learn(task)).cpu()
        if predicted.shape != task.test.y.shape:
            raise DataError(
                f"The method predicts {tuple(predicted.shape)} labels for {len(task.test.y)} queries."
            )
        found.append((predicted == task.test.y).double().mean().item())
    return tuple(found)


def _probe(kind: str) -> Method:
    return lambda task: probe(task, kind=kind, k=1).predict(task.test)


def _part(split: Split, rows: Tensor) -> Split:
    ways, each = rows.shape
    return split.rows(rows.flatten(), y=torch.arange(ways).repeat_interleave(each))
