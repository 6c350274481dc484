"""From a record to the events of its run, as far as the record holds them.

A record has the recipe, the commands, every evaluation and (of a long run, thinned) losses. When and
in which timeline a step was taken follows from the commands. Between two losses that were kept the
ones left out are interpolated in a straight line over the steps.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tlcourse.errors import RecordError

from ..commands import (
    STEERING,
    AddLoRA,
    Branch,
    Command,
    Evaluate,
    Freeze,
    Rewind,
    Save,
    SetLR,
    SwapHead,
    Twin,
    Unfreeze,
    members,
)
from ..events import Applied, Branched, Evaluated, Event, Finished, Saved, StepDone
from .header import recipe_of
from .record import Record

Levers = tuple[dict[str, float], frozenset[str]]  # a rate for every group; which are frozen


def retell(record: Record) -> list[Event]:
    """Every event that the record tells of. Raises RecordError if it tells of no steps."""
    outcome, recipe = record.outcome, record.header.get("recipe")
    if not outcome or not outcome.get("losses") or not recipe:
        raise RecordError(
            "This record holds no losses, so there is nothing to play; record a run to its end "
            "(run.record.save(…)), or run these commands with tl.replay."
        )
    recipe = recipe_of(record.header).to_json()
    told = _Telling(recipe, record.header.get("groups", {}))
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
    """One timeline. past: (step, levers as they then became), in order."""

    step: int
    past: list[tuple[int, Levers]] = field(default_factory=list)


class _Telling:
    """The run as it goes on, without a model."""

    def __init__(self, recipe: dict[str, Any], sizes: dict[str, int]) -> None:
        self.events: list[Event] = []
        self.tick = self.steps_told = 0
        self.branch, self.twin, self.armed, self.twins = "main", None, False, 0
        self.lines = {"main": _Line(0)}
        self.named = {"start": ("main", 0)}
        self.first: Levers = (dict(recipe["lr"]), frozenset(recipe.get("freeze", ())))
        self.rates, self.frozen = dict(self.first[0]), self.first[1]
        self.adapters: set[str] = set()
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
        rates = {name: lr for name, lr in self.rates.items() if name not in self.frozen}
        self.events.append(
            Applied(self.tick, self.step, self.branch, command, None, before, self._trainable(),
                    rates, tuple(name for name in self.rates if name in self.frozen))
        )  # fmt: skip
        if begun:
            self.events.append(begun)
        if isinstance(command, Save):
            self.named[command.name] = (self.branch, self.step)
            self.events.append(Saved(self.tick, self.step, self.branch, command.name, 0.0))
        elif isinstance(command, Evaluate):
            self.measure()

    def _trainable(self) -> int:
        return sum(self.sizes.get(name, 0) for name in self.rates if name not in self.frozen)

    # -- what commands do ----------------------------------------------------------------------

    def _steer(self, command: Command) -> None:
        if isinstance(command, SetLR | Freeze | Unfreeze):
            for name in self._members(command.group):
                if isinstance(command, Freeze):
                    self.frozen |= {name}
                    continue
                if isinstance(command, Unfreeze):
                    self.frozen -= {name}
                elif name in self.frozen:
                    continue
                if command.lr is not None:
                    self.rates[name] = command.lr
        elif isinstance(command, AddLoRA):
            asked = self._members(command.group)
            fastest = max(
                (lr for name, lr in self.rates.items() if name not in self.frozen), default=1e-3
            )
            head, lr = self.rates.popitem()
            self.rates |= {command.name: command.lr or fastest, head: lr}
            self.frozen |= set(asked)
            self.adapters.add(command.name)
        elif isinstance(command, SwapHead):
            head = list(self.rates)[-1]
            self.frozen -= {head}
            self.rates[head] = command.lr or self.rates[head]
        self.lines[self.branch].past.append((self.step, (dict(self.rates), self.frozen)))

    def _members(self, group: str) -> list[str]:
        return members(group, list(self.rates), self.adapters)

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
        rates, self.frozen = line.past[-1][1] if line.past else self.first
        self.rates = dict(rates)

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
