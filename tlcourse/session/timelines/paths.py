"""The rule of time: which events belong to which timeline, folded from a run's events alone.

Training goes in *stretches*: steps taken one after another until the run goes back or branches off.
Each stretch goes on from a moment of an earlier one, so together they are a tree, and a timeline is
the way from the tree's root to the stretch that the timeline trained last. What lies on no such way was
given up. A bookmark is a moment of the tree, so it can be gone back to after its stretch was given up.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..commands import STEERING, Branch, Rewind
from ..eventlog import EventLog
from ..events import Applied, Branched, Event, Saved, StepDone


@dataclass(slots=True, eq=False)
class Stretch:
    """parent, root: the stretch that it goes on from, and how many of that one's events it shares;
    control: a twin's; left: where the run was when a rewind or a branch began this stretch; at: indices
    of its own events among the run's; others: which of `at` are not steps."""

    branch: str
    parent: "Stretch | None" = None
    root: int = 0
    control: bool = False
    left: "Moment | None" = None
    at: array = field(default_factory=lambda: array("q"))
    others: list[int] = field(default_factory=list)

    def add(self, index: int) -> None:
        """An event that is not a step."""
        self.others.append(len(self.at))
        self.at.append(index)


Moment = tuple[Stretch, int]
"""A place in the tree: a stretch, and how many of its events have happened there."""

Role = Literal["now", "other", "twin", "gone"]
"""now: the timeline that trains, with its past. other: what further timelines have besides. twin: the
last control, until the run goes back or branches off. gone: given up by a rewind, and other controls."""


@dataclass(frozen=True, slots=True)
class Track:
    """What a figure draws as one line. parts: stretches, each from one of its events to before
    another, in the order of the steps."""

    name: str
    role: Role
    parts: tuple[tuple[Stretch, int, int], ...]


class Paths:
    """tips: each timeline's last stretch, in order of beginning; stretches: all, in that order; now:
    the timeline that trains; taken: the run's events, of which the first `count` were taken (a log that
    still grows is shared, not copied). It looks back only at a rewind."""

    def __init__(
        self, events: Sequence[Event] = (), first: str = "main", until: int | None = None
    ) -> None:
        root = Stretch(first)
        self.now, self.tips, self.stretches = first, {first: root}, [root]
        self.taken, self.count = events if isinstance(events, EventLog) else EventLog(events), 0
        self._bookmarks: dict[str, Moment] = {}
        self._asked: tuple[
            int, int | str | None, Moment
        ]  # the last Branch: index, from where, when
        self.follow(until)

    def follow(self, until: int | None = None) -> None:
        """Take the events before index `until`, or all there are."""
        until = len(self.taken) if until is None else until
        for index, part in self.taken.parts(self.count, until):
            if isinstance(part, range):
                self._steps(index, part)
            else:
                self._take(part, index)
        self.count = until

    def _steps(self, index: int, steps: range) -> None:
        """Steps in a row, as nearly all events are."""
        for branch, at in self.taken.by_branch(index, steps).items():
            self._name(branch)
            stretch = self.tips[branch]
            stretch.at.extend(at)
            if not stretch.control:
                self.now = branch

    def _name(self, branch: str) -> None:
        """The first timeline is called what the first event on it says."""
        if branch not in self.tips:
            (root,) = self.stretches
            root.branch, self.now, self.tips = branch, branch, {branch: root}

    def _take(self, event: Event, index: int) -> None:
        branch = event.branch
        command = event.command if isinstance(event, Applied) else None
        if isinstance(command, Rewind):
            self._begin(branch, self._moment(command.to, branch), left=self._tip(self.now))
        elif isinstance(command, Branch):
            self._asked = index, command.at, self._tip(self.now)
            return  # it belongs to the timeline that begins with the next event
        elif isinstance(event, Branched):
            self._branch(event)
        self._name(branch)
        stretch = self.tips[branch]
        stretch.add(index)
        if isinstance(event, Saved):
            self._bookmarks[event.name] = self._tip(branch)
        if not stretch.control:
            self.now = stretch.branch

    def line(self, branch: str) -> list[Moment]:
        """The way from the root to a timeline's tip: stretches, each with how many of its events are on
        that way."""
        way = [self._tip(branch)]
        while (parent := way[-1][0].parent) is not None:
            way.append((parent, way[-1][0].root))
        return way[::-1]

    def events(self, branch: str) -> Iterator[Event]:
        """What happened on a timeline, its shared past included, in order."""
        for stretch, count in self.line(branch):
            for index in stretch.at[:count]:
                yield self.taken[index]

    def step(self, stretch: Stretch, count: int) -> int:
        """How many steps had been taken on the way to a moment."""
        while True:
            for k in range(count - 1, -1, -1):
                event = self.taken[stretch.at[k]]
                if isinstance(event, StepDone):
                    return event.step
            if stretch.parent is None:
                return 0
            stretch, count = stretch.parent, stretch.root

    def tracks(self) -> list[Track]:
        """The present timeline, then the others in the order in which they leave it. Every event lies
        on exactly one track. They change only when a stretch begins, but for the end of each timeline's
        last stretch."""
        present = self.line(self.now)
        covered = dict(present)
        found: list[Track] = []

        def add(name: str, role: Role, parts: list[tuple[Stretch, int, int]]) -> None:
            if parts := [(stretch, low, high) for stretch, low, high in parts if low < high]:
                found.append(Track(name, role, tuple(parts)))

        for name, tip in self.tips.items():
            if not tip.control:
                way = self.line(name)
                add(name, "other", [(s, covered.get(s, 0), count) for s, count in way])
                covered |= {s: max(covered.get(s, 0), count) for s, count in way}
        for stretch in self.stretches:
            low = 0 if stretch.control else covered.get(stretch, 0)
            role: Role = "twin" if stretch.control and stretch is self.stretches[-1] else "gone"
            add(stretch.branch, role, [(stretch, low, len(stretch.at))])
        found.sort(key=lambda track: track.parts[0][0].at[track.parts[0][1]])
        return [Track(self.now, "now", tuple((s, 0, count) for s, count in present)), *found]

    def _tip(self, branch: str) -> Moment:
        stretch = self.tips[branch]
        return stretch, len(stretch.at)

    def _branch(self, event: Branched) -> None:
        if event.control:  # without the intervention that was applied last
            stretch, count = self._tip(event.parent)
            self._begin(event.branch, (stretch, count - 1), control=True)
            return
        self._name(event.parent)
        index, at, left = self._asked
        self._begin(
            event.branch, left if at is None else self._moment(at, self.now, left), left=left
        )
        self.tips[event.branch].add(index)

    def _begin(
        self, branch: str, moment: Moment, control: bool = False, left: Moment | None = None
    ) -> None:
        made = Stretch(branch, *moment, control, left)
        self.tips[branch] = made
        self.stretches.append(made)

    def _moment(self, to: int | str, branch: str, tip: Moment | None = None) -> Moment:
        """Of a bookmark, or of the arrival at a step: before what was done there, unless that is the end
        of a timeline that the run had left."""
        if isinstance(to, str) and to in self._bookmarks:
            return self._bookmarks[to]
        stretch, count = tip or self._tip(branch)
        step = 0 if isinstance(to, str) else to
        if branch != self.now and self.step(stretch, count) == step:
            return stretch, count
        found = (stretch, count)
        while True:
            for k in range(count - 1, -1, -1):
                event = self.taken[stretch.at[k]]
                if isinstance(event, StepDone):
                    if event.step <= step:
                        return found
                    found = (stretch, k)
                elif is_steering(event) and event.step >= step:
                    found = (stretch, k)
            if stretch.parent is None:
                return found
            stretch, count = stretch.parent, stretch.root


def is_steering(event: Event) -> bool:
    """Whether it changed how the run goes on."""
    return isinstance(event, Applied) and isinstance(event.command, STEERING)
