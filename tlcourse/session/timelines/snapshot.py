"""Snapshots of a run, from which its state can be restored bit for bit."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import Parameter

from tlcourse.errors import CommandError

from ..commands import Command
from ..model.edits import Edit
from ..model.optimizer import clone_state

if TYPE_CHECKING:
    from ..engine.boundary import State


@dataclass(slots=True, eq=False)
class History:
    """The commands that affect a timeline's training, in order, as the last one and the history before
    it. History and step determine a state. Equal histories are one object, so that they are compared and
    made longer at once, however long they are.

    kept: snapshots of states with this history, by step.
    """

    before: "History | None" = None
    step: int = 0
    command: Command | None = None
    kept: dict[int, "Snapshot"] = field(default_factory=dict, repr=False)
    _longer: dict[tuple[int, Command], "History"] = field(default_factory=dict, repr=False)

    def then(self, step: int, command: Command) -> "History":
        made = self._longer.get((step, command))
        if made is None:
            made = self._longer[step, command] = History(self, step, command)
        return made

    def until(self, step: int) -> "History":
        """Without what was done at `step` or later."""
        found = self
        while found.before is not None and found.step >= step:
            found = found.before
        return found

    def since(self, earlier: "History | None" = None) -> list[tuple[int, Command]]:
        """(step, command) of what came after an earlier history, or of all."""
        rows: list[tuple[int, Command]] = []
        at = self
        while at is not earlier and at.before is not None and at.command is not None:
            rows.append((at.step, at.command))
            at = at.before
        return rows[::-1]


@dataclass(frozen=True, slots=True)
class Moment:
    """A state without its tensors: it is reached by repeating the steps."""

    step: int
    history: History


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Copies of trainable parameters, all buffers and the optimizer state; references to frozen
    parameters, since nothing writes to them in place (see `Levers`). Buffers are always copied: a
    tensor's version counter does not show that BatchNorm has updated its statistics."""

    step: int
    history: History
    edits: tuple[Edit, ...]
    parameters: Mapping[Parameter, Tensor]
    buffers: Mapping[str, Tensor]
    numbers: Mapping[str, int | float | None]
    optimizer: Mapping[Parameter, dict[str, Any]]
    frozen: Mapping[str, bool]
    rates: Mapping[str, float]
    schedule: Any  # see `SteeredOptimizer.position`
    scales: Mapping[str, float]
    weights: Mapping[str, float]
    augment: float | None

    def tensors(self) -> Iterator[Tensor]:
        yield from self.parameters.values()
        yield from self.buffers.values()
        for state in self.optimizer.values():
            yield from (v for v in state.values() if isinstance(v, Tensor))


def take(t: "State", history: History, *, first: bool = False) -> Snapshot:
    """first: nothing has been trained yet, so the initial weights that `Levers` keeps are shared."""
    levers = t.levers
    if (numbers := numbers_of(levers.model)) != levers.numbers:
        levers.numbers = numbers  # else it is shared: they seldom change
    state = levers.optimizer.state
    frozen = {p for name in levers.frozen for p in levers.groups[name]}

    def value_of(p: Parameter) -> Tensor:
        if first:
            return levers.origin[p].values
        return p.detach() if p in frozen else p.detach().clone()

    everything = [p for parameters in levers.groups.values() for p in parameters]
    return Snapshot(
        step=t.step,
        history=history,
        edits=tuple(levers.edits),
        parameters={p: value_of(p) for p in everything},
        buffers=buffers_of(levers.model),
        numbers=levers.numbers,
        optimizer={
            p: dict(state[p]) if p in frozen else clone_state(state[p])
            for p in everything
            if p in state
        },
        frozen=dict(levers.frozen),
        rates=dict(levers.optimizer.rates),
        schedule=levers.optimizer.position(),
        scales=dict(levers.scales),
        weights=dict(t.weights),
        augment=t.augment,
    )


def restore(t: "State", kept: Snapshot) -> None:
    """Restore the run to a snapshot. Trained tensors are copied, so that the snapshot stays intact."""
    levers = t.levers
    levers.restructure(kept.edits)
    frozen = {p for name in kept.frozen for p in levers.groups[name]}
    for p, value in kept.parameters.items():
        p.data = value if p in frozen else value.clone()
    put_buffers(levers.model, kept.buffers, empty=kept.numbers)
    put_numbers(levers.model, kept.numbers)
    levers.optimizer.state.clear()
    for p, state in kept.optimizer.items():
        levers.optimizer.state[p] = dict(state) if p in frozen else clone_state(state)
    levers.restore(kept.frozen, kept.rates, kept.scales)
    levers.optimizer.go_to(kept.schedule)
    t.weights, t.augment = dict(kept.weights), kept.augment
    t.step = kept.step


def buffers_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the buffers, and of tensors that modules keep as plain attributes (a memory that
    grows)."""
    found = {name: b.clone() for name, b in model.named_buffers()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor):
                found[f"{path}.{name}".removeprefix(".")] = value.detach().clone()
    return found


def numbers_of(model: nn.Module) -> dict[str, int | float | None]:
    """Numbers that modules keep as plain attributes, such as a counter of calls; None for a buffer that
    is empty."""
    found: dict[str, int | float | None] = {}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if type(value) in (int, float):
                found[f"{path}.{name}".removeprefix(".")] = value
        found |= {
            f"{path}.{name}".removeprefix("."): None
            for name, value in module._buffers.items()
            if value is None
        }
    return found


def put_numbers(model: nn.Module, kept: Mapping[str, int | float | None]) -> None:
    """CommandError for a name that is no number of the model."""
    for name, value in kept.items():
        module, leaf = _owner(model, name)
        number = type(vars(module).get(leaf)) in (int, float) and type(value) in (int, float)
        if not number and (leaf not in module._buffers or value is not None):
            raise CommandError(f"{name} is no number of the model")
        setattr(module, leaf, value)


def put_buffers(model: nn.Module, kept: Mapping[str, Tensor], empty: Container[str] = ()) -> None:
    """What `buffers_of` copied, put back; a buffer of another size or dtype than now is replaced.
    CommandError for a name that the model uses for something else."""
    for name, _ in list(model.named_buffers()):
        if name not in kept and name not in empty:  # it was not there yet
            delattr(*_owner(model, name))
    for name, value in kept.items():
        module, leaf = _owner(model, name)
        now = getattr(module, leaf, None)
        if isinstance(now, Tensor) and not isinstance(now, Parameter):
            if (now.shape, now.dtype) == (value.shape, value.dtype):
                now.detach().copy_(value)
            else:
                setattr(module, leaf, value.to(now.device, copy=True))
        elif not hasattr(module, leaf) and leaf.isidentifier():
            module.register_buffer(leaf, value.clone())
        elif now is None and leaf in module._buffers:
            setattr(module, leaf, value.clone())
        else:
            raise CommandError(f"{name} is no buffer of the model")


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    try:
        return model.get_submodule(path), leaf
    except AttributeError:
        raise CommandError(f"the model has no module {path!r}") from None


class Ledger:
    """Memory of snapshots, which share tensors with each other and with the run: each is counted once,
    in the time that one snapshot takes, however many there are."""

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}  # address → snapshots with a tensor there
        self._bytes = 0

    def add(self, snapshot: Snapshot) -> None:
        for tensor in snapshot.tensors():
            holders = self._holders.get(tensor.data_ptr(), 0)
            self._holders[tensor.data_ptr()] = holders + 1
            if not holders:
                self._bytes += tensor.nbytes + A_TENSOR

    def remove(self, snapshot: Snapshot) -> None:
        for tensor in snapshot.tensors():
            self._holders[tensor.data_ptr()] -= 1
            if not self._holders[tensor.data_ptr()]:
                del self._holders[tensor.data_ptr()]
                self._bytes -= tensor.nbytes + A_TENSOR

    def own_bytes(self, live: Mapping[int, int]) -> int:
        """What they hold and nothing else does. live: address → bytes of what the run itself holds."""
        shared = (size + A_TENSOR for address, size in live.items() if address in self._holders)
        return self._bytes - sum(shared)


A_TENSOR = 670  # bytes that Python, torch and the allocator take besides its numbers, as measured


def own_bytes(snapshots: list[Snapshot], live: Mapping[int, int]) -> int:
    """The same of a few snapshots."""
    ledger = Ledger()
    for snapshot in snapshots:
        ledger.add(snapshot)
    return ledger.own_bytes(live)
