"""Schedules of commands, planned before a run and readable as plain lists.

A schedule is a list of (step, command). Put it on a run with

    for step, command in schedule:
        run.at(step, command)

and becomes part of the run's record like every other command. Schedules add up: `a + b` is one.

- `gradual_unfreezing`   the head first, then one group after the other, from the top
- `lp_ft`                the head to its end, then everything; `solve_head` solves the first half at once
- `warm_up`              from a small rate up to the full one, and (if asked) down again
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
"""(step, command), in order: what to do when so many steps are done."""

Rates = float | Mapping[str, float]
"""One learning rate > 0, or a mapping from group (or "backbone", "all") to rate, as Session takes it."""

AFTER = ("constant", "linear", "cosine")


def gradual_unfreezing(
    model: nn.Module, steps: int, *, every: int | None = None, lr: Rates | None = None
) -> Schedule:
    """Begin with the head alone, then unfreeze the backbone's groups one by one, the last one first
    (Howard & Ruder 2018, "Universal Language Model Fine-tuning", section 3.3).

    model: with groups, input to output, the head last; none of them frozen when the run begins (the
    schedule does that itself). steps: of the run. every: steps between two of them; None shares the
    steps equally among the stages, the head's own included. lr: with which rates the groups start to
    train; None is what the Session says for them. Raises CommandError if the last groups would never
    have their turn.
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
    features, so that fine-tuning does not begin by bending them towards a random head.

    Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", section 3.3.

    steps: of the run; probe: after how many of them the backbone joins, half of them by default.
    lr: rates of the second phase, also the head's; None leaves them as the Session says. The authors
    train the probe to its end: `solve_head` gets there without a step, and needs no schedule then.
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
    """Put the linear probe's solution into the model's head: the first half of lp-ft, done at once.

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
    if head.out_features == 2:  # one row for two classes: half of it for, half of it against
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

    Large first steps on a fresh head (and Adam's first, uncertain averages) would throw pre-trained
    weights about; Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2.

    lr: the full rates; one number for all that trains, or a mapping from group to rate. A group that is
    frozen at that moment cannot get one, so name only those that train. then: "constant", or from
    `warm` to `steps` down to 0 by a "linear" or "cosine" curve. stairs: how many commands draw each of
    the two slopes, since each is an event and a moment to go back to; warm or more is one a step.
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
    """(begin, end) of each: they share the steps from first to last as equally as whole numbers can."""
    count = min(count, last - first)
    cuts = [first + (last - first) * k // count for k in range(count + 1)]
    return list(zip(cuts, cuts[1:], strict=False))
