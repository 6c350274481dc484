"""The user's own tensors and torch Datasets as the fields of a `Data`, with all checks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from tlcourse.checks import number
from tlcourse.data.examples import SPLITS, Split
from tlcourse.errors import DataError
from tlcourse.rng import checked_seed, fold_in, permutation
from tlcourse.schema import is_text, shown

IN_MEMORY = 512 * 2**20  # bytes of a split; what is larger is read as it is needed
KINDS = "pictures (N, 3, H, W), features (N, D) float, or token ids (N, T) int64"


def from_tensors(
    given: Mapping[str, Any],
    classes: Sequence[str] | None,
    valid_share: float,
    seed: int,
    name: str,
) -> dict[str, Any]:
    """given: "train", "valid", "test" → a pair (x, y), or None. See `Data.from_tensors`."""
    pairs = {}
    for split, pair in given.items():
        if pair is None:
            continue
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{split} is a pair (x, y), not a {type(pair).__name__}.")
        pairs[split] = _checked_x(split, pair[0]), pair[1]
    return _made(pairs, classes, valid_share, seed, name)


def from_dataset(
    given: Mapping[str, Any],
    classes: Sequence[str] | None,
    valid_share: float,
    seed: int,
    name: str,
    in_memory: bool | None,
) -> dict[str, Any]:
    """given: "train", "valid", "test" → a map-style Dataset, or None. See `Data.from_dataset`."""
    pairs = {}
    for split, dataset in given.items():
        if dataset is None:
            continue
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise DataError(
                f"{split} is a map-style Dataset with len(…) and [i], not a {type(dataset).__name__}."
            )
        if len(dataset) == 0:
            raise DataError(f"{split} is an empty Dataset: leave it out, or give it an example.")
        first = _sample(dataset, 0, split)[0]
        fits = first.numel() * first.element_size() * len(dataset) <= IN_MEMORY
        if in_memory or (in_memory is None and (fits or first.ndim != 3)):
            pairs[split] = _read(dataset, split)
        else:
            pairs[split] = Pictures(dataset, split), _labels_of(dataset, split)
    if classes is None:
        classes = getattr(given["train"], "classes", None)
    return _made(pairs, classes, valid_share, seed, name)


class Pictures(Sequence):
    """The pictures of a Dataset, each read on access: (3, H, W) uint8."""

    def __init__(self, dataset: Any, split: str) -> None:
        self.dataset, self.split = dataset, split
        self[0]  # fail now if it is not a picture

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, at: int) -> Tensor:
        x = _checked_x(self.split, _sample(self.dataset, at, self.split)[0][None], at)[0]
        if x.ndim != 3:
            raise DataError(f"{self.split}: example {at} is {tuple(x.shape)}, not (3, H, W).")
        return x if x.dtype == torch.uint8 else (x * 255).round().to(torch.uint8)


def _made(
    pairs: Mapping[str, tuple[Any, Any]],
    classes: Sequence[str] | None,
    valid_share: float,
    seed: int,
    name: str,
) -> dict[str, Any]:
    number(valid_share, "valid_share", DataError, above=0, below=1)
    seed = checked_seed(seed, DataError)
    if isinstance(classes, str):
        raise DataError(f"classes is a list of names, not the one string {classes!r}.")
    if "train" not in pairs or not len(pairs["train"][0]):
        raise DataError("train holds no examples: give (x, y) with one or more of each class.")
    labels = {split: _checked_y(split, y, len(x)) for split, (x, y) in pairs.items()}
    count = 1 + max(int(y.max()) for y in labels.values() if len(y))
    names = tuple(map(str, range(count) if classes is None else classes))
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"A task needs two or more classes, each with its own name, not {names!r}.")
    for split, y in labels.items():
        _check_range(split, y, len(names), str)
    splits = {}
    for split, (x, _) in pairs.items():
        ids = tuple(f"{split}/{at:06d}" for at in range(len(x)))
        splits[split] = Split(x, labels[split], ids)
        _check_alike(splits["train"], splits[split], split)
    whole = splits["train"]
    if "valid" not in splits:
        splits["train"], splits["valid"] = _split_off(whole, valid_share, seed)
    splits.setdefault("test", whole.rows([]))
    ordered = {split: splits[split] for split in SPLITS}
    return {"name": name, "title": name, "classes": names, "recipe": {"own": name}} | ordered


def _checked_x(split: str, x: Any, first: int = 0) -> Tensor:
    """x in one of the three kinds, float as float32. first: the number of its first example."""
    try:
        x = torch.as_tensor(x).detach()
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{split}: x is a tensor or an array, not a {type(x).__name__}.") from None
    if x.ndim == 2 and x.dtype in (torch.int32, torch.int64):
        _refused_where(x < 0, split, "holds a negative token id", first)
        return x.long()
    floats = x.is_floating_point()
    pictures = x.ndim == 4 and (floats or x.dtype == torch.uint8)
    if pictures and x.shape[1] != 3:
        raise DataError(
            f"{split}: pictures are (N, 3, H, W), not {tuple(x.shape)}; grey ones become so by"
            f" x.expand(-1, 3, -1, -1), and (N, H, W, 3) by x.permute(0, 3, 1, 2)."
        )
    if not pictures and not (x.ndim == 2 and floats):
        kind = str(x.dtype).removeprefix("torch.")
        raise DataError(f"{split}: x is {tuple(x.shape)} {kind}. Give {KINDS}.")
    if floats:
        _refused_where(~x.isfinite(), split, "holds NaN or infinity", first)
        if pictures:
            out = (x < 0) | (x > 1)
            says = "holds values outside 0 to 1; float pictures are not normalised"
            _refused_where(out, split, says, first)
    return x.float() if floats else x


def _refused_where(wrong: Tensor, split: str, says: str, first: int) -> None:
    rows = wrong.flatten(1).any(1).nonzero().flatten()
    if len(rows):
        raise DataError(f"{split}: example {int(rows[0]) + first} {says}.")


def _checked_y(split: str, y: Any, count: int) -> Tensor:
    try:
        y = torch.as_tensor(y).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{split}: y is (N,) whole numbers, not a {type(y).__name__}.") from None
    if y.ndim != 1 or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        kind = str(y.dtype).removeprefix("torch.")
        raise DataError(f"{split}: y is (N,) whole numbers, not {tuple(y.shape)} {kind}.")
    if len(y) != count:
        lacks = "label" if len(y) < count else "example"
        raise DataError(
            f"{split} has {count} examples and {len(y)} labels: number {min(count, len(y))} lacks its"
            f" {lacks}."
        )
    return y.long()


def check_split(name: str, split: Split, classes: Sequence[str]) -> None:
    """DataError that names the example at fault, for a split that somebody made by hand."""
    if not isinstance(split.y, Tensor):
        raise DataError(f"{name}: y is a tensor (N,) int64, not a {type(split.y).__name__}.")
    if _checked_y(name, split.y, len(split.x)).dtype != split.y.dtype:
        raise DataError(f"{name}: y is int64, not {split.y.dtype}: make it so by y.long().")
    if len(split.ids) != len(split.y):
        raise DataError(f"{name} has {len(split.y)} examples and {len(split.ids)} ids.")
    for at, one in enumerate(split.ids):
        if not isinstance(one, str) or not one or not (one.isascii() or is_text(one)):
            raise DataError(f"{name}: the id of example {at} is a name, not {shown(one)}.")
    _check_range(name, split.y, len(classes), lambda at: shown(split.ids[at]))
    if isinstance(split.x, Tensor) and split.x.is_floating_point() and len(split.x):
        rows = (~split.x.isfinite()).flatten(1).any(1).nonzero().flatten()
        if len(rows):
            raise DataError(f"{name}: {shown(split.ids[int(rows[0])])} holds NaN or infinity.")


def check_classes(classes: Sequence[str]) -> None:
    for at, one in enumerate(classes):
        if not isinstance(one, str) or not one.strip() or not is_text(one):
            raise DataError(f"The name of class {at} is a line of text, not {shown(one)}.")


def _check_range(split: str, y: Tensor, count: int, called: Callable[[int], str]) -> None:
    if wrong := ((y < 0) | (y >= count)).nonzero().flatten().tolist():
        at = wrong[0]
        raise DataError(
            f"{split}: example {called(at)} has label {int(y[at])}; the labels of {count} classes are"
            f" 0 to {count - 1}."
        )


def _check_alike(train: Split, other: Split, name: str) -> None:
    if not len(other):
        return
    mine, its = train.x[0], other.x[0]
    if mine.shape != its.shape or mine.dtype != its.dtype:
        raise DataError(
            f"{name} holds {tuple(its.shape)} {its.dtype} and train {tuple(mine.shape)} {mine.dtype}:"
            f" make them alike."
        )


def _split_off(whole: Split, share: float, seed: int) -> tuple[Split, Split]:
    """(train, valid): `share` of each class's examples, rounded, but never all of them."""
    order = torch.from_numpy(permutation(fold_in(seed, "valid"), len(whole)))
    taken = []
    for label in whole.y.unique():
        members = order[whole.y[order] == label]
        taken.append(members[: min(round(share * len(members)), len(members) - 1)])
    valid = torch.cat(taken).sort().values
    if not len(valid):
        raise DataError(
            f"valid_share={share} of {len(whole)} training examples is none of any class: give valid."
        )
    rest = torch.ones(len(whole), dtype=torch.bool)
    rest[valid] = False
    return whole.rows(rest.nonzero().flatten()), whole.rows(valid)


def _sample(dataset: Any, at: int, split: str) -> tuple[Tensor, Any]:
    """(x, y) of one example, a PIL picture as a (3, H, W) tensor."""
    try:
        pair = dataset[at]
    except Exception as error:
        raise DataError(
            f"{split}: example {at} cannot be read: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"{split}: example {at} is a pair (x, y), not a {type(pair).__name__}.")
    x, y = pair
    if hasattr(x, "convert"):  # a PIL picture
        x = torch.from_numpy(np.array(x.convert("RGB"))).permute(2, 0, 1)
    try:
        return torch.as_tensor(x), y
    except (TypeError, ValueError, RuntimeError):
        raise DataError(
            f"{split}: x of example {at} is a {type(x).__name__}. Give {KINDS}."
        ) from None


def _read(dataset: Any, split: str) -> tuple[Tensor, Any]:
    rows, labels = [], []
    for at in range(len(dataset)):
        x, y = _sample(dataset, at, split)
        if rows and x.shape != rows[0].shape:
            raise DataError(
                f"{split}: example {at} is {tuple(x.shape)} and the first {tuple(rows[0].shape)}; they"
                f" must have one shape, so add a transform that resizes them."
            )
        rows.append(x)
        labels.append(_label(y, at, split))
    return _checked_x(split, torch.stack(rows)), labels


def _labels_of(dataset: Any, split: str) -> Any:
    """Every label, without reading the pictures where the dataset keeps `targets`."""
    places: Any = range(len(dataset))
    inner = dataset
    while isinstance(inner, Subset):
        places, inner = [inner.indices[at] for at in places], inner.dataset
    targets = getattr(inner, "targets", None)
    if targets is not None and len(targets) == len(inner):
        return [_label(targets[at], at, split) for at in places]
    return [_label(_sample(dataset, at, split)[1], at, split) for at in range(len(dataset))]


def _label(y: Any, at: int, split: str) -> int:
    value = y.item() if hasattr(y, "item") and getattr(y, "size", 1) else y
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(
            f"{split}: example {at} has label {y!r}; labels are whole numbers from 0 on."
        )
    return value
