"""Records of format 1, which held the recipe, commands, losses and evaluations, but no events.

The commands tell when and on which timeline each step was taken, but not the state of the groups after
each command. `replay` runs such a record again and gets a complete one.
"""

import json
from collections import deque
from collections.abc import Mapping
from math import nan
from typing import Any

from tlcourse.errors import RecordError
from tlcourse.schema import shown

from ..commands import (
    STEERING,
    Branch,
    Command,
    Evaluate,
    Rewind,
    Save,
    Twin,
    from_json,
)  # fmt: skip
from ..eventlog import EventLog
from ..events import Applied, Branched, Evaluated, Finished, Saved, StepDone
from ..state import GroupState, RunState
from .lines import check_count, event_of, interpolated, plain
from .schema import LARGEST, check_outcome, recipe_of, whole

UNKNOWN = RunState(())


def began_of(header: dict[str, Any]) -> RunState:
    """The state before the first step; a header does not say which groups have BatchNorm."""
    recipe, sizes = recipe_of(header), header.get("groups", {})
    groups = [
        GroupState(
            name, sizes.get(name, 0), name not in recipe.freeze, lr, depth,
            stats=name not in recipe.freeze or recipe.freeze_stats,
        )
        for depth, (name, lr) in enumerate(recipe.lr.items())
    ]  # fmt: skip
    return RunState(tuple(groups), dict(recipe.weights), recipe.augment)


class Reader:
    """Reads the rows after the header. losses_every, losses_sha256: as in `Record`."""

    def __init__(self, header: dict[str, Any], at_most: int) -> None:
        self._header, self._at_most = header, at_most
        self._commands: list[tuple[int, Command]] = []
        self._outcome: dict[str, Any] | None = None
        self.losses_every, self.losses_sha256 = 1, None

    def take(self, row: dict[str, Any]) -> None:
        """Raises RecordError or CommandError for an invalid row."""
        if "outcome" in row:
            self._outcome = check_outcome(row["outcome"])
            return
        tick, before = row.get("tick"), self._commands[-1][0] if self._commands else 0
        if not whole(before).fits(tick):
            raise RecordError(
                f"tick must be a step count from {before} to {LARGEST}, not {shown(tick)}."
            )
        self._commands.append((tick, from_json(row.get("command"))))

    def finish(self) -> EventLog:
        """The events that follow from the record; losses between those kept are interpolated."""
        outcome, run = self._outcome, _Run(self._at_most)
        if outcome is None:
            for tick, command in self._commands:
                run.go_to(tick)
                run.apply(command)
            return run.log
        recipe = recipe_of(self._header)
        run.measured = deque(outcome["evaluations"])
        due, every = deque(self._commands), outcome.get("eval_every", recipe.eval_every)
        total = outcome["steps"]
        while True:
            while due and due[0][0] <= run.tick:
                run.apply(due.popleft()[1])
            if run.steps >= total:
                break
            ahead = [-(-(total - run.steps) // len(run.lanes))]
            ahead += [due[0][0] - run.tick] if due else []
            if every and run.measured:  # the next multiple of it with an evaluation
                to_next, to_measured = every - run.step % every, run.measured[0][0] - run.tick
                ahead += [to_next + max(0, -(-(to_measured - to_next) // every)) * every]
            run.go_to(run.tick + min(ahead))
            if every and run.step % every == 0 and run.step < recipe.steps:
                run.measure()
        while run.measured:
            tick = run.measured[0][0]
            if tick > run.tick:
                raise RecordError(
                    f"an evaluation at tick {tick} lies beyond the record's last step, {run.tick}."
                )
            run.measure()
        self.losses_every, self.losses_sha256 = (
            outcome["losses_every"],
            outcome.get("losses_sha256"),
        )
        kept = [nan if loss is None else float(loss) for loss in outcome["losses"]]
        if len(kept) != -(-run.steps // self.losses_every):
            raise RecordError(f"outcome.steps is {total}, but the commands give {run.steps}.")
        run.log.fill(interpolated(run.log, kept, self.losses_every))
        reason, seconds = outcome.get("reason", "done"), self._header.get("seconds", 0.0)
        run.log.append(Finished(run.tick, run.step, run.branch, reason, seconds))
        return run.log


class _Run:
    """Follows the run without a model. lines: the step that each timeline has reached."""

    def __init__(self, at_most: int) -> None:
        self.log, self.at_most = EventLog(), at_most
        self.tick = self.steps = 0
        self.branch, self.twin, self.armed, self.twins = "main", None, False, 0
        self.lines = {"main": 0}
        self.named = {"start": ("main", 0)}
        self.measured: deque[list[Any]] = deque()

    @property
    def step(self) -> int:
        return self.lines[self.branch]

    @property
    def lanes(self) -> list[str]:
        return [self.branch, self.twin] if self.twin else [self.branch]

    def go_to(self, tick: int) -> None:
        if ahead := tick - self.tick:
            count = ahead * len(self.lanes)
            check_count(self.steps + count, self.at_most)
            firsts = [((name, ()), self.lines[name] + 1) for name in self.lanes]
            self.log.extend_steps(self.tick + 1, count, firsts)
            for name in self.lanes:
                self.lines[name] += ahead
            self.tick, self.steps = tick, self.steps + count

    def measure(self) -> None:
        """The next evaluation, of the run and of its twin."""
        for name in self.lanes:
            if not self.measured or self.measured[0][0] > self.tick:
                return
            tick, split, *numbers = self.measured.popleft()[:4]
            named = zip(("accuracy", "loss"), numbers, strict=True)
            metrics = {key: nan if value is None else value for key, value in named}
            self.log.append(Evaluated(tick, self.lines[name], name, split, metrics))

    def apply(self, command: Command) -> None:
        begun = None
        if isinstance(command, Rewind):
            self.branch, step = self._moment(command.to, command.branch)
            self.twin, self.lines[self.branch] = None, min(step, self.step)
        elif isinstance(command, Branch):
            parent, step = self.branch, self.step
            if command.at is not None:
                parent, step = self._moment(command.at, None)
            if command.name in self.lines:
                raise RecordError(f"there is already a branch {shown(command.name)}.")
            self.twin, self.branch, self.lines[command.name] = None, command.name, step
            begun = Branched(self.tick, step, command.name, parent, control=False)
        elif isinstance(command, Twin):
            self.armed, self.twin = command.on, None
        elif isinstance(command, STEERING) and self.armed:
            self.twins += 1
            self.armed, self.twin = False, "twin" if self.twins == 1 else f"twin {self.twins}"
            self.lines[self.twin] = self.step
            begun = Branched(self.tick, self.step, self.twin, self.branch, control=True)
        self.log.append(Applied(self.tick, self.step, self.branch, command, None, 0, 0, UNKNOWN))
        if begun:
            self.log.append(begun)
        if isinstance(command, Save):
            self.named[command.name] = (self.branch, self.step)
            self.log.append(Saved(self.tick, self.step, self.branch, command.name, 0.0))
        elif isinstance(command, Evaluate):
            self.measure()

    def _moment(self, to: int | str, branch: str | None) -> tuple[str, int]:
        if isinstance(to, str) and to not in self.named:
            raise RecordError(f"there is no bookmark {shown(to)} here.")
        home, step = self.named[to] if isinstance(to, str) else (self.branch, to)
        branch = branch or home
        if branch not in self.lines:
            raise RecordError(f"there is no branch {shown(branch)} here.")
        return branch, step


def autosaved(tensors: Mapping[str, Any], lines: list[str]) -> EventLog:
    """The events of an autosave of format 1: steps as columns, other events as lines that say how many
    steps precede them. Raises KeyError, ValueError, RecordError or CommandError if they are invalid."""
    head, log, done = json.loads(lines[0]), EventLog(), 0
    columns = [tensors[f"steps/{name}"].tolist() for name in ("tick", "step", "branch", "loss")]
    terms = {
        name: (tensors[f"steps/term {n}"].tolist(), tensors[f"steps/term {n} told"].tolist())
        for n, name in enumerate(head["terms"])
    }

    def steps(until: int) -> None:
        for n in range(done, until):
            tick, step, branch, loss = (column[n] for column in columns)
            counted = {name: values[n] for name, (values, counts) in terms.items() if counts[n]}
            log.append(StepDone(tick, step, head["branches"][branch], loss, counted or None))

    for line in lines[1:]:
        row = json.loads(line)
        after = row.pop("after")
        steps(after)
        done = after
        log.append(event_of(_as_now(row)))
    steps(len(columns[0]))
    return log


def _as_now(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row of an old event to format 2."""
    if row["kind"] == "evaluated":
        row["metrics"] = {name: row.pop(name) for name in ("accuracy", "loss")}
    elif row["kind"] == "applied" and "state" not in row:
        lrs, frozen = row.pop("lrs"), row.pop("frozen")
        names = [(name, False, 0.0) for name in frozen] + [(n, True, lr) for n, lr in lrs.items()]
        groups = [
            GroupState(n, 0, trains, lr, depth) for depth, (n, trains, lr) in enumerate(names)
        ]
        row["state"] = RunState(tuple(groups)).to_json()
    return plain(row)
