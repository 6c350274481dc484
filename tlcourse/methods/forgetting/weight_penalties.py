"""Against forgetting: terms of the loss that hold weights near where an earlier task left them.

    was = fisher_diagonal(model, old_data.train)
    run = Session(model, new_data, terms={"old": ewc(model, was)}, weights={"old": 100.0})
    run.send(SetWeight("old", 1000.0))    # while it runs

- `l2_sp`            pulls every weight equally towards its starting value
- `ewc`              pulls each weight as strongly as the old task needed it
- `fisher_diagonal`  how much the old task needed each weight

Both terms are ½ Σ k · (w − w₀)², so they pull with k · (w − w₀). The session's own weight decay pulls
towards zero: use `Session(weight_decay=0)`, or the two work against each other.
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

    anchors: parameter's name → w₀, a copy. strength: the same names → k, of the same shape or one
    number. others: k of the parameters without an anchor (a new head, an adapter), which are pulled
    towards zero. Parameters are found by name, also below a LoRA, so it works on a run's twin too.
    """

    anchors: Mapping[str, Tensor] = field(repr=False)
    strength: Mapping[str, Tensor | float] = field(repr=False)
    others: float = 0.0

    def __call__(self, model: nn.Module, batch: "Batch | None" = None) -> Tensor:
        own = {name.replace(".base_layer.", "."): p for name, p in model.named_parameters()}
        if lost := [n for n, w in self.anchors.items() if n not in own or own[n].shape != w.shape]:
            raise ModelError(
                f"This term holds {lost[0]}, and the model has no parameter of that name and shape. If "
                "its head has changed, make the term for group='backbone'."
            )
        total = torch.zeros((), device=next(iter(own.values())).device)
        for name, p in own.items():
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
    Networks". S: the backbone with its current weights; S̄: new parameters, the head. The term's weight
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

    This is the diagonal of the Fisher information, if y follows the model's prediction, not the truth:
    labels="drawn" draws one y from p(y|x) per example; "all" averages over all classes by p(y|x), which
    is exact in y and costs one backward pass per class. labels="data" uses the true labels and gives
    the *empirical* Fisher, a different quantity: it vanishes where the model fits the data (Kunstner
    et al. 2019, "Limitations of the Empirical Fisher Approximation").

    examples: a split, or the training split of a Data. samples: how many of them, chosen by `seed`;
    each takes its own backward pass. group: "all", "backbone" or one group. The model runs in eval mode
    and is not changed.
    """
    split = getattr(examples, "train", examples)
    choice(labels, "labels", LABELS, CommandError)
    samples = whole_number(samples, "samples", CommandError, 1)
    seed = checked_seed(seed, CommandError)
    if not len(split.y):
        raise DataError("The Fisher information needs examples: this split is empty.")
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


def _labels(how: str, p: Tensor, truth: int, u: float) -> list[tuple[int, float]]:
    """(label, share) pairs. p: (C,) probabilities; truth: the label; u: in [0, 1), to draw by."""
    if how == "data":
        return [(truth, 1.0)]
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
