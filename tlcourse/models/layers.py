"""The parameter groups of a transformer as the transformers library builds them."""

from __future__ import annotations

from torch import nn


def parts_of(body: nn.Module) -> dict[str, list[str]]:
    """embeddings, layer0 … layerN: paths in the body, together every parameter once.

    The layers are the longest list of modules; what is declared before it belongs to the
    embeddings, what comes behind it (a last norm) to the last layer. A parameter that stands in two
    places (T5's embeddings) is counted at the first.
    """
    layers = layers_of(body)
    before, behind = _around(body, layers)
    parts = {"embeddings": before} if before else {}
    count = len(body.get_submodule(layers))
    parts |= {f"layer{n}": [f"{layers}.{n}"] for n in range(count)}
    parts[f"layer{count - 1}"] += behind
    return _once(body, parts)


def layers_of(body: nn.Module) -> str:
    """The path of the list of layers: the one that holds the most parameters."""
    sizes = {
        path: sum(parameter.numel() for parameter in module.parameters())
        for path, module in body.named_modules()
        if isinstance(module, nn.ModuleList)
    }
    return max(sizes, key=sizes.__getitem__)


def _around(body: nn.Module, layers: str) -> tuple[list[str], list[str]]:
    """Paths of what has parameters before and behind the list, from the outermost module inwards."""
    before: list[str] = []
    behind: list[str] = []
    here, prefix = body, ""
    for step in layers.split("."):
        before += [prefix + name for name, _ in here.named_parameters(recurse=False)]
        passed = False
        tail = []
        for name, child in here.named_children():
            if name == step:
                passed = True
            elif any(True for _ in child.parameters()):
                (tail if passed else before).append(prefix + name)
        behind = tail + behind
        here, prefix = here.get_submodule(step), f"{prefix}{step}."
    return before, behind


def _once(body: nn.Module, parts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without paths that hold only what an earlier one holds."""
    held: set[int] = set()
    kept: dict[str, list[str]] = {}
    for name, paths in parts.items():
        kept[name] = []
        for path in paths:
            owner, _, leaf = path.rpartition(".")
            value = getattr(body.get_submodule(owner), leaf)
            own = (
                {id(value)} if isinstance(value, nn.Parameter) else set(map(id, value.parameters()))
            )
            if own - held:
                kept[name].append(path)
            held |= own
    return kept
