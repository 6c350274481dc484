"""What a lesson trains on: three splits of labelled examples, and the recipe to recreate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset

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
        return f"Split({len(self)} of {_shape(self)} {kind})"


@dataclass(frozen=True, eq=False)
class Data:
    """Training, validation and test examples of one task.

    `classes[i]` is the name of label i, `things[i]` the name of the contents of a box with index i.
    `recipe` holds the arguments of `load_data` that give the same tensors again, as plain JSON. For your
    own examples use `Data.from_tensors` or `Data.from_dataset`.
    """

    name: str
    title: str
    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...]
    recipe: dict[str, Any] = field(default_factory=dict)
    things: tuple[str, ...] = ()

    @classmethod
    def from_tensors(
        cls,
        train: tuple[Any, Any],
        valid: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        *,
        classes: Sequence[str] | None = None,
        valid_share: float = 0.2,
        seed: int = 0,
        name: str = "mine",
    ) -> Data:
        """Your own tensors (or NumPy arrays), each split a pair (x, y).

        x: pictures (N, 3, H, W), uint8 or float in [0, 1] and not normalised (course models do that);
        features (N, D) float; or token ids (N, T) int64. y: (N,) whole numbers, 0 to C - 1.
        classes: the C names in the order of the labels; None calls them "0" to "C-1". valid: None
        splits off `valid_share` of each class's training examples, drawn by `seed`. test: None leaves
        the test split empty. A record of a run cannot load such data by name: pass the same Data to
        `replay`, `resume` or the script.

        Raises DataError, naming the first wrong example, for a wrong shape or type, numbers that are
        not finite, labels out of range, or unequal numbers of examples and labels.

        >>> x, y = torch.rand(50, 8), torch.arange(50) % 2
        >>> tl.Data.from_tensors((x, y), classes=["left", "right"])
        mine: 2 classes · 40 train, 10 valid, 0 test · 8
        """
        from tlcourse.data.own import from_tensors

        given = {"train": train, "valid": valid, "test": test}
        return from_tensors(given, classes, valid_share, seed, name)

    @classmethod
    def from_dataset(
        cls,
        train: Dataset,
        valid: Dataset | None = None,
        test: Dataset | None = None,
        *,
        classes: Sequence[str] | None = None,
        valid_share: float = 0.2,
        seed: int = 0,
        name: str = "mine",
        in_memory: bool | None = None,
    ) -> Data:
        """Your own map-style torch Datasets of pairs (x, y), such as torchvision's.

        x: one example as in `from_tensors`, or a PIL picture; y: its label. classes: None takes
        `train.classes` where the dataset has it. in_memory: True reads every example once, now, so a
        random transform is drawn once; False reads pictures as training needs them, rounded to uint8
        (labels come from `targets`, or from one pass now); None reads up to 512 MB a split into memory.
        Everything else as in `from_tensors`; an example that cannot be read is named too.

        >>> x, y = torch.zeros(20, 3, 16, 16, dtype=torch.uint8), torch.arange(20) % 2
        >>> tl.Data.from_dataset(torch.utils.data.TensorDataset(x, y))
        mine: 2 classes · 16 train, 4 valid, 0 test · 3×16×16
        """
        from tlcourse.data.own import from_dataset

        given = {"train": train, "valid": valid, "test": test}
        return from_dataset(given, classes, valid_share, seed, name, in_memory)

    @property
    def splits(self) -> dict[str, Split]:
        """Name → split: "train", "valid", "test"."""
        return {name: getattr(self, name) for name in SPLITS}

    def map(self, change: Callable[[Split], Split], **fields: Any) -> Data:
        """The same task with `change` applied to every split, and with these fields replaced."""
        splits = {name: change(split) for name, split in self.splits.items()}
        return replace(self, **splits, **fields)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split)} {name}" for name, split in self.splits.items())
        return f"{self.name}: {len(self.classes)} classes · {sizes} · {_shape(self.train)}"


def _shape(split: Split) -> str:
    return "×".join(str(n) for n in split.x[0].shape) if len(split) else "none"


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
