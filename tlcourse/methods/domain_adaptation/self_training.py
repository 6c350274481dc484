"""Self-training: confident predictions on the target become labels (Lee 2013).

- `probabilities`       a model's predictions for a split
- `pseudo_labels`       which to accept: above a threshold, or the most confident share of every class
- `with_pseudo_labels`  the source's training data with the accepted examples added
- `fixmatch`            the same within a run, anew at every step, as a term of the loss

The model learns wrong labels too: if the truth is known, `Pseudo.agreement` says how many of the
accepted labels are right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks import number
from tlcourse.errors import CommandError, DataError
from tlcourse.methods.extra_batches import ExtraBatches, joined_batch
from tlcourse.methods.feature_extraction.features import ready
from tlcourse.models.inspection import evaluating

if TYPE_CHECKING:
    from tlcourse.data import Data, Split
    from tlcourse.session import Batch, Term


def probabilities(model: nn.Module, split: Split | Tensor, *, batch_size: int = 64) -> Tensor:
    """The predicted probabilities of each example: (N, classes) float32 on the CPU, rows sum to one.

    split: as a Session takes it (pictures, tokens or features), or its x. In eval mode; the model is not
    changed.
    """
    x = torch.as_tensor(getattr(split, "x", split))
    if len(x) == 0:
        raise DataError("This split is empty: there is nothing to predict.")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with evaluating(model):
        logits = [
            model(ready(x[start : start + batch_size], model, device)).float().cpu()
            for start in range(0, len(x), batch_size)
        ]
    return torch.cat(logits).softmax(dim=1)


@dataclass(frozen=True, eq=False)
class Pseudo:
    """The accepted pseudo-labels. rows: (K,) int64 row numbers in the split, ascending; y: (K,) int64
    labels; confidence: (K,) in (0, 1]; of: the number of all examples; classes: of all classes."""

    rows: Tensor
    y: Tensor
    confidence: Tensor
    of: int
    classes: int

    @property
    def share(self) -> float:
        """The share of all examples that are accepted, 0 to 1."""
        return len(self.rows) / self.of

    @property
    def counts(self) -> tuple[int, ...]:
        """The number accepted of each class."""
        return tuple(torch.bincount(self.y, minlength=self.classes).tolist())

    def agreement(self, y: Tensor) -> float:
        """The share of accepted labels that are right; NaN if none is accepted.

        y: (N,) true labels of the whole split. In practice nobody has them.
        """
        if len(y) != self.of:
            raise DataError(
                f"{len(y)} labels for {self.of} examples: give those of the same split."
            )
        return (torch.as_tensor(y)[self.rows] == self.y).double().mean().item()

    def __repr__(self) -> str:
        return f"Pseudo({len(self.rows)} of {self.of} believed)"


def pseudo_labels(
    probabilities: Tensor, *, threshold: float | None = None, share: float | None = None
) -> Pseudo:
    """Accept the most likely class where the model is confident.

    probabilities: (N, C). Give one of the two: `threshold`, 0 to 1, accepts what is at least as
    confident (Lee 2013; Sohn et al. 2020 use 0.95); easy classes then crowd out hard ones. `share`,
    above 0 up to 1, accepts that share of each predicted class, the most confident first and at least
    one: class-balanced self-training (Zou et al. 2018), which keeps hard classes in.

    >>> pseudo_labels(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), threshold=0.8)
    Pseudo(1 of 2 believed)
    """
    p = torch.as_tensor(probabilities)
    if p.ndim != 2 or not len(p):
        raise DataError(f"Probabilities are (N, C), not {tuple(p.shape)}: use probabilities(…).")
    if (threshold is None) == (share is None):
        raise CommandError(
            "Give either threshold=0.9 or share=0.5: what is sure enough to believe?"
        )
    confidence, y = p.max(dim=1)
    if threshold is not None:
        number(threshold, "threshold", CommandError, low=0, high=1)
        kept = confidence >= threshold
    else:
        number(share, "share", CommandError, above=0, high=1)
        kept = torch.zeros(len(p), dtype=torch.bool)
        for label in y.unique():
            members = (y == label).nonzero().squeeze(1)
            surest = confidence[members].argsort(descending=True, stable=True)
            kept[members[surest[: max(1, round(share * len(members)))]]] = True
    rows = kept.nonzero().squeeze(1)
    return Pseudo(rows, y[rows], confidence[rows], len(p), p.shape[1])


def with_pseudo_labels(data: Data, target: Split, pseudo: Pseudo) -> Data:
    """The data with the accepted target examples added to its training split.

    Validation and test splits stay the source's. The training split loses masks and boxes, because
    pseudo-labels have none. Raises DataError if shapes or classes do not fit, or nothing is accepted.
    """
    if len(target.y) != pseudo.of or pseudo.classes != len(data.classes):
        raise DataError(
            f"These pseudo-labels are over {pseudo.of} examples and {pseudo.classes} classes; the "
            f"target has {len(target.y)} and the data {len(data.classes)}."
        )
    if not len(pseudo.rows):
        raise DataError("No example is believed: lower the threshold, or take a share.")
    old, new = data.train, torch.as_tensor(target.x)[pseudo.rows]
    if old.x.shape[1:] != new.shape[1:] or old.x.dtype != new.dtype:
        raise DataError(
            f"The source holds {tuple(old.x.shape[1:])} {old.x.dtype} and the target "
            f"{tuple(new.shape[1:])} {new.dtype}: load both at the same size."
        )
    rows = pseudo.rows.tolist()
    texts = (*old.texts, *(target.texts[row] for row in rows)) if old.texts and target.texts else ()
    train = replace(
        old,
        x=torch.cat([old.x, new]),
        y=torch.cat([old.y, pseudo.y]),
        ids=(*old.ids, *(target.ids[row] for row in rows)),
        texts=texts,
        masks=None,
        boxes=(),
    )
    recipe = {"pseudo_labels_added_to": data.recipe, "believed": len(rows)}
    return replace(data, train=train, recipe=recipe)


def fixmatch(
    target: Split,
    *,
    threshold: float = 0.95,
    strength: float = 1.0,
    flips: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
) -> Term:
    """A term of a run's loss: FixMatch's for unlabelled pictures (Sohn et al. 2020, eq. 4).

    The prediction for a picture, if its confidence reaches the threshold (0 to 1), becomes the label of
    the same picture augmented by `strength` (0 to 1, as Augment's). Cross-entropy in nats, summed over
    the confident examples and divided by all that were drawn: 0 while the model is confident of nothing.
    """
    number(threshold, "threshold", CommandError, low=0, high=1)
    number(strength, "strength", CommandError, above=0, high=1)
    if torch.as_tensor(target.x[:1]).ndim != 4:
        raise DataError("FixMatch augments pictures, and these are not (N, 3, H, W).")
    plain = ExtraBatches(target, seed=seed, batch_size=batch_size)
    varied = ExtraBatches(target, seed=seed, batch_size=batch_size, augment=strength, flips=flips)

    def term(model: nn.Module, batch: Batch) -> Tensor:
        weak, strong = plain.matching(batch)[0], varied.matching(batch)[0]
        as_is, changed = model(joined_batch(model, weak, strong)).float().split(len(weak))
        confidence, y = as_is.detach().softmax(dim=1).max(dim=1)
        losses = F.cross_entropy(changed, y, reduction="none")
        return (losses * (confidence >= threshold)).mean()

    return term
