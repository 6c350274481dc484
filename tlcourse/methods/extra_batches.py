"""Further data for a term of the loss. Which examples come is a pure function of (seed, step).

So a replay, a rewind and a twin see the same examples, just as they see the same batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tlcourse.checks import number, whole_number
from tlcourse.errors import CommandError, DataError
from tlcourse.methods.feature_extraction.features import (
    check_features,
    holds_tokens,
    padding,
    trimmed,
)
from tlcourse.rng import checked_seed, fold_in
from tlcourse.session.engine.batches import Batches, to_float

if TYPE_CHECKING:
    from tlcourse.data import Split
    from tlcourse.session import Batch


class ExtraBatches:
    """Batches of another split, in a new order every epoch. `extra.matching(batch)` → (x, y).

    batch_size: None means the size of the run's own batch. augment: strength of augmentation of
    pictures, 0 to 1. If the run augments its own pictures and these are not, a discriminator can tell
    the two apart by that alone. flips: whether augmentation may mirror.
    """

    def __init__(
        self,
        split: Split,
        *,
        seed: int = 0,
        batch_size: int | None = None,
        augment: float = 0.0,
        flips: bool = False,
        purpose: str = "target",
    ) -> None:
        if len(split.y) == 0:
            raise DataError("There is nothing to draw: this split is empty.")
        if batch_size is not None:
            batch_size = whole_number(batch_size, "batch_size", CommandError, 1, also=", or None")
        augment = number(augment, "augment", CommandError, low=0, high=1)
        self.split, self.batch_size, self.augment, self.flips = split, batch_size, augment, flips
        # Not the key of the run's own order, even if both seeds are 0: otherwise two splits of the
        # same length would come in the same order, pair by pair.
        self.seed = fold_in(checked_seed(seed, CommandError), purpose)
        self._made: tuple[tuple[Any, ...], Batches] | None = None

    def matching(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """x as the model takes it and y (B,), for the batch's step and on its device."""
        layout = "channels_last" if _channels_last(batch.x) else "contiguous"
        size = self.batch_size or len(batch.x)
        how = (batch.x.device, layout, size)
        if self._made is None or self._made[0] != how:
            x, y = self.split.x, self.split.y
            made = Batches(x, y, size, self.seed, batch.x.device, self.flips, layout)
            self._made = (how, made)
        made = self._made[1]
        made.strength = self.augment if made.pictures else 0.0
        return made.at(batch.step)


def drawn(split: Split, rows: Tensor, model: nn.Module, batch: Batch) -> Tensor:
    """These rows of a split as the model takes them, on the device and in the layout of the batch."""
    x = torch.as_tensor(split.x)[rows].to(batch.x.device)
    if holds_tokens(x):
        return trimmed(x, padding(model))
    x = to_float(x)
    last = _channels_last(batch.x) and x.ndim == 4
    return x.contiguous(memory_format=torch.channels_last) if last else x


def features_of_both(model: nn.Module, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, D) and (m, D), float32, of two batches that pass through the model as one.

    As one batch, so that BatchNorm in train mode normalises both alike. With two passes, each domain
    would be normalised by its own statistics, and the aligned features would differ from those of
    eval mode. The running statistics follow both domains.
    """
    check_features(model)
    joined = model.features(joined_batch(model, source, target)).float()
    return joined[: len(source)], joined[len(source) :]


def joined_batch(model: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Two batches concatenated; shorter token rows are padded with the model's padding token."""
    if first.shape[1:] != second.shape[1:]:
        if not (holds_tokens(first) and holds_tokens(second)):
            raise DataError(
                f"Examples of shape {tuple(first.shape[1:])} and {tuple(second.shape[1:])} do not go "
                "through one model together: load both data sets at the same size."
            )
        width = max(first.shape[1], second.shape[1])
        first, second = (_padded(x, width, padding(model)) for x in (first, second))
    joined = torch.cat([first, second])
    if holds_tokens(joined):
        return trimmed(joined, padding(model))
    last = _channels_last(first)
    return joined.contiguous(memory_format=torch.channels_last) if last else joined


def _padded(tokens: Tensor, width: int, pad: int) -> Tensor:
    return nn.functional.pad(tokens, (0, width - tokens.shape[1]), value=pad)


def _channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
