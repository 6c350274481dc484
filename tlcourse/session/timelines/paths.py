"""The rule of time: which events belong to which timeline, folded from a run's events alone.

Training goes in *stretches*: steps taken one after another until the run goes back or branches off.
Each stretch goes on from a moment of an earlier one, so together they are a tree, and a timeline is
the way from the tree's root to the stretch that the timeline trained last. What lies on no such way was
given up. A bookmark is a moment of the tree, so it can be gone back to after its stretch was given up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..commands import STEERING, Branch, Rewind
from ..events import Applied, Branched, Event, Saved, StepDone


@dataclass(slots=True, eq=False)
class Stretch:
    """parent, root: the stretch that it goes on from, and how many of that one's events it shares;
    control: a twin's; at: indices of its own events among the run's."""

    branch: str
    parent: "Stretch | None" = None
    root: int = 0
    control: bool = False
    at: list[int] = field(default_factory=list)


Moment = tuple[Stretch, int]
"""A place in the tree: a stretch, and how many of its events have happened there."""


class Paths:
    """tips: each timeline's last stretch, in order of beginning; stretches: all, in that order; now:
    the timeline that trains. `take` adds events; it looks back only at a rewind."""

    def __init__(self, events: Sequence[Event] = (), first: str = "main") -> None:
        root = Stretch(first)
        self.now, self.tips, self.stretches = first, {first: root}, [root]
        self._events: list[Event] = []
        self._bookmarks: dict[str, Moment] = {}
        self._asked: tuple[
            int, int | str | None, Moment
        ]  # the last Branch: index, from where, when
        self.take(events)

    def take(self, events: Iterable[Event]) -> None:
        for event in events:
            index, branch = len(self._events), event.branch
            self._events.append(event)
            command = event.command if isinstance(event, Applied) else None
            if isinstance(command, Rewind):
                self._begin(branch, self._moment(command.to, branch))
            elif isinstance(command, Branch):
                self._asked = index, command.at, self._tip(self.now)
                continue  # it belongs to the timeline that begins with the next event
            elif isinstance(event, Branched):
                self._branch(event)
            stretch = self.tips[branch]
            stretch.at.append(index)
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
                yield self._events[index]

    def _tip(self, branch: str) -> Moment:
        stretch = self.tips[branch]
        return stretch, len(stretch.at)

    def _branch(self, event: Branched) -> None:
        if event.control:  # without the intervention that was applied last
            stretch, count = self._tip(event.parent)
            self._begin(event.branch, (stretch, count - 1), control=True)
            return
        index, at, left = self._asked
        self._begin(event.branch, left if at is None else self._moment(at, self.now, left))
        self.tips[event.branch].at.append(index)

    def _begin(self, branch: str, moment: Moment, control: bool = False) -> None:
        made = Stretch(branch, *moment, control)
        self.tips[branch] = made
        self.stretches.append(made)

    def _moment(self, to: int | str, branch: str, tip: Moment | None = None) -> Moment:
        """Of a bookmark, or of the arrival at a step: before what was done there, unless that is the end
        of a timeline that the run had left."""
        if isinstance(to, str) and to in self._bookmarks:
            return self._bookmarks[to]
        stretch, count = tip or self._tip(branch)
        step = 0 if isinstance(to, str) else to
        if branch != self.now and self._step(stretch, count) == step:
            return stretch, count
        found = (stretch, count)
        while True:
            for k in range(count - 1, -1, -1):
                event = self._events[stretch.at[k]]
                if isinstance(event, StepDone):
                    if event.step <= step:
                        return found
                    found = (stretch, k)
                elif _steers(event) and event.step >= step:
                    found = (stretch, k)
            if stretch.parent is None:
                return found
            stretch, count = stretch.parent, stretch.root

    def _step(self, stretch: Stretch, count: int) -> int:
        """How many steps had been taken on the way to a moment."""
        while True:
            for index in reversed(stretch.at[:count]):
                if isinstance(self._events[index], StepDone):
                    return self._events[index].step
            if stretch.parent is None:
                return 0
            stretch, count = stretch.parent, stretch.root


def _steers(event: Event) -> bool:
    return isinstance(event, Applied) and isinstance(event.command, STEERING)
