"""From a record to the events of its run, as far as the record holds them.

A record has the recipe, the commands, every evaluation and (of a long run, thinned) losses. When and
in which timeline a step was taken follows from the commands. Between two losses that were kept the
ones left out are interpolated in a straight line over the steps.
"""

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tlcourse.errors import RecordError

from ..commands import (
    STEERING,
    AddLoRA,
    Augment,
    Branch,
    Command,
    Evaluate,
    Freeze,
    Rewind,
    Save,
    SetLR,
    SetScale,
    SetWeight,
    SwapHead,
    Twin,
    Unfreeze,
    members,
)
from ..events import Applied, Branched, Evaluated, Event, Finished, Saved, StepDone
from ..state import GroupState, RunState
from .header import recipe_of
from .record import Record


def began_of(header: dict[str, Any]) -> RunState:
    """The state before the first step, as far as a header tells: not which groups have BatchNorm."""
    recipe, sizes = recipe_of(header), header.get("groups", {})
    groups = [
        GroupState(
            name, sizes.get(name, 0), name not in recipe.freeze, lr, depth,
            stats=name not in recipe.freeze or recipe.freeze_stats,
        )
        for depth, (name, lr) in enumerate(recipe.lr.items())
    ]  # fmt: skip
    return RunState(tuple(groups), dict(recipe.weights), recipe.augment)


def retell(record: Record) -> list[Event]:
    """Every event that the record tells of. Raises RecordError if it tells of no steps."""
    outcome, recipe = record.outcome, record.header.get("recipe")
    if not outcome or not outcome.get("losses") or not recipe:
        raise RecordError(
            "This record holds no losses, so there is nothing to play; record a run to its end "
            "(run.record.save(…)), or run these commands with tl.replay."
        )
    recipe = recipe_of(record.header).to_json()
    told = _Telling(began_of(record.header), record.header.get("groups", {}))
    told.measured = deque(outcome.get("evaluations", ()))
    due = deque(sorted(record.commands, key=lambda done: done[0]))
    total, every = outcome["steps"], outcome.get("eval_every", recipe.get("eval_every", 0))
    while True:
        while due and due[0][0] <= told.tick:
            told.apply(due.popleft()[1])
        if told.steps_told >= total:
            break
        told.take_step()
        if every and told.step % every == 0 and told.step < recipe["steps"]:
            told.measure()
    while told.measured:
        tick = told.measured[0][0]
        if tick > told.tick:
            raise RecordError(
                f"An evaluation at tick {tick} lies beyond the record's last step, {told.tick}."
            )
        told.measure()
    _fill(told, outcome)
    reason, seconds = outcome.get("reason", "done"), outcome.get("seconds") or 0.0
    return [*told.events, Finished(told.tick, told.step, told.branch, reason, seconds)]


@dataclass(slots=True)
class _Line:
    """One timeline. past: (step, the state as it then became), in order."""

    step: int
    past: list[tuple[int, RunState]] = field(default_factory=list)


class _Telling:
    """The run as it goes on, without a model."""

    def __init__(self, began: RunState, sizes: dict[str, int]) -> None:
        self.events: list[Event] = []
        self.tick = self.steps_told = 0
        self.branch, self.twin, self.armed, self.twins = "main", None, False, 0
        self.lines = {"main": _Line(0)}
        self.named = {"start": ("main", 0)}
        self.first = self.state = began
        self.sizes = sizes
        self.measured: deque[list[Any]] = deque()

    @property
    def step(self) -> int:
        return self.lines[self.branch].step

    def take_step(self) -> None:
        self.tick += 1
        for name in filter(None, (self.branch, self.twin)):
            line = self.lines[name]
            line.step += 1
            self.events.append(StepDone(self.tick, line.step, name, math.nan))
            self.steps_told += 1

    def measure(self) -> None:
        """The next evaluation, of the run and of the twin beside it."""
        for name in filter(None, (self.branch, self.twin)):
            if not self.measured or self.measured[0][0] > self.tick:
                return
            _, split, accuracy, loss, *_ = self.measured.popleft()
            numbers = [math.nan if value is None else value for value in (accuracy, loss)]
            self.events.append(Evaluated(self.tick, self.lines[name].step, name, split, *numbers))

    def apply(self, command: Command) -> None:
        before, begun = self._trainable(), None
        if isinstance(command, Rewind):
            self._rewind(command)
        elif isinstance(command, Branch):
            begun = Branched(self.tick, *self._branch(command), control=False)
        elif isinstance(command, Twin):
            self.armed, self.twin = command.on, None
        elif isinstance(command, STEERING):
            self._steer(command)
            if self.armed:
                begun = Branched(self.tick, self.step, self._add_twin(), self.branch, control=True)
        done = command, None, before, self._trainable(), self.state
        self.events.append(Applied(self.tick, self.step, self.branch, *done))
        if begun:
            self.events.append(begun)
        if isinstance(command, Save):
            self.named[command.name] = (self.branch, self.step)
            self.events.append(Saved(self.tick, self.step, self.branch, command.name, 0.0))
        elif isinstance(command, Evaluate):
            self.measure()

    def _trainable(self) -> int:
        return sum(group.parameters for group in self.state.groups if group.trainable)

    # -- what commands do ----------------------------------------------------------------------

    def _steer(self, command: Command) -> None:
        state, names = self.state, [group.name for group in self.state.groups]
        groups = {group.name: group for group in state.groups}
        adapters = {group.name for group in state.groups if group.kind == "adapter"}
        meant = members(command.group, names, adapters) if hasattr(command, "group") else []
        training = [name for name in meant if groups[name].trainable]
        match command:
            case SetLR(_, lr):
                groups |= {name: replace(groups[name], lr=lr) for name in training}
            case Freeze(_, stats):
                groups |= {n: replace(groups[n], trainable=False, stats=stats) for n in meant}
            case Unfreeze(_, lr):
                for name in set(meant) - set(training):
                    rate = groups[name].lr if lr is None else lr
                    groups[name] = replace(groups[name], trainable=True, lr=rate, stats=True)
            case AddLoRA(name=name):
                rate = command.lr or max(state.lrs.values(), default=1e-3)
                off = {"trainable": False, "stats": True}
                groups |= {n: replace(groups[n], **off) for n in training}
                last, head = groups.popitem()
                size = self.sizes.get(name, 0)
                groups[name] = GroupState(name, size, True, rate, 0, kind="adapter", scale=1.0)
                groups[last] = head
            case SwapHead(lr=lr) if lr is not None:
                groups[names[-1]] = replace(groups[names[-1]], lr=lr)
            case SetScale(adapter, value) if adapter in groups:
                groups[adapter] = replace(groups[adapter], scale=value)
            case SetWeight(term, value):
                state = replace(state, weights=state.weights | {term: value})
            case Augment(strength):
                state = replace(state, augment=strength)
        deep = (replace(group, depth=depth) for depth, group in enumerate(groups.values()))
        self.state = replace(state, groups=tuple(deep))
        self.lines[self.branch].past.append((self.step, self.state))

    def _rewind(self, command: Rewind) -> None:
        branch, step = self._moment(command.to, command.branch)
        self.twin, self.branch = None, branch
        line = self.lines[branch]
        if step < line.step:
            line.step = step
            line.past = [done for done in line.past if done[0] < step]
        self._restore(line)

    def _branch(self, command: Branch) -> tuple[int, str, str]:
        """(step, name, parent) of the timeline that begins."""
        parent = self.branch
        here = (parent, self.step)
        branch, step = here if command.at is None else self._moment(command.at, None)
        past = [
            done for done in self.lines[branch].past if (branch, step) == here or done[0] < step
        ]
        self.lines[command.name] = _Line(step, past)
        self.twin, self.branch = None, command.name
        self._restore(self.lines[command.name])
        return step, command.name, branch

    def _moment(self, to: int | str, branch: str | None) -> tuple[str, int]:
        home, step = (
            self.named.get(to, (self.branch, self.step))
            if isinstance(to, str)
            else (self.branch, to)
        )
        branch = branch or home
        return (branch if branch in self.lines else self.branch), step

    def _restore(self, line: _Line) -> None:
        self.state = line.past[-1][1] if line.past else self.first

    def _add_twin(self) -> str:
        self.twins += 1
        self.armed, self.twin = False, "twin" if self.twins == 1 else f"twin {self.twins}"
        self.lines[self.twin] = _Line(self.step)
        return self.twin


def _fill(told: _Telling, outcome: dict[str, Any]) -> None:
    """The losses into the steps: those kept, and straight lines between them on each timeline."""
    at = [i for i, event in enumerate(told.events) if isinstance(event, StepDone)]
    every = outcome.get("losses_every", 1)
    kept = [math.nan if loss is None else float(loss) for loss in outcome["losses"]]
    known = dict(zip(at[::every], kept, strict=False))
    stretches: dict[str, list[int]] = {}
    for i in at:
        event = told.events[i]
        stretch = stretches.setdefault(event.branch, [])
        if stretch and event.step != told.events[stretch[-1]].step + 1:  # wound back
            _draw(told.events, stretch, known)
            stretch.clear()
        stretch.append(i)
    for stretch in stretches.values():
        _draw(told.events, stretch, known)


def _draw(events: list[Event], stretch: list[int], known: dict[int, float]) -> None:
    """One unbroken stretch of steps. A loss that was no number stays none up to the next one kept."""
    points = [(n, known[i]) for n, i in enumerate(stretch) if i in known]
    if not points:
        return
    steps, losses = np.array(points, dtype=float).T
    drawn = np.interp(np.arange(len(stretch)), steps, losses)
    for n, i in enumerate(stretch):
        event = events[i]
        loss = known.get(i, float(drawn[n]))
        events[i] = StepDone(event.tick, event.step, event.branch, loss)
