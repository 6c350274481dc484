"""Which snapshots are kept, which timelines exist, and how a run goes back.

A step and a history (what was done, and at which steps) determine a state. So any step can be reached:
restore the nearest snapshot that shares the history, and repeat the steps in between. Dropping old
snapshots therefore costs only time.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from tlcourse.errors import CommandError

from ..commands import Branch, Command, Rewind
from ..steerable import Bookmark, TimelineState
from .snapshot import History, Ledger, Moment, Snapshot, own_bytes, restore, take

if TYPE_CHECKING:
    from ..engine.training import Training

START = "start"


@dataclass(slots=True)
class Timeline:
    """history, step: current, or as it was left. A control's history is what led to its start."""

    name: str
    parent: str | None
    start: int
    step: int
    history: History
    control: bool = False


@dataclass(slots=True)
class Timelines:
    """budget_mb: 10⁶ bytes that all snapshots may hold together; bookmarks are never dropped."""

    budget_mb: float
    branches: dict[str, Timeline] = field(default_factory=dict)
    kept: list[Snapshot] = field(default_factory=list)  # automatic: dropped when over budget
    # bookmark → (branch, moment)
    named: dict[str, tuple[str, Snapshot | Moment]] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)  # bookmark → MB
    held_mb: float = 0.0
    twin: "Training | None" = None
    armed: bool = False
    viewed: bool = False  # somebody may go back at a click, which shall be quick
    root: History = field(default_factory=History)  # nothing has been done
    _ledger: Ledger = field(default_factory=Ledger)

    def begin(self, t: "Training") -> None:
        self.branches[t.branch] = Timeline(t.branch, None, 0, 0, self.root)
        first = take(t, self.root, first=True)
        self.named[START] = (t.branch, first)
        self._add(first)
        self._weigh(t)
        self.sizes[START] = self.held_mb

    def parent(self, branch: str) -> str | None:
        return self.branches[branch].parent

    def history(self, t: "Training") -> History:
        return self.branches[t.branch].history

    def did(self, t: "Training", command: Command) -> None:
        """Add a command that affects training to the history."""
        line = self.branches[t.branch]
        line.history = line.history.then(t.step, command)

    def arrive(self, t: "Training") -> None:
        """Before the first intervention at a step, snapshot the state for a later rewind."""
        history = self.history(t)
        if history.before is None or history.step != t.step:
            self.keep(t)

    # -- keeping -------------------------------------------------------------------------------

    def keep(self, t: "Training") -> Snapshot:
        """Snapshot the current state, or return its existing snapshot. It may be dropped later."""
        history = self.history(t)
        if have := history.kept.get(t.step):
            return have
        made = take(t, history)
        self.kept.append(made)
        self._add(made)
        self.thin(t)
        return made

    def _add(self, made: Snapshot) -> None:
        made.history.kept[made.step] = made
        self._ledger.add(made)

    def thin(self, t: "Training") -> None:
        """Drop snapshots until within budget, smallest gap first, the newest last."""
        self._weigh(t)
        while self.kept and self.held_mb + self._resumed_mb() > self.budget_mb:
            self.kept.sort(key=lambda s: s.step)
            steps = [s.step for s in self.kept]
            gaps = [b - a for a, b in zip([0, *steps], [*steps[1:], inf], strict=False)]
            self._drop(self.kept.pop(gaps.index(min(gaps))))
            self._weigh(t)

    def rest(self, t: "Training") -> None:
        """The run is over: keep only bookmarks, unless somebody looks. What is dropped costs steps
        that are taken again, should the run go back."""
        if not self.viewed:
            for gone in self.kept:
                self._drop(gone)
            self.kept.clear()
            self._weigh(t)

    def _drop(self, gone: Snapshot) -> None:
        if gone.history.kept.get(gone.step) is gone:
            del gone.history.kept[gone.step]
        self._ledger.remove(gone)

    def save(self, t: "Training", name: str) -> float:
        """Set a bookmark; returns its size in MB. Raises CommandError if there is no room for it."""
        if name in self.named:
            branch, there = self.named[name]
            raise CommandError(
                f"There is already a bookmark {name!r}, at step {there.step} of {branch}; "
                "choose another name."
            )
        made = take(t, self.history(t))
        live = _live(t)
        others = self._marked()
        alone = own_bytes([made, *others], live) - own_bytes(others, live)
        total = own_bytes([made, *others], live) / 1e6 + self._resumed_mb()
        if total > self.budget_mb:
            raise CommandError(
                f"Bookmarks would take {total:.0f} MB, but the limit is {self.budget_mb:g} MB; to "
                f"raise it, create the Session with keep_mb={2 * total:.0f}."
            )
        self.named[name], self.sizes[name] = (t.branch, made), alone / 1e6
        self._add(made)
        self.thin(t)
        return alone / 1e6

    # -- going back ----------------------------------------------------------------------------

    def find(self, t: "Training", to: int | str, branch: str | None) -> tuple[str, int, History]:
        """(branch, step, history) of a moment. Raises CommandError if it does not exist."""
        if branch is not None and (branch not in self.branches or self.branches[branch].control):
            there = ", ".join(b.name for b in self.branches.values() if not b.control)
            raise CommandError(f"No branch {branch!r}. There are: {there}.")
        self.branches[t.branch].step = t.step
        if isinstance(to, str):
            if to not in self.named:
                raise CommandError(f"No bookmark {to!r}. There are: {', '.join(self.named)}.")
            home, moment = self.named[to]
            return branch or home, moment.step, moment.history
        line = self.branches[branch or t.branch]
        if to > line.step:
            raise CommandError(
                f"{line.name} has only reached step {line.step}; there is no step {to} yet."
            )
        at_tip = to == line.step and line.name != t.branch
        return line.name, to, line.history if at_tip else line.history.until(to)

    def go(self, t: "Training", step: int, history: History) -> None:
        """Bring the run to that state, bit for bit. `tick` does not change."""
        start, tick = self.nearest(step, history), t.tick
        restore(t, start)
        rest = deque(history.since(start.history))
        while True:
            while rest and rest[0][0] == t.step:
                t.apply(rest.popleft()[1])
            if t.step == step:
                break
            t.train_step()
        t.tick = tick

    def nearest(self, step: int, history: History) -> Snapshot:
        """The latest snapshot from which training leads to that state."""

        at: History | None = history
        while at is not None:
            if steps := [one for one in at.kept if one <= step]:
                return at.kept[max(steps)]
            at, step = at.before, min(step, at.step)
        raise AssertionError("the start is always kept")

    def destination(self, t: "Training", command: Rewind | Branch) -> tuple[str, int, History]:
        """(branch, step, history) of the moment where the command leads; for Branch, the branch that it
        leaves. CommandError for what is refused."""
        if isinstance(command, Rewind):
            name, step, history = self.find(t, command.to, command.branch)
            if (name, step, history) == (t.branch, t.step, self.history(t)):
                raise CommandError(f"The run is already at step {step} of {name}.")
            return name, step, history
        if command.name in self.branches:
            raise CommandError(
                f"There is already a branch {command.name!r}. Branches: {', '.join(self.branches)}."
            )
        if command.at is None:
            return t.branch, t.step, self.history(t)
        return self.find(t, command.at, None)

    def rewind(self, t: "Training", command: Rewind) -> None:
        name, step, history = self.destination(t, command)
        self._leave(t)
        self.go(t, step, history)
        t.branch = name
        line = self.branches[name]
        line.step, line.history = step, history
        self.keep(t)

    def fork(self, t: "Training", command: Branch) -> None:
        here = t.step, self.history(t)
        parent, step, history = self.destination(t, command)
        self._leave(t)
        if (step, history) != here:
            self.go(t, step, history)
        self.branches[command.name] = Timeline(command.name, parent, step, step, history)
        t.branch = command.name

    def _leave(self, t: "Training") -> None:
        """Snapshot the current timeline, so that returning to it is quick; end the twin."""
        self.branches[t.branch].step = t.step
        self.keep(t)
        self.end_twin()

    # -- the twin ------------------------------------------------------------------------------

    def make_twin(self, t: "Training") -> "Training":
        """A copy of the run, to train alongside it. It takes effect with `add_twin`."""
        number = 1 + sum(line.control for line in self.branches.values())
        return t.fork("twin" if number == 1 else f"twin {number}")

    def add_twin(self, t: "Training", twin: "Training") -> None:
        self.armed, self.twin = False, twin
        untouched = self.history(t).before or self.root  # without the intervention that started it
        self.branches[twin.branch] = Timeline(
            twin.branch, t.branch, t.step, t.step, untouched, control=True
        )

    def end_twin(self) -> None:
        if self.twin:
            self.branches[self.twin.branch].step = self.twin.step
            self.twin = None

    # -- current state -------------------------------------------------------------------------

    def states(self, t: "Training") -> tuple[TimelineState, ...]:
        now = {t.branch: t.step}
        if twin := self.twin:
            now[twin.branch] = twin.step
        return tuple(
            TimelineState(b.name, b.parent, b.start, now.get(b.name, b.step), b.control)
            for b in list(self.branches.values())
        )

    def bookmarks(self) -> tuple[Bookmark, ...]:
        return tuple(
            Bookmark(name, branch, moment.step, self.sizes.get(name, 0.0))
            for name, (branch, moment) in list(self.named.items())
        )

    def _marked(self) -> list[Snapshot]:
        return [moment for _, moment in self.named.values() if isinstance(moment, Snapshot)]

    def _resumed_mb(self) -> float:
        """What the bookmarks of a resumed run held before: it decides as the run would have that was
        not interrupted."""
        marks = self.named.items()
        return sum(self.sizes[name] for name, (_, at) in marks if isinstance(at, Moment))

    def _weigh(self, t: "Training") -> None:
        self.held_mb = self._ledger.own_bytes(_live(t)) / 1e6


def _live(t: "Training") -> dict[int, int]:
    """Address → bytes of what the run itself holds."""
    return {p.data_ptr(): p.nbytes for parameters in t.levers.groups.values() for p in parameters}
