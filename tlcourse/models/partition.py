"""The parameter groups of anyone's model: what can be frozen, or get a rate of its own."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import Parameter

from tlcourse.errors import ModelError
from tlcourse.schema import is_text, shown

STAGES = 4  # a long row of layers becomes this many groups
BESIDES = "besides"  # the group of what an optimizer trains outside of the model
Named = list[tuple[str, list[nn.Module]]]
Groups = Mapping[str, nn.Module | str | Iterable[nn.Module | str]]


def groups_of(model: nn.Module, groups: Groups | None = None) -> dict[str, nn.Module]:
    """Each group as a module, input first, the head last; every parameter is in exactly one.

    groups: name → module, its path in the model, or several of them. None takes `model.groups` if it is
    a mapping, and otherwise divides the model by depth: its children; where most parameters lie in one
    child, that child's children in its place; a long row of layers in four stages. A child named "head"
    stays whole. Parameters of no group come first, as "rest". A parameter of two groups (tied weights)
    stays in the first. Raises ModelError for a path that does not exist, or a model without parameters.
    """
    return {name: _as_module(own, modules) for name, own, modules in _partition(model, groups)}


def has_groups(model: nn.Module) -> bool:
    """Whether the model itself says what its groups are."""
    return isinstance(getattr(model, "groups", None), Mapping)


def paths_of(model: nn.Module, groups: Mapping[str, nn.Module]) -> dict[str, list[str]]:
    """Where each group of `groups_of` lies in the model: the paths of its modules and parameters. Given
    as `groups`, they make the same groups again."""
    paths = {id(module): path for path, module in model.named_modules() if path}
    paths |= {id(parameter): path for path, parameter in model.named_parameters()}

    def within(part: nn.Module | Parameter) -> Iterator[str]:
        if id(part) in paths:
            yield paths[id(part)]
        elif isinstance(part, nn.Module):
            for inner in (*part.parameters(recurse=False), *part.children()):
                yield from within(inner)

    return {name: list(within(module)) for name, module in groups.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A group of a model that somebody trains already: its parameters, the modules that hold them, and
    whether it trains. `Levers` reads it like a module."""

    own: tuple[Parameter, ...]
    inside: tuple[nn.Module, ...] = ()
    trains: bool = True

    def parameters(self) -> Iterator[Parameter]:
        return iter(self.own)

    def modules(self) -> Iterator[nn.Module]:
        return iter(self.inside)


def without_fixed(
    groups: Mapping[str, nn.Module],
) -> tuple[dict[str, nn.Module | Part], list[Parameter]]:
    """The groups without parameters that cannot train: those with requires_grad=False in a group of
    which others train, and whole numbers. Also these parameters. A group that is frozen as a whole
    stays: a command may unfreeze it."""
    parts: dict[str, nn.Module | Part] = {}
    fixed: list[Parameter] = []
    for name, module in groups.items():
        own = list(module.parameters())
        trains = any(p.requires_grad for p in own)
        kept = [p for p in own if can_train(p) and (p.requires_grad or not trains)]
        if kept and len(kept) < len(own):
            fixed += [p for p in own if all(p is not other for other in kept)]
            parts[name] = Part(tuple(kept), tuple(module.modules()))
        else:
            parts[name] = module
    return parts, fixed


def can_train(p: Parameter) -> bool:
    """Whether it can have a gradient: whole numbers, as in quantized layers, cannot."""
    return p.is_floating_point() or p.is_complex()


def divide(
    model: nn.Module, groups: Groups | None = None, held: Collection[Parameter] | None = None
) -> dict[str, Part]:
    """The groups of `groups_of`, divided further so that each is frozen or trains as a whole.

    A group of which only some is frozen becomes two: "name" trains, "name, fixed" is frozen.
    held: the optimizer's parameters, None if not known. What it does not hold counts as frozen, and
    what it holds besides the model is a group "besides".
    """
    held_or_all = list(model.parameters() if held is None else held)
    training = {p for p in held_or_all if p.requires_grad}
    in_model = set(model.parameters())
    parts = _uniform(BESIDES, [p for p in held_or_all if p not in in_model], training)
    for name, own, modules in _partition(model, groups):
        parts |= _uniform(name, own, training, tuple(m for top in modules for m in top.modules()))
    return parts


def _uniform(
    name: str, own: list[Parameter], training: set[Parameter], inside: tuple[nn.Module, ...] = ()
) -> dict[str, Part]:
    trained = tuple(p for p in own if p in training)
    fixed = tuple(p for p in own if p not in training)
    if trained and fixed:
        return {f"{name}, fixed": Part(fixed, trains=False), name: Part(trained, inside)}
    return {name: Part(tuple(own), inside, bool(trained))} if own else {}


def _partition(
    model: nn.Module, groups: Groups | None
) -> list[tuple[str, list[Parameter], list[nn.Module]]]:
    """(name, parameters, modules) of each group, in order."""
    if groups is None and has_groups(model):
        groups = model.groups
    named = _found(model) if groups is None else _listed(model, groups)
    taken: set[Parameter] = set()
    parts = []
    for name, modules in named:
        own = [p for module in modules for p in module.parameters()]
        own = [p for p in dict.fromkeys(own) if p not in taken]
        taken.update(own)
        if own:
            parts.append((name, own, modules))
    if rest := [p for p in model.parameters() if p not in taken]:
        name = _free("rest", [name for name, *_ in parts])
        parts.insert(0, (name, rest, [nn.ParameterList(rest)]))
    if not parts:
        raise ModelError(f"{type(model).__name__} has no parameters: there is nothing to train.")
    return parts


def _as_module(own: list[Parameter], modules: list[nn.Module]) -> nn.Module:
    if len(modules) == 1 and len(own) == sum(1 for _ in modules[0].parameters()):
        return modules[0]
    return _View(modules, own)


class _View(nn.ModuleList):
    """Several modules as one group, without the parameters that belong to an earlier group."""

    def __init__(self, modules: list[nn.Module], own: list[Parameter]):
        super().__init__(modules)
        self._own = frozenset(own)

    def named_parameters(self, *args: object, **options: object) -> Iterator[tuple[str, Parameter]]:
        for name, parameter in super().named_parameters(*args, **options):
            if parameter in self._own:
                yield name, parameter


def _listed(model: nn.Module, groups: Groups) -> Named:
    def modules(listed: nn.Module | str | Iterable[nn.Module | str]) -> Iterator[nn.Module]:
        if isinstance(listed, str):
            yield _at(model, listed)
        elif isinstance(listed, nn.Module):
            yield listed
        elif isinstance(listed, Iterable) and not isinstance(listed, Tensor):
            for one in listed:
                yield from modules(one)
        else:
            raise ModelError(
                f"A group is a module, its path in the model, or several of them, not "
                f"{type(listed).__name__}; a single parameter is named by its path."
            )

    for name in groups:
        if not isinstance(name, str) or not name.strip() or not is_text(name):
            raise ModelError(f"A group's name is a line of text, not {shown(name)}.")
    return [(name, list(modules(listed))) for name, listed in groups.items()]


def _at(model: nn.Module, path: str) -> nn.Module:
    owner, _, leaf = path.rpartition(".")
    try:
        found = getattr(model.get_submodule(owner), leaf)
    except AttributeError:
        found = None
    if isinstance(found, Parameter):
        return nn.ParameterList([found])
    if isinstance(found, nn.Module):
        return found
    children = ", ".join(name for name, _ in model.named_children())
    raise ModelError(
        f"{type(model).__name__} has no part {path!r}. Its own are: {children}; a deeper one is "
        "written with dots, such as 'encoder.layer.0'."
    )


def _free(name: str, taken: Collection[str]) -> str:
    return _free(f"{name}_", taken) if name in taken else name


def _found(model: nn.Module) -> Named:
    total = sum(p.numel() for p in model.parameters())
    named = _children(model, "")
    for _ in range(8):  # levels
        most = (0.4 if len(named) <= STAGES else 0.85) * total
        large = [
            at
            for at, (name, modules) in enumerate(named)
            if name != "head" and _size(modules) >= most
        ]
        opened = [(at, inner) for at in large if (inner := _opened(*named[at]))]
        if not opened:
            break
        at, inner = opened[0]
        others = {name for name, _ in named[:at] + named[at + 1 :]}
        parent = named[at][0]
        named[at : at + 1] = [
            (_free(f"{parent}.{name}", others) if name in others else name, modules)
            for name, modules in inner
        ]
    return named


def _opened(name: str, modules: list[nn.Module]) -> Named:
    """The groups within a group; none if it is one layer, or one matrix is nearly all of it."""
    inner = [child for module in modules for child in _children(module, name)]
    largest = max(p.numel() for module in modules for p in module.parameters())
    if len(modules) > 1 or not inner or largest > 0.8 * _size(modules):
        return []
    return inner


def _children(module: nn.Module, parent: str) -> Named:
    """The children with parameters; a long row of layers in stages of about equal length."""
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
