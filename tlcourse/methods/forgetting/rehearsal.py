"""Against forgetting: keep training on some of the old examples.

- `keep_examples`  a few examples of each class, to keep when the old data are gone
- `rehearse`       a term of the loss: the loss on a batch of them at every step; SetWeight scales it
- `mix`            the same through the data: a training split that contains a share of old examples
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
    """The loss on old examples as a further term. (seed, step) alone decides which ones, so a rewind, a
    replay of the record and a twin see the same."""

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
    """The loss on a batch of old examples at every step: experience replay, or rehearsal.

    Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning".

    old: a split (such as from `keep_examples`), or the training split of a Data; its labels are the
    run's own classes. batch_size: None means the size of the run's batch. augment: 0 … 1, strength of
    augmentation of old pictures. The old batch passes through the model separately, in train mode, so
    BatchNorm's running statistics follow it too. It costs a second forward and backward pass.
    """
    split = getattr(old, "train", old)
    how = {"augment": augment, "flips": getattr(old, "flips", False)}
    return Rehearsal(
        ExtraBatches(split, seed=seed, batch_size=batch_size, purpose="rehearsal", **how), loss
    )


def keep_examples(old: "Data | Split", per_class: int, *, seed: int = 0) -> "Split":
    """`per_class` training examples of every class, drawn by `seed`. With the same seed, a smaller draw
    is part of a larger one. Raises DataError if a class has fewer.

    >>> len(keep_examples(digits, 3).y)
    30
    """
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
                f"Class {label} has {len(mine)} examples, and {per_class} were requested."
            )
        rows.append(mine[:per_class])
    return split.rows(torch.cat(rows))


def mix(new: "Data", old: "Data | Split", *, share: float = 0.5, seed: int = 0) -> "Data":
    """The new data, with old examples making up `share` of its training split (0 ≤ share < 1), drawn by
    `seed`. Validation and test splits stay the new ones.

    Raises DataError if there are not enough old examples for that share, or if classes or shapes
    differ. If both use the same ids, the old ones get a prefix.
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
            f"share={share:g} needs {count} old examples for {len(new.train.y)} new ones, and there "
            f"are {len(split.y)}: share can be at most {most:.2f}."
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
