"""What a run shows of itself, folded from its events alone: for one that is not there any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..commands import (
    STEERING,
    AddLoRA,
    Augment,
    Branch,
    Freeze,
    Rewind,
    SetScale,
    SetWeight,
    Twin,
    members,
)
from ..events import Applied, Branched, Event, Saved, StepDone
from ..recipe import Recipe
from ..steerable import Bookmark, GroupState, TimelineState


@dataclass(frozen=True, slots=True)
class Levers:
    """What an `Applied` does not tell: rates of frozen groups too, strength of augmentation, weights of
    the loss's terms, scales of adapters, and the frozen groups whose statistics go on moving."""

    rates: dict[str, float] = field(default_factory=dict)
    augment: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    drifting: frozenset[str] = frozenset()


class Retold:
    """groups: as they were before the first step; sizes: parameters of those that came later."""

    def __init__(
        self, groups: Sequence[GroupState], recipe: Recipe | None, sizes: Mapping[str, int]
    ) -> None:
        self.groups, self._sizes = tuple(groups), sizes
        self.step, self.branch, self.twin = 0, "main", None
        weights, strength = (dict(recipe.weights), recipe.augment) if recipe else ({}, 0.0)
        drifting = frozenset(recipe.freeze) if recipe and not recipe.freeze_stats else frozenset()
        self.levers = self._first = Levers(
            {g.name: g.lr for g in groups}, strength, weights, {}, drifting
        )
        self.bookmarks = {"start": Bookmark("start", "main", 0, 0.0)}
        self._lines = {"main": TimelineState("main", None, 0, 0)}
        self._past: dict[str, list[tuple[int, Levers]]] = {"main": []}
        self._left = ("main", 0)
        self._last: Applied | None = None

    def timelines(self) -> tuple[TimelineState, ...]:
        return tuple(self._lines.values())

    def take(self, event: Event) -> None:
        if isinstance(event, StepDone):
            line = self._lines.get(event.branch) or TimelineState(event.branch, None, 0, 0)
            self._lines[event.branch] = replace(line, step=event.step)
            if not line.control:
                self.step, self.branch = event.step, event.branch
        elif isinstance(event, Applied):
            self._apply(event)
        elif isinstance(event, Branched):
            self._begin(event)
        elif isinstance(event, Saved):
            self.bookmarks[event.name] = Bookmark(event.name, event.branch, event.step, event.mb)

    def _begin(self, event: Branched) -> None:
        self._lines[event.branch] = TimelineState(
            event.branch, event.parent, event.step, event.step, event.control
        )
        if event.control:
            self.twin = event.branch
            return
        here = (event.parent, event.step) == self._left  # else from an earlier moment, on arrival
        there = self._past.get(event.parent, [])
        self._go(event.branch, [done for done in there if here or done[0] < event.step])

    def _apply(self, event: Applied) -> None:
        command = event.command
        self._left = (self.branch, self.step)
        self.step, self.branch, self._last = event.step, event.branch, event
        if isinstance(command, STEERING):
            self._steer(event)
        elif isinstance(command, Rewind):
            self._rewind(event)
        elif isinstance(command, Twin):
            self.twin = "armed" if command.on else None
        elif isinstance(command, Branch):  # the rest follows in `Branched`
            self.twin = None
        self._regroup()

    def _regroup(self) -> None:
        event, had = self._last, {g.name: g for g in self.groups}
        names = [name for name in had if name in event.lrs or name in event.frozen]
        fresh = [name for name in event.lrs if name not in had]  # adapters stand before the head
        for name in fresh:
            size = self._sizes.get(name, 0)
            had[name] = GroupState(name, size, True, event.lrs[name], 0, kind="adapter")
        names[-1:-1] = fresh
        levers = self.levers
        self.groups = tuple(
            replace(
                had[name],
                depth=depth,
                trainable=name in event.lrs,
                lr=event.lrs.get(name, levers.rates.get(name, had[name].lr)),
                stats=name not in levers.drifting,
                scale=levers.scales.get(name, 1.0) if had[name].kind == "adapter" else None,
            )
            for depth, name in enumerate(names)
        )

    def _go(self, branch: str, past: list[tuple[int, Levers]]) -> None:
        """To a moment of a timeline with this past."""
        self._past[branch] = past
        self.levers = past[-1][1] if past else self._first
        self._regroup()

    def _steer(self, event: Applied) -> None:
        command, levers = event.command, self.levers
        if isinstance(command, Augment):
            levers = replace(levers, augment=command.strength)
        elif isinstance(command, SetWeight):
            levers = replace(levers, weights=levers.weights | {command.term: command.value})
        elif isinstance(command, SetScale):
            levers = replace(levers, scales=levers.scales | {command.adapter: command.value})
        elif isinstance(command, AddLoRA):
            levers = replace(levers, scales=levers.scales | {command.name: 1.0})
        elif isinstance(command, Freeze):
            names = [g.name for g in self.groups]
            adapters = [g.name for g in self.groups if g.kind == "adapter"]
            meant = frozenset(members(command.group, names, adapters))
            drifting = levers.drifting - meant if command.stats else levers.drifting | meant
            levers = replace(levers, drifting=drifting)
        self.levers = replace(levers, rates=levers.rates | event.lrs)
        self._past.setdefault(event.branch, []).append((event.step, self.levers))

    def _rewind(self, event: Applied) -> None:
        self.twin = None
        line = self._lines.get(event.branch)
        past = self._past.get(event.branch, [])
        if line and event.step < line.step:
            past = [done for done in past if done[0] < event.step]
            self._lines[event.branch] = replace(line, step=event.step)
        self._go(event.branch, past)
