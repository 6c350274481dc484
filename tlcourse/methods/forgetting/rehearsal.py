"""Not to forget: go on seeing some of the old examples.

- `keep_examples`  a few examples of each class, to be kept when the old data go
- `rehearse`       a term of the loss: the loss on a batch of them, at every step; SetWeight turns it
- `mix`            the same by data: a training split of which a share is old
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks import number, whole_number
from tlcourse.errors import CommandError, DataError
from tlcourse.methods.extra_batches import ExtraBatches
from tlcourse.rng import checked_seed, fold_in, permutation

if TYPE_CHECKING:
    from tlcourse.data import Data, Split
    from tlcourse.session import Batch

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """The loss on old examples as a further term. Which ones is a function of (seed, step) alone, so
    a rewind, a replay of the record and a twin see the same."""

    extra: ExtraBatches = field(repr=False)
    loss: Loss = F.cross_entropy

    def __call__(self, model: nn.Module, batch: "Batch") -> Tensor:
        x, y = self.extra.matching(batch)
        return self.loss(model(x), y)


def rehearse(
    old: "Data | Split",
    *,
    batch_size: int | None = None,
    augment: float = 0.0,
    loss: Loss = F.cross_entropy,
    seed: int = 0,
) -> Rehearsal:
    """The loss on a batch of old examples, at every step: experience replay, or rehearsal.

    Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning".

    old: a split (`keep_examples` gives one), or the training split of a Data; its labels are the run's
    own classes. batch_size: None is as many as the run's batch. augment: 0 … 1, how strongly old
    pictures are varied. The old batch goes through the model by itself, in train mode, so BatchNorm's
    running statistics follow it too. It costs a second forward and backward pass.
    """
    split = getattr(old, "train", old)
    how = {"augment": augment, "flips": getattr(old, "flips", False)}
    return Rehearsal(
        ExtraBatches(split, seed=seed, batch_size=batch_size, purpose="rehearsal", **how), loss
    )


def keep_examples(old: "Data | Split", per_class: int, *, seed: int = 0) -> "Split":
    """`per_class` training examples of every class, drawn by `seed`; a smaller memory is the beginning
    of a larger one. Raises DataError if a class has fewer."""
    split = getattr(old, "train", old)
    per_class = whole_number(per_class, "per_class", CommandError, 1)
    key = fold_in(checked_seed(seed, CommandError), "memory")
    order = torch.from_numpy(permutation(key, len(split.y)))
    labels = torch.as_tensor(split.y)[order]
    rows = []
    for label in labels.unique().tolist():
        mine = order[labels == label]
        if len(mine) < per_class:
            raise DataError(
                f"Class {label} has {len(mine)} examples to remember, and {per_class} were asked."
            )
        rows.append(mine[:per_class])
    return split.rows(torch.cat(rows))


def mix(new: "Data", old: "Data | Split", *, share: float = 0.5, seed: int = 0) -> "Data":
    """The new data, with old examples among its training examples: `share` of them (0 … 1, less than
    1), drawn by `seed`. Validation and test stay the new ones.

    Raises DataError if there are not enough old examples for that share, or if the two have other
    classes or shapes; their ids get a prefix where both use the same.
    """
    share = number(share, "share", CommandError, low=0, below=1)
    seed = checked_seed(seed, CommandError)
    split = getattr(old, "train", old)
    if tuple(getattr(old, "classes", new.classes)) != tuple(new.classes):
        raise DataError(
            f"Old and new examples must share their classes to be mixed: {', '.join(old.classes)} "
            f"are not {', '.join(new.classes)}."
        )
    if split.x[:1].shape[1:] != new.train.x[:1].shape[1:] or split.x.dtype != new.train.x.dtype:
        raise DataError(
            f"Old examples {tuple(split.x.shape[1:])} of {split.x.dtype} do not mix with new ones "
            f"{tuple(new.train.x.shape[1:])} of {new.train.x.dtype}: load both in one size."
        )
    count = round(len(new.train.y) * share / (1 - share))
    if count > len(split.y):
        most = len(split.y) / (len(split.y) + len(new.train.y))
        raise DataError(
            f"share={share:g} takes {count} old examples beside {len(new.train.y)} new ones, and there "
            f"are {len(split.y)}: {most:.2f} is the most."
        )
    drawn = permutation(fold_in(seed, "mix"), len(split.y))[:count]
    kept = split.rows(torch.from_numpy(drawn))
    if set(kept.ids) & set(new.train.ids):
        kept = replace(kept, ids=tuple(f"old/{id}" for id in kept.ids))
    train = replace(
        new.train,
        x=torch.cat([new.train.x, kept.x]),
        y=torch.cat([new.train.y, kept.y]),
        ids=(*new.train.ids, *kept.ids),
        texts=(*new.train.texts, *kept.texts) if new.train.texts and kept.texts else (),
        masks=None,
        boxes=(),
    )
    recipe = {"new": new.recipe, "old": getattr(old, "recipe", None), "share": share, "seed": seed}
    return replace(new, train=train, recipe={"mix": recipe})
