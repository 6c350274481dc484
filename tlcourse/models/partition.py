"""Into which parameter groups anyone's model falls: what a hand freezes, unfreezes and gives a rate."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn import Parameter

from tlcourse.errors import ModelError

STAGES = 4  # a long row of layers becomes so many groups
Named = list[tuple[str, list[nn.Module]]]
Groups = Mapping[str, nn.Module | str | Iterable[nn.Module | str]]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A group: its parameters, the modules in which they lie, and whether it is trained so far. Looks
    like a module to `Levers`."""

    own: tuple[Parameter, ...]
    inside: tuple[nn.Module, ...] = ()
    trains: bool = True

    def parameters(self) -> Iterator[Parameter]:
        return iter(self.own)

    def modules(self) -> Iterator[nn.Module]:
        return iter(self.inside)


def divide(
    model: nn.Module, groups: Groups | None = None, held: Collection[Parameter] | None = None
) -> dict[str, Part]:
    """Groups from input to output, the head last; every parameter is in one, and each group is either
    frozen or trains as a whole.

    groups: name → module, its path in the model, or several; None takes `model.groups`, or else
    divides the model itself: its children, and where nearly all lies in one of them, that one's.
    Parameters in none of them come first, as "rest". One in two (tied weights) stays in the first.
    A group of which only some is frozen falls into two: "name" trains, "name, fixed" is frozen.
    held: what the optimizer trains, None if nobody knows. What it does not hold is as good as frozen,
    and what it holds besides the model is a group "besides".
    Raises ModelError for a path that the model does not have, or a model without parameters.
    """
    given = groups if groups is not None else getattr(model, "groups", None)
    named = _given(model, given) if isinstance(given, Mapping) else _found(model)
    taken: set[Parameter] = set()
    training = {p for p in (model.parameters() if held is None else held) if p.requires_grad}
    parts: dict[str, Part] = {}
    for name, modules in named:
        own = [p for module in modules for p in module.parameters()]
        own = [p for p in dict.fromkeys(own) if p not in taken]
        taken.update(own)
        inside = tuple(m for module in modules for m in module.modules())
        parts |= _uniform(name, own, training, inside)
    rest = [p for p in model.parameters() if p not in taken]
    in_model = set(model.parameters())
    besides = [p for p in held or () if p not in in_model]
    parts = _uniform("besides", besides, training) | _uniform("rest", rest, training) | parts
    if not any(part.own for part in parts.values()):
        raise ModelError(f"{type(model).__name__} has no parameters: there is nothing to steer.")
    return parts


def _uniform(
    name: str, own: list[Parameter], training: set[Parameter], inside: tuple[nn.Module, ...] = ()
) -> dict[str, Part]:
    trained = tuple(p for p in own if p in training)
    fixed = tuple(p for p in own if p not in training)
    if trained and fixed:
        return {f"{name}, fixed": Part(fixed, trains=False), name: Part(trained, inside)}
    return {name: Part(tuple(own), inside, bool(trained))} if own else {}


def _given(model: nn.Module, groups: Groups) -> Named:
    def modules(what: nn.Module | str | Iterable[nn.Module | str]) -> Iterator[nn.Module]:
        if isinstance(what, str):
            yield _at(model, what)
        elif isinstance(what, nn.Module):
            yield what
        else:
            for one in what:
                yield from modules(one)

    return [(name, list(modules(what))) for name, what in groups.items()]


def _at(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError:
        there = ", ".join(name for name, _ in model.named_children())
        raise ModelError(
            f"{type(model).__name__} has no part {path!r}. Its own are: {there}; a deeper one is "
            "written with dots, such as 'encoder.layer.0'."
        ) from None


def _found(model: nn.Module) -> Named:
    total = sum(p.numel() for p in model.parameters())
    named = _children(model, "")
    for _ in range(8):  # levels: what is nested deeper is a matter of taste
        much = (0.4 if len(named) <= STAGES else 0.85) * total
        dominant = [at for at, (_, modules) in enumerate(named) if _size(modules) >= much]
        opened = [(at, inner) for at in dominant if (inner := _opened(*named[at]))]
        if not opened:
            break
        at, inner = opened[0]
        named[at : at + 1] = inner
    return named


def _opened(name: str, modules: list[nn.Module]) -> Named:
    """The groups within one; none if it is one layer, or one matrix is nearly all of it."""
    inner = [child for module in modules for child in _children(module, name)]
    largest = max(p.numel() for module in modules for p in module.parameters())
    if len(modules) > 1 or not inner or largest > 0.8 * _size(modules):
        return []
    return inner


def _children(module: nn.Module, parent: str) -> Named:
    """Those with parameters; a long row of layers in stages of about equal length."""
    found = [
        (n, child) for n, child in module.named_children() if any(True for _ in child.parameters())
    ]
    row = all(n.isdigit() for n, _ in found)
    leaf = parent.rpartition(".")[2]
    if row and len(found) > STAGES:
        cuts = [len(found) * k // STAGES for k in range(STAGES + 1)]
        stages = [found[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
        return [
            (f"{leaf or 'layers'}.{_span(stage)}", [child for _, child in stage])
            for stage in stages
        ]
    return [(f"{leaf}.{n}" if row and leaf else n, [child]) for n, child in found]


def _span(stage: list[tuple[str, nn.Module]]) -> str:
    first, last = stage[0][0], stage[-1][0]
    return first if first == last else f"{first}-{last}"


def _size(modules: list[nn.Module]) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def inner_model(model: nn.Module) -> nn.Module:
    """The model within torch.compile, or within DataParallel and the like."""
    for name in ("_orig_mod", "module"):
        inner = getattr(model, name, None)
        if isinstance(inner, nn.Module) and len(list(model.children())) == 1:
            model = inner
    return model
