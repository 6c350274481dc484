"""What a lesson trains on: three splits of labelled examples, and the recipe to make them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Examples that belong together.

    x: (N, 3, H, W) uint8 images, (N, D) float32 features or (N, T) int64 token ids; or, where they do
    not fit in memory, any sequence of (3, H, W) uint8 images (see Session's workers); y: (N,) int64;
    ids: N names, each unique within its data set and stable over releases.

    Where the data set has them: `texts`, N strings, of which x holds the tokens; `masks`, (N, H, W)
    uint8, 1 where the labelled thing is, else 0; `boxes`, N tensors (K, 5) float32, each row
    left, top, right, bottom in pixels of x, and what is inside (an index into `Data.things`).
    """

    x: Tensor
    y: Tensor
    ids: tuple[str, ...]
    texts: tuple[str, ...] = ()
    masks: Tensor | None = None
    boxes: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        one = self.x[0] if len(self) else self.x  # a sequence reads one; a tensor has it
        shape = "×".join(str(n) for n in one.shape)
        return f"Split({len(self)} of {shape} {str(one.dtype).removeprefix('torch.')})"


@dataclass(frozen=True, eq=False)
class Data:
    """Training, validation and test examples of one task.

    `classes[i]` is the name of label i, `things[i]` of what is in a box marked i. `recipe` holds the
    arguments of `load_data` that make the same tensors again; it is plain JSON.
    """

    name: str
    title: str
    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...]
    recipe: dict[str, Any] = field(default_factory=dict)
    things: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shape = "×".join(str(n) for n in self.train.x[0].shape) if len(self.train) else "none"
        sizes = f"{len(self.train)} train, {len(self.valid)} valid, {len(self.test)} test"
        return f"{self.name}: {len(self.classes)} classes · {sizes} · {shape}"


@dataclass(frozen=True, eq=False)
class Source:
    """Every example of a data set before it is divided; what a family of loaders returns.

    x, y, ids, texts, masks, boxes as in `Split`. Of each class, `test` and `valid` examples are set
    aside for good; the rest is the pool that training labels are drawn from. A data set that comes
    with a test set of its own says of each example where it belongs in `given`: "test", "valid",
    "train", or "" for those that are divided by the two numbers. Examples that are one thing for the
    split (frames of one scene, copies of one picture) share a name in `kin` and stay together.
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
