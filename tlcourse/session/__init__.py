"""Decides *when* something happens in training: a loop that takes commands and tells events.

commands   what can be asked          events    what happened
apply      what each command does     engine    the loop, on one screen
training   the state that it changes  batches   which samples come when
inbox      where commands wait        session   the run as its user sees it
record     what to replay             replay    doing it again, and comparing
keys       randomness as an argument  threads   whose cores are they?
"""

from .commands import (
    Augment,
    Command,
    Evaluate,
    Freeze,
    Pause,
    Resume,
    SetLR,
    Stop,
    Unfreeze,
    from_json,
    kinds,
)
from .events import (
    Applied,
    Evaluated,
    Event,
    Failed,
    Finished,
    Moved,
    Refused,
    StepDone,
)
from .record import Record
from .replay import Replay, replay
from .result import Result
from .session import Session
from .threads import CORES
from .training import GroupState, Recipe

__all__ = [
    "CORES",
    "Applied",
    "Augment",
    "Command",
    "Evaluate",
    "Evaluated",
    "Event",
    "Failed",
    "Finished",
    "Freeze",
    "GroupState",
    "Moved",
    "Pause",
    "Recipe",
    "Record",
    "Refused",
    "Replay",
    "Result",
    "Resume",
    "Session",
    "SetLR",
    "StepDone",
    "Stop",
    "Unfreeze",
    "from_json",
    "kinds",
    "replay",
]
