"""What a network knows at every depth: its features after each of its groups.

Early layers answer to edges and colours, late ones to what the network was trained to tell apart
(Yosinski et al. 2014, "How transferable are features in deep neural networks?"). A probe on each shows
where, for a task of one's own, the useful features end.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.features import evaluating, holds_tokens, padding, ready, trimmed

if TYPE_CHECKING:
    from tlcourse.data import Data, Split


def features_by_depth(
    model: nn.Module, data: "Data", *, groups: Sequence[str] | None = None, batch_size: int = 64
) -> dict[str, "Data"]:
    """For each group but the head, input to output: the data with what comes out of that group.

    Pictures (N, 3, H, W) or token ids (N, T) become (N, D) float32 on the CPU, where D differs by
    group: maps (B, D, H, W) are averaged over space, tokens (B, T, D) over those that are not padding.
    groups: names of `model.groups`; None is all but the head. One forward pass serves all of them, in
    eval mode; the model is left as it was.
    """
    known = getattr(model, "groups", None)
    if not known:
        raise ModelError(f"{type(model).__name__} names no groups: make it with tl.load_model.")
    wanted = list(groups) if groups is not None else [name for name in known if name != "head"]
    if unknown := [name for name in wanted if name not in known]:
        raise CommandError(f"No group {unknown[0]!r}. The groups are: {', '.join(known)}.")
    splits = {
        name: _by_depth(model, getattr(data, name), wanted, batch_size)
        for name in ("train", "valid", "test")
    }
    return {
        group: replace(
            data,
            **{name: split[group] for name, split in splits.items()},
            recipe={"features_of": data.recipe, "model": model.recipe, "group": group},
        )
        for group in wanted
    }


def _by_depth(
    model: nn.Module, split: "Split", groups: list[str], batch_size: int
) -> dict[str, "Split"]:
    x = torch.as_tensor(split.x)
    if x.ndim != 4 and not holds_tokens(x):
        raise DataError(
            f"Features by depth want pictures (N, 3, H, W) or token ids (N, T) int64, not "
            f"{tuple(x.shape)}."
        )
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    rows: dict[str, list[Tensor]] = {group: [] for group in groups}
    with evaluating(model), _listening(model, groups) as heard:
        for batch in x.split(batch_size):
            model(ready(batch, model, device))
            used = None
            if holds_tokens(batch):
                used = (trimmed(batch, padding(model)) != padding(model)).to(device)
            for group in groups:
                rows[group].append(_pooled(heard[group], used).float().cpu())
    return {group: replace(split, x=torch.cat(parts)) for group, parts in rows.items()}


@contextmanager
def _listening(model: nn.Module, groups: list[str]) -> Iterator[dict[str, Tensor]]:
    """What each group said last. One that is a mere list of modules speaks by the last that ends."""
    heard: dict[str, Tensor] = {}

    def hook(group: str):
        def listen(module: nn.Module, inputs: object, output: object) -> None:
            output = output[0] if isinstance(output, tuple) else output
            if isinstance(output, Tensor) and output.is_floating_point():
                heard[group] = output

        return listen

    handles = [
        module.register_forward_hook(hook(group))
        for group in groups
        for module in model.groups[group].modules()
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _pooled(x: Tensor, used: Tensor | None) -> Tensor:
    """(B, D, H, W) or (B, T, D), with `used` (B, T) where there is padding, to (B, D)."""
    if x.ndim == 4:
        return x.mean((2, 3))
    if x.ndim == 3 and used is not None and used.shape == x.shape[:2]:
        share = used.unsqueeze(-1).to(x.dtype)
        return (x * share).sum(1) / share.sum(1).clamp(min=1)
    return x.mean(1) if x.ndim == 3 else x
