"""A loop of somebody else, as commands see it: what they change, and which moments are kept.

It is a `State`, as the `Training` of a Session is. It cannot take steps by itself, so it goes back only
to moments that were kept, and it cannot train a branch or a twin.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from tlcourse.errors import CommandError
from tlcourse.models.partition import BESIDES, Part
from tlcourse.rng import checked_seed, set_torch_states, torch_states

from ..commands import Command, Rewind
from ..engine.apply import apply
from ..events import Event
from ..model.groups import Levers
from ..model.optimizer import SteeredOptimizer
from ..state import RunState
from ..steerable import Bookmark
from ..timelines.snapshot import History, Ledger, Snapshot, own_bytes, restore, take
from ..timelines.timelines import START


class GuestLevers(Levers):
    """The levers of a model whose owner switches its modes. `model.train()` may come at any moment, so a
    hook holds a frozen BatchNorm still where it computes, and no other mode is switched. What was
    frozen from the beginning stays as its owner wrote it."""

    def __init__(self, model: nn.Module, parts: Mapping[str, Part], optimizer: SteeredOptimizer):
        super().__init__(model, parts, optimizer)
        self._count = (-1, -1)  # how many parameters the optimizer held, and the groups, last time
        self._known: set[Parameter] = set()  # also those of adapters that a rewind has undone
        self._still: dict[nn.Module, Any] = {}
        for name, part in parts.items():
            if not part.trains:
                norms = self.norms[name]
                self.frozen[name] = bool(norms) and not any(norm.training for norm in norms)

    def trainable(self) -> int:
        """What the optimizer trains: it may not hold all that has requires_grad."""
        training = [ps for name, ps in self.groups.items() if name not in self.frozen]
        return sum(p.numel() for ps in training for p in ps if p.requires_grad)

    def follow_owner(self) -> list[str]:
        """Read from model and optimizer what trains, since the loop's own code may have changed it.
        Sentences on what it did. Before a step, so that what is about to be written to gets memory of
        its own."""
        if self.optimizer.torch is None:
            return []
        held, said = self.optimizer.holds(), []
        count = len(held), sum(map(len, self.groups.values()))
        if count != self._count:
            self._known.update(p for parameters in self.groups.values() for p in parameters)
            if new := [p for p in held if p not in self._known]:
                others = dict(self.groups)
                self.groups = {BESIDES: [*others.pop(BESIDES, ()), *new], **others}
                self.remember_origin()
                said.append(f"Your code gave the optimizer {len(new)} more parameters: {BESIDES}.")
            self._count = len(held), sum(map(len, self.groups.values()))
        for name, parameters in self.groups.items():
            trains = any(p.requires_grad and p in held for p in parameters)
            if trains and name in self.frozen:
                for p in parameters:
                    self._own(p)
                del self.frozen[name]
                said.append(f"Your code unfroze {name}.")
            elif not trains and name not in self.frozen:
                norms = self.norms.get(name, ())
                self.frozen[name] = bool(norms) and not any(norm.training for norm in norms)
                said.append(f"Your code froze {name}.")
        if said:
            self.hold_what_trains()
            self.set_modes()
        return said

    def set_modes(self) -> None:
        still = {
            norm
            for name, stats in self.frozen.items()
            if stats
            for norm in self.norms.get(name, ())
        }
        for norm in set(self._still) - still:
            self._still.pop(norm).remove()
            norm.train(self.model.training)
        for norm in still - set(self._still):
            self._still[norm] = norm.register_forward_pre_hook(_stand_still)

    def release(self) -> None:
        for hook in self._still.values():
            hook.remove()
        self._still.clear()


def _stand_still(norm: nn.Module, _: Any) -> None:
    if norm.training:
        norm.eval()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A snapshot, and torch's random numbers, which a foreign loop draws as it likes. versions: of the
    frozen parameters, which it shares."""

    snapshot: Snapshot
    random: list[Tensor]
    versions: dict[Parameter, int]


@dataclass(slots=True)
class Marks:
    """The moments that are kept: bookmarks, and the arrivals at interventions while there is room.
    budget_mb: 10⁶ bytes."""

    budget_mb: float
    named: dict[str, Kept] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)
    sizes: dict[str, float] = field(default_factory=dict)  # bookmark → MB
    held_mb: float = 0.0
    armed: bool = False  # always: there is no twin
    twin: None = None
    _ledger: Ledger = field(default_factory=Ledger)

    def begin(self, t: "Loop") -> None:
        """The bookmark "start" is now: nothing has been trained yet."""
        t.levers.origin.clear()
        t.levers.remember_origin()
        if before := self.named.pop(START, None):
            self._ledger.remove(before.snapshot)
        self.named[START] = self._take(t, first=True)
        self._ledger.add(self.named[START].snapshot)
        self._weigh(t)
        self.sizes[START] = self.held_mb

    def arrive(self, t: "Loop") -> None:
        """Before an intervention: keep the state on arrival, once for each step."""
        if t.step and not any(m.snapshot.step == t.step for m in self._all()):
            self.kept.append(self._take(t))
            self._ledger.add(self.kept[-1].snapshot)
            self._thin(t)

    def did(self, t: "Loop", command: Command) -> None:
        """A foreign loop has no history that could be repeated."""

    def save(self, t: "Loop", name: str) -> None:
        if name in self.named:
            raise CommandError(
                f"There is a bookmark {name!r} already, at step {self.named[name].snapshot.step}; "
                "give this one another name."
            )
        made, live = self._take(t), t.live()
        others = [moment.snapshot for moment in self.named.values()]
        total = own_bytes([made.snapshot, *others], live) / 1e6
        if total > self.budget_mb:
            raise CommandError(
                f"Bookmarks would hold {total:.0f} MB and may hold {self.budget_mb:g}: steer with "
                f"keep_mb={2 * total:.0f} to allow it."
            )
        self.sizes[name] = total - own_bytes(others, live) / 1e6
        self.named[name] = made
        self._ledger.add(made.snapshot)
        self._thin(t)

    def rewind(self, t: "Loop", command: Rewind) -> None:
        if command.branch not in (None, t.branch):
            raise CommandError(
                f"A loop of your own has one timeline, {t.branch}, and no branch {command.branch!r}."
            )
        moment = self._find(command.to)
        touched = [p for p, version in moment.versions.items() if p._version != version]
        if any(p.data_ptr() == moment.snapshot.parameters[p].data_ptr() for p in touched):
            raise CommandError(
                "Frozen weights were written to by your own code since that moment (load_state_dict?), "
                "so it is not there any more. Save a bookmark after such a change."
            )
        restore(t, moment.snapshot)
        set_torch_states(moment.random)
        for gone in [m for m in self.kept if m.snapshot.step > t.step]:
            self.kept.remove(gone)
            self._ledger.remove(gone.snapshot)

    def parent(self, branch: str) -> None:
        return None

    def make_twin(self, t: "Loop") -> Any:
        raise CommandError("A loop of your own cannot be trained twice; a Session can.")

    def add_twin(self, t: "Loop", twin: Any) -> None: ...

    # -- what is so now ------------------------------------------------------------------------

    def bookmarks(self, branch: str) -> tuple[Bookmark, ...]:
        return tuple(
            Bookmark(name, branch, moment.snapshot.step, self.sizes.get(name, 0.0))
            for name, moment in list(self.named.items())
        )

    def _find(self, to: int | str) -> Kept:
        if isinstance(to, str):
            if to not in self.named:
                raise CommandError(f"No bookmark {to!r}. There are: {', '.join(self.named)}.")
            return self.named[to]
        found = [m for m in self._all() if m.snapshot.step == to]
        if not found:
            steps = sorted({m.snapshot.step for m in self._all()})
            raise CommandError(
                f"Step {to} was not kept, and your loop cannot be made to repeat it. There are: "
                f"{', '.join(map(str, steps))}. Save sets a bookmark to go back to."
            )
        return found[-1]

    def _all(self) -> list[Kept]:
        return [*self.named.values(), *self.kept]

    def _take(self, t: "Loop", first: bool = False) -> Kept:
        levers = t.levers
        return Kept(
            take(t, History(), first=first),
            torch_states(),
            {p: p._version for name in levers.frozen for p in levers.groups[name]},
        )

    def _thin(self, t: "Loop") -> None:
        self._weigh(t)
        while self.kept and self.held_mb > self.budget_mb:
            self._ledger.remove(self.kept.pop(0).snapshot)
            self._weigh(t)

    def _weigh(self, t: "Loop") -> None:
        self.held_mb = self._ledger.own_bytes(t.live()) / 1e6


class Loop:
    """The state of a foreign loop. tick, step: optimizer steps, not batches; seed: of new heads and
    adapters."""

    def __init__(self, levers: GuestLevers, seed: int, keep_mb: float):
        self.levers = levers
        self.tick = self.step = 0
        self.branch = "main"
        self.paused = False
        self.ending: str | None = None
        self.time = Marks(keep_mb)
        self.seed = checked_seed(seed, CommandError)
        self.weights: dict[str, float] = {}
        self.augment: float | None = None

    def apply(self, command: Command) -> None:
        apply(command, self)

    def measured(self, split: str) -> Iterator[Event]:
        yield from ()  # the data are its owner's

    def state(self) -> RunState:
        return RunState(self.levers.states())

    @property
    def model(self) -> nn.Module:
        return self.levers.model

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    def live(self) -> dict[int, int]:
        """Address → bytes of what the model itself holds."""
        return {p.data_ptr(): p.nbytes for ps in self.levers.groups.values() for p in ps}
