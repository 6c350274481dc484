"""Not to forget: terms of the loss that hold weights where an earlier task left them.

    was = fisher_diagonal(model, old_data.train)
    run = Session(model, new_data, terms={"old": ewc(model, was)}, weights={"old": 100.0})
    run.send(SetWeight("old", 1000.0))    # while it runs

- `l2_sp`            pulls every weight equally: a spring to the start
- `ewc`              pulls each weight as strongly as the old task needed it
- `fisher_diagonal`  how much it needed it

Both terms are ½ Σ k · (w − w₀)², and its derivative is a pull of k · (w − w₀). The session's own
weight decay pulls towards zero besides: give `Session(weight_decay=0)`, or the two springs fight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tlcourse.checks import choice, number, whole_number
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.models import groups_of
from tlcourse.models.inspection import evaluating
from tlcourse.rng import checked_seed, fold_in, permutation, uniforms
from tlcourse.session.commands import members
from tlcourse.session.engine.batches import to_float

if TYPE_CHECKING:
    from tlcourse.data import Data, Split
    from tlcourse.session import Batch

LABELS = ("drawn", "all", "data")


@dataclass(frozen=True, eq=False)
class Spring:
    """½ Σ k · (w − w₀)² as a further term of the loss; a scalar ≥ 0.

    anchors: parameter's name → w₀, as it was when the spring was made. strength: the same names → k, of
    the same shape or one number. others: k of the parameters that have no anchor (a new head, an
    adapter); they are pulled towards zero. Finds parameters by name, also beneath a LoRA, so that it
    works on a run's twin as well.
    """

    anchors: Mapping[str, Tensor] = field(repr=False)
    strength: Mapping[str, Tensor | float] = field(repr=False)
    others: float = 0.0

    def __call__(self, model: nn.Module, batch: "Batch | None" = None) -> Tensor:
        there = {name.replace(".base_layer.", "."): p for name, p in model.named_parameters()}
        if lost := [
            n for n, w in self.anchors.items() if n not in there or there[n].shape != w.shape
        ]:
            raise ModelError(
                f"{lost[0]} is held by this term, and the model has none of that name and shape. If "
                "its head has changed, make the term for group='backbone'."
            )
        total = torch.zeros((), device=next(iter(there.values())).device)
        for name, p in there.items():
            if name in self.anchors:
                k, gone = self.strength[name], p - self.anchors[name].to(p.device)
                if isinstance(k, Tensor):
                    total = total + (k.to(p.device) * gone.square()).sum()
                else:
                    total = total + k * gone.square().sum()
            elif self.others:
                total = total + self.others * p.square().sum()
        return total / 2


def l2_sp(model: nn.Module, *, others: float = 0.1) -> Spring:
    """½ ‖w_S − w⁰_S‖² + others/2 · ‖w_S̄‖²: stay near the starting point, instead of near zero.

    Li, Grandvalet & Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional
    Networks". S: the backbone, as `model` holds it now; S̄: what came new, the head. The term's weight
    in the session is the paper's α, and others is β / α, ≥ 0.
    """
    others = number(others, "others", CommandError, low=0)
    anchors = _copies(_chosen(model, "backbone"))
    return Spring(anchors, dict.fromkeys(anchors, 1.0), others)


def ewc(model: nn.Module, fisher: Mapping[str, Tensor]) -> Spring:
    """½ Σ F (w − w*)²: elastic weight consolidation (Kirkpatrick et al. 2017, eq. 3).

    model: as the old task left it, w*. fisher: F of the old task, by `fisher_diagonal` of this model;
    what it leaves out is free to move. The term's weight in the session is the paper's λ. F is small
    where the model is sure, so weights of 10² to 10⁶ are usual. A third task gets a second term.
    """
    if strange := [name for name in fisher if name not in dict(model.named_parameters())]:
        raise ModelError(
            f"The Fisher information is of another model: this one has no {strange[0]}."
        )
    anchors = _copies({n: p for n, p in model.named_parameters() if n in fisher})
    return Spring(anchors, dict(fisher))


def fisher_diagonal(
    model: nn.Module,
    examples: "Data | Split",
    *,
    labels: str = "drawn",
    samples: int = 200,
    group: str = "all",
    seed: int = 0,
) -> dict[str, Tensor]:
    """Mean of (∂ log p(y|x) / ∂w)² over examples: name of each parameter → its shape, all ≥ 0.

    That is the diagonal of the Fisher information where y is the model's own guess, not the truth:
    labels="drawn" draws one y from p(y|x) for each example, "all" takes the mean over all classes by
    p(y|x) (exact in y, as many times the work as there are classes). With labels="data", the true
    labels, it is the *empirical* Fisher, which is another quantity: it vanishes where the model fits
    the data (Kunstner et al. 2019, "Limitations of the Empirical Fisher Approximation").

    examples: a split, or the training split of a Data. samples: how many of them, chosen by `seed`;
    each costs a backward pass of its own. group: "all", "backbone" or one group. The model runs in eval
    mode and is left as it was.
    """
    split = getattr(examples, "train", examples)
    choice(labels, "labels", LABELS, CommandError)
    samples = whole_number(samples, "samples", CommandError, 1)
    seed = checked_seed(seed, CommandError)
    if not len(split.y):
        raise DataError("There is no Fisher information over no examples: the split is empty.")
    weights = {n: p.detach().requires_grad_() for n, p in _chosen(model, group).items()}
    totals = {name: torch.zeros_like(p) for name, p in weights.items()}
    device = next(iter(weights.values())).device
    chosen = permutation(fold_in(seed, "fisher"), len(split.y))[:samples]
    draws = uniforms(fold_in(seed, "fisher label"), chosen, 1)[:, 0]
    with evaluating(model, gradients=True):
        for row, u in zip(chosen.tolist(), draws.tolist(), strict=True):
            x = to_float(split.x[row].unsqueeze(0).to(device))
            log_p = functional_call(model, weights, (x,))[0].log_softmax(0)
            for label, share in _labels(labels, log_p.detach().exp(), int(split.y[row]), u):
                slopes = torch.autograd.grad(
                    log_p[label], list(weights.values()), retain_graph=True, allow_unused=True
                )
                for total, slope in zip(totals.values(), slopes, strict=True):
                    if slope is not None:
                        total.addcmul_(slope, slope, value=share / len(chosen))
    return totals


def _labels(how: str, p: Tensor, told: int, u: float) -> list[tuple[int, float]]:
    """(label, share) of an example. p: (C,) probabilities; told: its label; u: in [0, 1), to draw by."""
    if how == "data":
        return [(told, 1.0)]
    if how == "all":
        return list(enumerate(p.tolist()))
    return [(min(int((p.cumsum(0) <= u).sum()), len(p) - 1), 1.0)]


def _chosen(model: nn.Module, group: str) -> dict[str, nn.Parameter]:
    """A group's parameters by the names that they have in the model."""
    groups = groups_of(model)
    inside = {id(p) for g in members(group, list(groups)) for p in groups[g].parameters()}
    return {name: p for name, p in model.named_parameters() if id(p) in inside}


def _copies(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in parameters.items()}
