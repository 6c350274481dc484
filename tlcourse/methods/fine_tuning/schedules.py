"""Schedules of commands, planned before a run and readable as plain lists.

A schedule is a list of (step, command). Put it on a run with

    for step, command in schedule:
        run.at(step, command)

It becomes part of the run's record like any other command. Schedules can be added: `a + b` is one.

- `gradual_unfreezing`   the head first, then one group after another, from the top
- `lp_ft`                the head, then everything; `solve_head` solves the first half at once
- `warm_up`              from a small rate up to the full one, and optionally down again
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from tlcourse.checks import choice, number, whole_number
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.models import groups_of
from tlcourse.session import Freeze, SetLR, Unfreeze
from tlcourse.session.commands import Command
from tlcourse.session.recipe import plan_lr

if TYPE_CHECKING:
    from tlcourse.data import Data


Schedule = list[tuple[int, Command]]
"""(step, command), in order: the command is applied when that many steps are done."""

Rates = float | Mapping[str, float]
"""One learning rate > 0, or a mapping from group (or "backbone", "all") to rate, as Session takes it."""

AFTER = ("constant", "linear", "cosine")


def gradual_unfreezing(
    model: nn.Module, steps: int, *, every: int | None = None, lr: Rates | None = None
) -> Schedule:
    """Train the head alone, then unfreeze the backbone's groups one by one, the last one first
    (Howard & Ruder 2018, "Universal Language Model Fine-tuning", section 3.3).

    model: its groups are ordered input to output, the head last. None of them is frozen when the run
    starts; the schedule freezes them. steps: of the run. every: steps between two groups; None divides
    the steps equally among the stages, including the head's. lr: the rates at which the groups start to
    train; None means the Session's. Raises CommandError if the last groups would never be unfrozen.

    >>> gradual_unfreezing(model, steps=60)[:2]
    [(0, Freeze(group='backbone', stats=True)), (10, Unfreeze(group='stage4', lr=None))]
    """
    *backbone, head = groups_of(model)
    if not backbone:
        raise CommandError(f"The model has one group, {head}: there is nothing to unfreeze.")
    steps = whole_number(steps, "steps", CommandError, 1)
    every = max(1, steps // (len(backbone) + 1)) if every is None else every
    every = whole_number(every, "every", CommandError, 1)
    if every * len(backbone) >= steps:
        raise CommandError(
            f"{len(backbone)} groups, one every {every} steps, need more than "
            f"{every * len(backbone)} steps, and the run has {steps}: the last ones would stay "
            "frozen. Give it more steps, or a smaller every."
        )
    rates = dict.fromkeys(backbone) if lr is None else plan_lr([*backbone, head], lr)
    schedule: Schedule = [(0, Freeze("backbone"))]
    for turn, group in enumerate(reversed(backbone), start=1):
        schedule.append((turn * every, Unfreeze(group, rates[group])))
    return schedule


def lp_ft(
    model: nn.Module, steps: int, *, probe: int | None = None, lr: Rates | None = None
) -> Schedule:
    """First a linear probe, then fine-tuning: the head learns alone while the backbone keeps its
    features, so that fine-tuning does not start by distorting them to fit a random head.

    Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", section 3.3.

    steps: of the run. probe: the step at which the backbone is unfrozen; by default half of the steps.
    lr: rates of the second phase, including the head's; None keeps the Session's. The authors train the
    probe to convergence: `solve_head` gets there without a training step and needs no schedule.
    """
    *backbone, head = groups_of(model)
    steps = whole_number(steps, "steps", CommandError, 1)
    probe = steps // 2 if probe is None else probe
    probe = whole_number(probe, "probe", CommandError, 1, steps - 1)
    if lr is None:
        return [(0, Freeze("backbone")), (probe, Unfreeze("backbone"))]
    rates = plan_lr([*backbone, head], lr)
    return [
        (0, Freeze("backbone")),
        *((probe, Unfreeze(group, rates[group])) for group in backbone),
        (probe, SetLR(head, rates[head])),
    ]


def solve_head(model: nn.Module, cached: Data, *, C: float = 1.0) -> nn.Module:
    """Put the linear probe's solution into the model's head: the first half of LP-FT, done at once.

    cached: `features(model, data)`. C: inverse strength of the L2 penalty on standardised features, > 0.
    Solves multinomial logistic regression to its optimum (scikit-learn) and folds the standardisation
    into the weights, so that head(features) is the probe's own score. The backbone is not touched;
    returns the model. Raises ModelError unless the head is one linear layer, DataError for features
    that are not this model's, or a class without an example.
    """
    from sklearn.linear_model import LogisticRegression

    head = list(groups_of(model).values())[-1]
    if not isinstance(head, nn.Linear):
        raise ModelError(
            f"A linear probe fills a linear head, and this is a {type(head).__name__}."
        )
    number(C, "C", CommandError, above=0)
    x, y = torch.as_tensor(cached.train.x), torch.as_tensor(cached.train.y)
    if x.ndim != 2 or x.shape[1] != head.in_features or not len(x):
        raise DataError(
            f"This head reads features (N, {head.in_features}), not {tuple(x.shape)}: "
            "make them with features(model, data)."
        )
    counts = torch.bincount(y, minlength=head.out_features)
    if len(counts) > head.out_features or not counts.all():
        raise DataError(
            f"The head tells {head.out_features} classes apart; the training labels are of "
            f"{int((counts > 0).sum())} of {len(counts)}. Each class needs an example."
        )
    x = x.double().cpu()
    centre, spread = x.mean(0), x.std(0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    solved = LogisticRegression(C=C, max_iter=5000, tol=1e-6).fit(
        ((x - centre) / spread).numpy(), y.cpu().numpy()
    )
    weight, bias = torch.from_numpy(solved.coef_), torch.from_numpy(solved.intercept_)
    if (
        head.out_features == 2
    ):  # one row for two classes: half of it for one, half against the other
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    weight = weight / spread
    with torch.no_grad():
        head.weight.copy_(weight)
        if head.bias is not None:
            head.bias.copy_(bias - weight @ centre)
    return model


def warm_up(
    lr: Rates, warm: int, *, steps: int | None = None, then: str = "constant", stairs: int = 10
) -> Schedule:
    """Raise the rates from small to full within `warm` steps: step t gets lr · (t + 1) / warm.

    Large first steps on a new head (and with Adam's first, noisy averages) would damage pre-trained
    weights; Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    lr: the full rates: one number for all trainable groups, or a mapping from group to rate. Name only
    groups that are trainable then; a frozen group cannot get a rate. then: "constant", or a "linear"
    or "cosine" decay to 0 from step `warm` to `steps`. stairs: the number of commands for each of the
    two slopes; each is an event and a point to rewind to. `warm` or more means one per step.
    """
    warm = whole_number(warm, "warm", CommandError, 1)
    stairs = whole_number(stairs, "stairs", CommandError, 1)
    choice(then, "curve", AFTER, CommandError)
    rates = dict(lr) if isinstance(lr, Mapping) else {"all": lr}
    plan_lr(list(rates), rates)
    factors = [(begin, end / warm) for begin, end in _stairs(0, warm, stairs)]
    if then != "constant":
        if steps is None or steps <= warm:
            raise CommandError(f"then={then!r} needs steps, more than warm={warm}, not {steps!r}.")
        factors += [
            (begin, _falling(then, (begin - warm) / (steps - warm)))
            for begin, _ in _stairs(warm, steps, stairs)
            if begin > warm
        ]
    return [
        (step, SetLR(group, rate * factor))
        for step, factor in factors
        for group, rate in rates.items()
    ]


def _falling(curve: str, progress: float) -> float:
    """1 at progress 0, 0 at 1."""
    return 1 - progress if curve == "linear" else (1 + math.cos(math.pi * progress)) / 2


def _stairs(first: int, last: int, count: int) -> list[tuple[int, int]]:
    """(begin, end) of each stair: the steps from first to last, divided as equally as possible."""
    count = min(count, last - first)
    cuts = [first + (last - first) * k // count for k in range(count + 1)]
    return list(zip(cuts, cuts[1:], strict=False))
