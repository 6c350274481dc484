"""What a lesson trains on: three splits of labelled examples, and the recipe to recreate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tlcourse.data.examples import SPLITS, Split, shape_of

if TYPE_CHECKING:
    from torch.utils.data import Dataset


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
        return cls(**from_tensors(given, classes, valid_share, seed, name))

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
        return cls(**from_dataset(given, classes, valid_share, seed, name, in_memory))

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
        return f"{self.name}: {len(self.classes)} classes · {sizes} · {shape_of(self.train)}"
