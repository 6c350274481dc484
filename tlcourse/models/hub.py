"""Any image model of timm, in this course's shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tlcourse import cards
from tlcourse.errors import ModelError
from tlcourse.models.classifier import ImageClassifier, new_head
from tlcourse.models.stored import folder_of, tensors_of, weights_of
from tlcourse.rng import initial_seed, seeded

CONTAINERS = {"blocks", "stages", "layers", "features"}
STAGE = re.compile(r"(layer|stage|stages_|block|s)\d+")


def build(
    name: str, labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    """timm's `name` (ARCH or ARCH.TAG) with the weights of its card, or from scratch, drawn by `seed`.

    Images are normalised as timm says for those weights.
    """
    import timm

    architecture, _, tag = name.partition(".")
    if architecture not in timm.list_models():
        near = timm.list_models(f"{architecture.split('_')[0]}*")[:8]
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ModelError(
            f"timm has no model {name!r}.{hint} timm.list_models('*word*') lists what there is."
        )
    folder = folder_of(f"timm/{name}") if pretrained else None
    if pretrained and not tag:
        name = cards.hub(cards.hub_card(f"timm/{name}")).hub.loads.removeprefix("timm/")
    if "." in name and name not in timm.list_pretrained():
        raise ModelError(
            f"timm {timm.__version__} does not know the weights {name!r}. It knows: "
            f"{', '.join(timm.list_pretrained(f'{architecture}.*')) or 'none of this model'}."
        )
    with seeded(initial_seed(seed, "body")):
        body = timm.create_model(name, pretrained=False, num_classes=0)
    if folder:
        load_weights(body, weights_of(folder, f"timm/{name}"))
    width = getattr(body, "head_hidden_size", None) or body.num_features
    return ImageClassifier(
        body,
        new_head(width, len(labels), seed),
        parts=parts_of(body),
        mean=body.pretrained_cfg["mean"],
        std=body.pretrained_cfg["std"],
        classes=labels,
        recipe=recipe,
    )


def load_weights(body: nn.Module, paths: Sequence[Path]) -> None:
    """Every weight of the body out of these files, its old head left out. ModelError if names or shapes
    do not fit."""
    classifier = body.pretrained_cfg.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    left_out = tuple(f"{head}." for head in heads)
    stored = {
        key: value
        for path in paths
        for key, value in tensors_of(path).items()
        if not key.startswith(left_out)
    }
    own = body.state_dict()
    wrong = sorted(set(own) ^ set(stored))
    wrong += [key for key in own.keys() & stored if own[key].shape != stored[key].shape]
    if wrong:
        raise ModelError(
            f"{paths[0]} does not fit timm's {body.pretrained_cfg['architecture']}: {wrong[0]} is "
            f"missing, unknown or of another shape. Another version of timm may have made it."
        )
    body.load_state_dict(stored)


def parts_of(body: nn.Module) -> dict[str, list[str]]:
    """stem, stage1 … stageN: the library's own stages, in the order in which they are declared.

    What lies before the first stage is the stem (with loose parameters such as position
    embeddings), what lies behind one joins it. A model without recognisable stages is divided
    into its children.
    """
    stem = [name for name, _ in body.named_parameters(recurse=False)]
    stages: list[list[str]] = []
    for path, is_stage in _units(body):
        if is_stage:
            stages.append([path])
        else:
            (stages[-1] if stages else stem).append(path)
    if not stages:
        return {path: [path] for path in stem}
    parts = {f"stage{number}": paths for number, paths in enumerate(stages, start=1)}
    return {"stem": stem, **parts} if stem else parts


def _units(body: nn.Module) -> list[tuple[str, bool]]:
    """(path, is it a stage?) of every child with parameters; containers are opened."""
    units = []
    for name, child in body.named_children():
        if name in CONTAINERS and isinstance(child, nn.Sequential | nn.ModuleList):
            inner = [(f"{name}.{key}", part, True) for key, part in child.named_children()]
        else:
            inner = [(name, child, bool(STAGE.fullmatch(name)))]
        units += [
            (path, stage) for path, part, stage in inner if any(True for _ in part.parameters())
        ]
    return units
