"""`load_model`: a name and classes in, a model with named groups out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tlcourse.errors import ModelError
from tlcourse.rng import checked_seed

if TYPE_CHECKING:
    from torch import nn

# name -> module of this room whose `build(classes, pretrained=…, seed=…, recipe=…)` makes it
BUILDERS = {
    "minilm": "text",
    "mobilenetv1-025": "mobilenetv1",
    "mobilenetv1-050": "mobilenetv1",
    "mobilenetv2": "mobilenet",
    "pocket-glyphs": "pocket",
    "pocket-resnet": "pocket",
    "pocket-vit": "pocket_vit",
}


def names() -> list[str]:
    """Every model that `load_model` knows by name; `timm/NAME` and `hf/NAME` come on top."""
    return sorted(BUILDERS)


def load_model(
    name: str, *, classes: Sequence[str] | int | str, pretrained: bool = True, seed: int = 0
) -> nn.Module:
    """A classifier over `classes`: a pre-trained (or freshly initialised) backbone and a new head.

    classes: the names in label order, or how many; "imagenet" keeps mobilenetv2's own 1000-way
    head. `seed` draws the head, and with pretrained=False the backbone; the global generator is
    left alone. `timm/NAME` is any image model of timm, `hf/NAME` an image model or text encoder of
    the Hugging Face hub; their weights need a pinned card (`tlcourse cards` lists them). The model
    has `groups`, `features(x)`, `classes` and `recipe`; it is in train mode, as PyTorch's own are.
    Raises ModelError for names, classes, seeds or weights that do not fit, or too little memory;
    CardError for a card that is not pinned, SupplyError if weights cannot be brought.
    """
    builder, labels = _find(name), _labels(name, classes, pretrained)
    seed = checked_seed(seed, ModelError)
    recipe = {
        "name": name,
        "classes": classes if isinstance(classes, int | str) else list(labels),
        "pretrained": pretrained,
        "seed": seed,
    }
    return builder(labels, pretrained=pretrained, seed=seed, recipe=recipe)


def _find(name: str) -> Any:
    family, _, rest = str(name).partition("/")
    if family == "timm" and rest:
        return _bind(import_module("tlcourse.models.hub").build, rest)
    if family == "hf" and rest:
        return _bind(import_module("tlcourse.models.hf").build, rest)
    if name not in BUILDERS:
        near = _on_a_hub(name) or get_close_matches(str(name), BUILDERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelError(
            f"No model {name!r}.{hint} There are: {', '.join(names())}, and timm/NAME and hf/NAME of"
            f" the hubs."
        )
    return import_module(f"tlcourse.models.{BUILDERS[name]}").build


def _on_a_hub(name: str) -> list[str]:
    """What loads the hub's model whose card has that name, as `tlcourse cards` lists it."""
    from tlcourse import cards

    loads = cards.hub(name).hub.loads if name in cards.hub_names() else None
    return [loads] if loads else []


def _bind(build: Any, name: str) -> Any:
    return lambda labels, **rest: build(name, labels, **rest)


def _labels(name: str, classes: Sequence[str] | int | str, pretrained: bool) -> Any:
    """The class names as a tuple, or "imagenet" as it is."""
    if classes == "imagenet":
        if name != "mobilenetv2" or not pretrained:
            raise ModelError(
                f'classes="imagenet" keeps the head that came with the weights; only the'
                f" pre-trained mobilenetv2 has one, not {name!r} with pretrained={pretrained}."
                f" Give class names, or their number."
            )
        return classes
    if isinstance(classes, str):
        raise ModelError(
            f"classes={classes!r} is one string. Give a list of names, or their number."
        )
    if not isinstance(classes, int | Iterable):
        raise ModelError(f"classes={classes!r} is neither: give a list of names, or their number.")
    labels = tuple(map(str, range(classes) if isinstance(classes, int) else classes))
    if len(labels) < 2:
        raise ModelError(f"classes={classes!r} leaves nothing to tell apart: give two or more.")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ModelError(f"classes holds {twice!r} more than once: give each class its own name.")
    return labels
