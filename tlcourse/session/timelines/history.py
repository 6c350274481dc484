"""From a record to the one timeline that it ended on: what was done at which step, nothing that was
given up. No model is needed: a record's ticks and its commands about time say it all."""

from dataclasses import dataclass

from tlcourse.errors import CommandError, RecordError

from ..commands import STEERING, Branch, Rewind, Save, Stop
from ..record.header import printable, recipe_of
from ..record.record import Record
from .snapshot import History, Moment
from .timelines import START, Timeline, Timelines


@dataclass(slots=True)
class _Position:
    branch: str = "main"
    step: int = 0


def last_timeline(record: Record) -> tuple[int, History]:
    """(steps, history) of the timeline that the record ends on. Raises RecordError if its commands
    lead nowhere."""
    here, time, steps, ticks = _Position(), Timelines(0.0), recipe_of(record.header).steps, 0
    time.branches[here.branch] = Timeline(here.branch, None, 0, 0, ())
    time.named[START] = (here.branch, Moment(0, ()))
    stopped = False
    for tick, command in record.commands:
        here.step, ticks = here.step + tick - ticks, tick
        line = time.branches[here.branch]
        line.step, stopped = here.step, isinstance(command, Stop)
        try:
            if isinstance(command, STEERING):
                line.history += ((here.step, command),)
            elif isinstance(command, Save):
                time.named[command.name] = (here.branch, Moment(here.step, line.history))
            elif isinstance(command, Rewind):
                here.branch, here.step, history = time.find(here, command.to, command.branch)
                line = time.branches[here.branch]
                line.step, line.history = here.step, history
            elif isinstance(command, Branch):
                history = line.history
                if command.at is not None:
                    _, here.step, history = time.find(here, command.at, None)
                parent, here.branch = here.branch, command.name
                time.branches[here.branch] = Timeline(
                    here.branch, parent, here.step, here.step, history
                )
        except CommandError as error:
            raise RecordError(
                printable(f"The record's {command!r} at tick {tick} leads nowhere: {error}")
            ) from None
    return here.step if stopped else steps, time.branches[here.branch].history
