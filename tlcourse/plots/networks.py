"""A look into a network: its first filters, and its feature maps for one picture."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlcourse.errors import DataError, ModelError
from tlcourse.plots.labels import folded
from tlcourse.plots.pictures import grid
from tlcourse.plots.style import INK, MUTED, WIDTH, Picture, enumerated, framed, picture_on, styled

if TYPE_CHECKING:
    from torch import Tensor, nn


def filters(model: "nn.Module", *, title: str | None = None) -> Picture:
    """Every filter of the first convolution, from grey to colourful ones.

    Grey is a weight of zero; each filter's largest weight is white, black or a full colour.
    """
    weights, path = _first_convolution(model)
    dead = int((np.abs(weights).max((1, 2, 3)) < 1e-6).sum())
    weights = weights / np.maximum(np.abs(weights).max((1, 2, 3), keepdims=True), 1e-12)
    colourful = np.square(weights - weights.mean(1, keepdims=True)).mean((1, 2, 3))
    colourful /= np.maximum(np.square(weights).mean((1, 2, 3)), 1e-12)
    order = np.argsort(colourful, kind="stable")
    count, _, height, width = weights.shape
    title = title or "What the first layer looks for"
    with styled():
        per_row = min(count, 16 if count > 24 else 12)
        figure, axes = grid(math.ceil(count / per_row), per_row, title, lines=0)
        for axis, at in zip(axes, order, strict=False):
            axis.imshow(weights[at].transpose(1, 2, 0) / 2 + 0.5, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            framed(axis, "#C9CCCE", width=0.8)
    grey, blank = int((colourful < 0.1).sum()) - dead, f", ⟨{dead}⟩ to nothing" if dead else ""
    return Picture(
        figure,
        f"{title}: the {count} filters of {path}, {height} × {width} pixels each; ⟨{grey}⟩ of them "
        f"answer to light and dark{blank}, the others to colour.",
    )


def activations(
    model: "nn.Module",
    picture: "Tensor",
    group: str | Sequence[str] | None = None,
    *,
    channels: int = 7,
    title: str | None = None,
) -> Picture:
    """Feature maps of some groups for one picture: bright where a channel's activation is high.

    picture: (3, H, W), uint8 or float in [0, 1]. group: a group's name or several; None means an
    early, a middle and a late one. Of each group, the `channels` channels that vary most over the map
    are shown (by standard deviation, without the edge), each on its own scale.
    """
    if np.ndim(picture) != 3 or len(picture) != 3:
        raise DataError(f"activations wants one picture (3, H, W), not {tuple(np.shape(picture))}.")
    maps = _maps(model, picture)
    names = _chosen(maps, group)
    title = title or "What the channels answer to"
    with styled():
        figure, axes = grid(len(names), channels + 1, title, lines=2)
        tile = 100 * WIDTH / (channels + 1) - 14
        for row, name in enumerate(names):
            first, *others = axes[row * (channels + 1) : (row + 1) * (channels + 1)]
            size = "{} maps\n{} × {}".format(*maps[name].shape)
            first.set_title(folded(name, tile, size=9, bold=True, lines=1), fontsize=9, pad=18,
                            loc="left", weight="bold")  # fmt: skip
            first.text(0, 1.03, size.replace("\n", ", "), fontsize=8, color=MUTED,
                       transform=first.transAxes)  # fmt: skip
            picture_on(first, picture)
            framed(first, INK, width=1)
            inner = maps[name]
            if min(inner.shape[1:]) > 6:  # padding makes the edge stand out
                inner = inner[:, 1:-1, 1:-1]
            strongest = np.argsort(-inner.std((1, 2)), kind="stable")[:channels]
            for axis in others:
                axis.set_axis_off()
            for axis, at in zip(others, strongest, strict=False):
                axis.set_axis_on()
                axis.imshow(maps[name][at], cmap="cividis", interpolation="nearest",
                            vmin=inner[at].min(), vmax=inner[at].max())  # fmt: skip
                axis.set(xticks=[], yticks=[])
                axis.set_title(f"channel {at}", fontsize=8.5, weight="normal", loc="center", pad=3,
                               color=MUTED)  # fmt: skip
                framed(axis, INK)
    sizes = [f"{name} ({maps[name].shape[0]} maps of {maps[name].shape[1]} × {maps[name].shape[2]})"
             for name in names]  # fmt: skip
    return Picture(
        figure,
        f"{title}: one picture, and beside it the strongest {channels} channels of {enumerated(sizes)}.",
        photographic=True,
    )


def _first_convolution(model: "nn.Module") -> tuple[np.ndarray, str]:
    """Its weights (filters, 3, h, w), and its path."""
    from torch import nn

    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.shape[1] == 3:
            return module.weight.detach().float().cpu().numpy(), path
    raise ModelError(
        f"{type(model).__name__} has no convolution over the three colours of a picture, so there are "
        f"no filters to look at. Use an image model, such as pocket-resnet."
    )


def _maps(model: "nn.Module", picture: "Tensor") -> dict[str, np.ndarray]:
    """Group -> maps (C, h, w) of one picture, for every group with spatial output."""
    import torch
    from torch import nn

    from tlcourse.models import groups_of
    from tlcourse.models.inspection import evaluating

    seen: dict[str, Any] = {}
    hooks = []
    for name, module in groups_of(model).items():
        if isinstance(module, nn.ParameterList):
            continue
        while isinstance(module, nn.ModuleList):  # a list of modules: use the last one
            inner = [m for m in module if not isinstance(m, nn.ParameterList)]
            module = inner[-1] if inner else nn.Identity()
        hooks.append(
            module.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out))
        )
    x = torch.as_tensor(picture)[None]
    x = x.float() / 255 if not x.is_floating_point() else x
    device = next((p.device for p in model.parameters()), "cpu")
    try:
        with evaluating(model):
            model(x.to(device))
    finally:
        for hook in hooks:
            hook.remove()
    found = {name: _as_maps(out) for name, out in seen.items()}
    return {name: maps for name, maps in found.items() if maps is not None}


def _as_maps(out: Any) -> np.ndarray | None:
    """(C, h, w) from a group's output for one picture: maps, or a transformer's tokens as a grid."""
    out = out[0] if isinstance(out, tuple | list) else out
    if not hasattr(out, "ndim"):
        return None
    out = out.detach().float().cpu().numpy()
    if out.ndim == 4 and out.shape[2] > 1:
        channels_last = out.shape[1] == out.shape[2] != out.shape[3]
        return out[0].transpose(2, 0, 1) if channels_last else out[0]
    if out.ndim == 3:
        side = math.isqrt(out.shape[1])
        if side > 1:  # tokens, a class token first if there is one
            return out[0, out.shape[1] - side * side :].T.reshape(-1, side, side)
    return None


def _chosen(maps: dict[str, np.ndarray], group: Any) -> list[str]:
    if not maps:
        raise ModelError("No group of this model gives maps over a picture: use an image model.")
    if group is None:
        names = list(maps)
        return list(dict.fromkeys([names[0], names[(len(names) - 1) // 2], names[-1]]))
    names = [group] if isinstance(group, str) else list(group)
    for name in names:
        if name not in maps:
            raise ModelError(f"No maps of a group {name!r}. There are maps of: {', '.join(maps)}.")
    return names
