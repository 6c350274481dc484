"""Labelled examples: one part of a data set (`Split`), and all of it before it is divided (`Source`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled examples: the training, validation or test part of a data set.

    x: (N, 3, H, W) uint8 images, (N, D) float32 features or (N, T) int64 token ids; or, if they do not
    fit in memory, any sequence of (3, H, W) uint8 images (see Session's workers). y: (N,) int64.
    ids: N names, unique within the data set and stable over releases.

    If the data set has them: `texts`, N strings whose tokens are in x; `masks`, (N, H, W) uint8, 1 on
    the labelled thing, else 0; `boxes`, N tensors (K, 5) float32, each row left, top, right, bottom in
    pixels of x, and an index into `Data.things`.
    """

    x: Tensor | Sequence[Tensor]
    y: Tensor
    ids: tuple[str, ...]
    texts: tuple[str, ...] = ()
    masks: Tensor | None = None
    boxes: tuple[Tensor, ...] = ()

    def rows(self, which: Tensor | Sequence[int], y: Tensor | None = None) -> Split:
        """These examples in this order, copied. which: (M,) whole numbers from 0 to N - 1; repetitions
        are allowed (a bootstrap). y: (M,) new labels. If x is a sequence, it is not read yet.

        >>> tl.load_data("digits").test.rows([0, 0, 7])
        Split(3 of 3×32×32 uint8)
        """
        import torch
        from torch.utils.data import Subset

        index = torch.as_tensor(which, dtype=torch.int64)
        places = index.tolist()
        return replace(
            self,
            x=self.x[index] if isinstance(self.x, torch.Tensor) else Subset(self.x, places),
            y=self.y[index] if y is None else y,
            ids=tuple(self.ids[at] for at in places),
            texts=tuple(self.texts[at] for at in places) if self.texts else (),
            masks=None if self.masks is None else self.masks[index],
            boxes=tuple(self.boxes[at].clone() for at in places) if self.boxes else (),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        if not len(self):
            return "Split(0)"
        one = self.x[0]  # a sequence reads one; a tensor has it
        kind = str(one.dtype).removeprefix("torch.")
        return f"Split({len(self)} of {shape_of(self)} {kind})"


@dataclass(frozen=True, eq=False)
class Source:
    """All examples of a data set before splitting; what a reader in `sources` returns.

    x, y, ids, texts, masks, boxes as in `Split`. Of each class, `test` and `valid` examples are set
    aside; training examples are drawn from the rest, the pool. A data set with a published test set
    assigns examples in `given`: "test", "valid", "train", or "" for those that the two numbers divide.
    Examples that must stay in one split (frames of one scene, copies of one picture) share a name in
    `kin`.
    """

    title: str
    x: Tensor
    y: Tensor
    ids: Sequence[str]
    classes: tuple[str, ...]
    valid: int
    test: int
    texts: Sequence[str] = ()
    masks: Tensor | None = None
    boxes: Sequence[Tensor] = ()
    things: tuple[str, ...] = ()
    given: Sequence[str] = ()
    kin: Sequence[str] = ()

    @property
    def examples(self) -> Split:
        """All examples as one split that shares their memory."""
        ids, texts, boxes = tuple(self.ids), tuple(self.texts), tuple(self.boxes)
        return Split(self.x, self.y, ids, texts, self.masks, boxes)


def shape_of(split: Split) -> str:
    """Of one example, for people."""
    return "×".join(str(n) for n in split.x[0].shape) if len(split) else "none"
