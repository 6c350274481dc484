"""Snapshots of a run, from which its state can be restored bit for bit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import Parameter

from ..commands import Command
from ..model.edits import Edit
from ..model.optimizer import clone_state

if TYPE_CHECKING:
    from ..engine.boundary import State

History = tuple[tuple[int, Command], ...]
"""(step, command) pairs: the commands that affect a timeline's training, in order. History and step
together determine the state."""


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
    state = levers.optimizer.state
    frozen = {p for name in levers.frozen for p in levers.groups[name]}

    def value_of(p: Parameter) -> Tensor:
        if first:
            return levers.origin[p]
        return p.detach() if p in frozen else p.detach().clone()

    everything = [p for parameters in levers.groups.values() for p in parameters]
    return Snapshot(
        step=t.step,
        history=history,
        edits=tuple(levers.edits),
        parameters={p: value_of(p) for p in everything},
        buffers={name: b.clone() for name, b in levers.model.named_buffers()},
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
    for name, buffer in levers.model.named_buffers():
        buffer.copy_(kept.buffers[name])
    levers.optimizer.state.clear()
    for p, state in kept.optimizer.items():
        levers.optimizer.state[p] = dict(state) if p in frozen else clone_state(state)
    levers.restore(kept.frozen, kept.rates, kept.scales)
    levers.optimizer.go_to(kept.schedule)
    t.weights, t.augment = dict(kept.weights), kept.augment
    t.step = kept.step


def own_bytes(snapshots: list[Snapshot], live: set[int]) -> int:
    """Bytes held by the snapshots alone. live: addresses of tensors that the run itself holds."""
    sizes = {v.data_ptr(): v.nbytes for s in snapshots for v in s.tensors()}
    return sum(size for address, size in sizes.items() if address not in live)
