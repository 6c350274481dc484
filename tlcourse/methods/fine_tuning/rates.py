"""Learning rates by group, as plain dicts for `Session(lr=…)`.

Features near the input are general already and need smaller steps than those near the head.

- `discriminative`   each group at 1/2.6 of the rate of the one above it
- `layer_decay`      each layer at 3/4 of the rate of the one above it
"""

from types import SimpleNamespace

from torch import nn

from tlcourse.checks import learning_rate, number
from tlcourse.errors import CommandError
from tlcourse.models import groups_of


def discriminative(model: nn.Module, lr: float, *, factor: float = 2.6) -> dict[str, float]:
    """The head at `lr`, and each group below at 1/factor of the rate of the one above it.

    Howard & Ruder 2018, "Universal Language Model Fine-tuning", section 3.2: η^(l−1) = η^l / 2.6, found
    to work well on text. factor: ≥ 1; with 1 every group has the same rate.

    >>> rates = discriminative(model, 1e-3)
    >>> round(rates["head"] / rates["stage4"], 1)
    2.6
    """
    learning_rate(lr, CommandError)
    number(factor, "factor", CommandError, low=1)
    names = list(groups_of(model))
    return {name: lr / factor ** (len(names) - 1 - depth) for depth, name in enumerate(names)}


def layer_decay(model: nn.Module, lr: float, *, decay: float = 0.75) -> dict[str, float]:
    """The head at `lr`, the layer below it at lr · decay, the next one at lr · decay², and so on.

    Clark et al. 2020 (ELECTRA), as BEiT (Bao et al. 2022) and timm do it. For timm's models, timm
    gives each layer's depth, so each group gets exactly the scale of timm's
    `param_groups_layer_decay`. If a group holds several layers (a ResNet's stage), timm's coarse
    grouping decides; if even that divides the group, its lowest layer does. In any other model each
    group counts as one layer. decay: above 0, up to 1.
    """
    learning_rate(lr, CommandError)
    number(decay, "decay", CommandError, above=0, high=1)
    depths = depths_of(model)
    last = max(depths.values())
    return {name: lr * decay ** (last - depth) for name, depth in depths.items()}


def depths_of(model: nn.Module) -> dict[str, int]:
    """Group → the number of layers below it. 0 is at the input; the head has the highest."""
    groups = groups_of(model)
    body = getattr(model, "body", None)
    if not hasattr(body, "group_matcher"):
        return {name: depth for depth, name in enumerate(groups)}
    for coarse in (False, True):
        layer = _timm_layers(body, coarse)
        within = {
            name: {layer.get(id(p), layer["head"]) for p in group.parameters()}
            for name, group in groups.items()
        }
        if all(len(layers) == 1 for layers in within.values()):
            break
    return {name: min(layers) for name, layers in within.items()}


def _timm_layers(body: nn.Module, coarse: bool) -> dict[int | str, int]:
    """id of each parameter of the body → timm's number for its layer; "head" → the head's."""
    from timm.models import group_parameters

    ids = {name: id(p) for name, p in body.named_parameters()}
    head = "the head of this course"  # matched by no pattern, as timm's own heads
    named = SimpleNamespace(named_parameters=lambda: [(name, None) for name in (*ids, head)])
    numbers = group_parameters(named, body.group_matcher(coarse=coarse), reverse=True)
    return {ids[name]: numbers[name] for name in ids} | {"head": numbers[head]}
