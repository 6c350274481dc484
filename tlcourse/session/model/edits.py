"""Edits of a model's structure that can be undone: adapters on layers, and a new head.

An edit exchanges modules and keeps both, so that undoing and doing it again cost nothing and bring back
the same parameters. Planning an edit changes nothing.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.nn import Parameter

from tlcourse.errors import CommandError
from tlcourse.rng import fold_in, seeded

from ..commands import Command

Groups = dict[str, list[Parameter]]


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """swaps: (owner, attribute, old, new); before, after: every group's parameters; layers: those of
    an adapter, whose scale can be set; command: what asked for it."""

    swaps: tuple[tuple[nn.Module, str, nn.Module, nn.Module], ...]
    before: Groups
    after: Groups
    adapter: str | None = None
    layers: tuple[nn.Module, ...] = field(default=())
    command: Command | None = None

    def do(self) -> Groups:
        for owner, name, _, new in self.swaps:
            setattr(owner, name, new)
        return self.after

    def undo(self) -> Groups:
        for owner, name, old, _ in self.swaps:
            setattr(owner, name, old)
        return self.before


def plan_lora(
    model: nn.Module,
    groups: Groups,
    names: list[str],
    *,
    rank: int,
    alpha: float | None,
    layers: str | None,
    name: str,
    seed: int,
) -> Edit:
    """Adapters of peft on the layers of the named groups, drawn by `seed` and the adapter's name.

    The new group stands before the last one, the head. Raises CommandError if no layer can take one.
    """
    if name in groups:
        raise CommandError(f"There is a group {name!r} already; give the adapter another name.")
    wanted = {id(p) for group in names for p in groups[group]}
    endings = tuple(part.strip() for part in (layers or "").split(",") if part.strip())
    found = {
        path: module
        for path, module in model.named_modules()
        if _takes_lora(module) and id(module.weight) in wanted and _ends(path, endings)
    }
    taken = [path for path in found if ".base_layer" in f".{path}"]
    if taken:
        raise CommandError(
            f"{taken[0].removesuffix('.base_layer')} carries an adapter already. Turn that one with "
            "SetScale, or Rewind to before it."
        )
    if not found:
        found_endings = sorted(
            {p.rpartition(".")[2] for p, m in model.named_modules() if _takes_lora(m)}
        )
        raise CommandError(
            f"No layer of {', '.join(names)} can take a LoRA"
            + (
                f" and ends in {layers}; layers here end in: {', '.join(found_endings)}."
                if endings
                else "."
            )
        )
    made = _lora_layers(found, rank, alpha, name, fold_in(seed, "lora", name))
    swaps, gained = [], []
    for path, layer in made.items():
        owner, _, leaf = path.rpartition(".")
        swaps.append((model.get_submodule(owner), leaf, found[path], layer))
        gained += [*layer.lora_A.parameters(), *layer.lora_B.parameters()]
    *body, head = groups
    after = {g: groups[g] for g in body} | {name: gained, head: groups[head]}
    return Edit(tuple(swaps), groups, after, adapter=name, layers=tuple(made.values()))


def plan_head(model: nn.Module, groups: Groups, *, kind: str, seed: int, turn: int) -> Edit:
    """A fresh layer in place of the head's last linear one. turn: how many heads were swapped before, so
    that each is another draw."""
    head = list(groups)[-1]
    mine = {id(p) for p in groups[head]}
    place = {
        new: (owner, leaf) for owner in model.modules() for leaf, new in owner.named_children()
    }
    linear = [m for m in place if isinstance(m, nn.Linear) and id(m.weight) in mine]
    if not linear:
        raise CommandError(f"{head} has no linear layer, so there is no head to swap here.")
    last = linear[-1]
    owner = place[last][0]
    old = owner if isinstance(owner, MLP) else last  # an mlp that was swapped in goes as a whole
    width, classes = (old[0] if isinstance(old, MLP) else last).in_features, last.out_features
    with seeded(fold_in(seed, "head", turn)):
        new: nn.Module = nn.Linear(width, classes)
        if kind == "mlp":
            new = MLP(nn.Linear(width, width), nn.ReLU(), new)
    new = new.to(last.weight.device, last.weight.dtype)
    gone = {id(p) for p in old.parameters()}
    kept = [p for p in groups[head] if id(p) not in gone]
    after = groups | {head: kept + list(new.parameters())}
    return Edit(((*place[old], old, new),), groups, after)


class MLP(nn.Sequential):
    """A head with one hidden layer."""


def _takes_lora(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)


def _ends(path: str, endings: tuple[str, ...]) -> bool:
    return not endings or any(path == e or path.endswith(f".{e}") for e in endings)


def _lora_layers(
    found: Mapping[str, nn.Module], rank: int, alpha: float | None, name: str, key: int
) -> dict[str, nn.Module]:
    """Each layer wrapped by peft, outside the model, which is not touched."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        from peft import LoraConfig, inject_adapter_in_model

        from tlcourse.models.adapted_layers import readable

    wrapped = nn.ModuleDict({str(n): layer for n, layer in enumerate(found.values())})
    fits = {n: min(rank, *layer.weight.shape[:2]) for n, layer in wrapped.items()}
    scale = (rank if alpha is None else alpha) / rank
    trained = {p: p.requires_grad for p in wrapped.parameters()}
    config = LoraConfig(
        r=rank,
        lora_alpha=scale * rank,
        target_modules="|".join(map(re.escape, fits)),
        rank_pattern={f"^{n}$": r for n, r in fits.items()},
        alpha_pattern={f"^{n}$": scale * r for n, r in fits.items()},
    )
    with seeded(key):
        inject_adapter_in_model(config, wrapped, adapter_name=name)
    readable(wrapped)
    for p, was in trained.items():  # peft freezes all but the adapter; that is ours to decide
        p.requires_grad_(was)
    return dict(zip(found, wrapped.values(), strict=True))
