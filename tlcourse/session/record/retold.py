"""What a run shows of itself, folded from its events: for one that is not there any more."""

from dataclasses import replace

from ..commands import Branch, Rewind, Twin
from ..events import Applied, Branched, Event, Finished, Saved, StepDone
from ..state import RunState
from ..steerable import Bookmark, TimelineState


class Retold:
    """began: the state before the first step. What a command did is in its `Applied`, whole."""

    def __init__(self, began: RunState) -> None:
        self.state = began
        self.step, self.branch, self.twin = 0, "main", None
        self.bookmarks = {"start": Bookmark("start", "main", 0, 0.0)}
        self._lines = {"main": TimelineState("main", None, 0, 0)}

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
            self._lines[event.branch] = TimelineState(
                event.branch, event.parent, event.step, event.step, event.control
            )
            if event.control:
                self.twin = event.branch
        elif isinstance(event, Saved):
            self.bookmarks[event.name] = Bookmark(event.name, event.branch, event.step, event.mb)
        elif isinstance(event, Finished):
            self._end_twin()

    def _apply(self, event: Applied) -> None:
        self.step, self.branch, self.state = event.step, event.branch, event.state
        command = event.command
        if isinstance(command, Twin):
            self.twin = "armed" if command.on else None
        elif isinstance(command, Rewind | Branch):
            self._end_twin()
        if isinstance(command, Rewind) and event.branch in self._lines:
            self._lines[event.branch] = replace(self._lines[event.branch], step=event.step)

    def _end_twin(self) -> None:
        if self.twin != "armed":
            self.twin = None
