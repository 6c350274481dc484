"""Any image model of timm, in this course's shape."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from tlcourse.errors import ModelError
from tlcourse.models.classifier import ImageClassifier, fold, new_head, seeded

CONTAINERS = {"blocks", "stages", "layers", "features"}
STAGE = re.compile(r"(layer|stage|stages_|block|s)\d+")


def build(
    name: str, labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    """timm's `name` from scratch, drawn by `seed`; images are normalised as timm says for it."""
    import timm

    if name not in timm.list_models():
        near = timm.list_models(f"{name.split('_')[0]}*")[:8]
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ModelError(
            f"timm has no model {name!r}.{hint} timm.list_models('*word*') lists what there is."
        )
    if pretrained:
        raise ModelError(
            f"'timm/{name}' has no weights here yet: those of the hubs arrive with their cards in a"
            f" later release. Take pretrained=False, or mobilenetv2, which has ImageNet weights."
        )
    with seeded(fold(seed, "body")):
        body = timm.create_model(name, num_classes=0)
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
