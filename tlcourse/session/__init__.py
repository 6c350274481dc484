"""Decides *when* something happens in training: a loop that takes commands and tells events.

commands    what can be asked of a run        events      what happened
state       what a run is, without weights    steerable   what a cockpit needs of a run
recipe      what determines a run             result      what came out
session     the run as its user sees it
replay      doing it again, and comparing     resume      surviving a kill

Rooms, each with a README, and each importing only what stands before it:
threads     where work is done                model       groups, adapters, heads, optimizer
timelines   branches, twins, rewind           engine      the loop, and what acts between its steps
record      a run as a file                   autosave    a run's state on disk
guests      loops of somebody else
"""

from .commands import (
    STEERING,
    AddLoRA,
    Augment,
    Branch,
    Command,
    Evaluate,
    Freeze,
    Pause,
    Resume,
    Rewind,
    Save,
    SetLR,
    SetScale,
    SetWeight,
    Stop,
    SwapHead,
    Twin,
    Unfreeze,
    from_json,
    kinds,
)
from .engine.meters import Meter
from .engine.training import Batch, Term
from .events import (
    Applied,
    Branched,
    Evaluated,
    Event,
    Failed,
    Finished,
    Metered,
    Moved,
    Norms,
    Refused,
    Saved,
    StepDone,
    Warned,
)
from .guests.background import beside
from .guests.loop import steer
from .guests.trainers import steer_trainer
from .recipe import Recipe
from .record.record import Record
from .record.to_script import to_script
from .recording import Recording
from .replay import Replay, replay
from .result import Result
from .resume import resume
from .session import Session
from .steerable import Bookmark, GroupState, Steerable, TimelineState
from .threads.cores import CORES

__all__ = [
    "AddLoRA",
    "Applied",
    "Augment",
    "Batch",
    "Bookmark",
    "Branch",
    "Branched",
    "CORES",
    "Command",
    "Evaluate",
    "Evaluated",
    "Event",
    "Failed",
    "Finished",
    "Freeze",
    "GroupState",
    "Meter",
    "Metered",
    "Moved",
    "Norms",
    "Pause",
    "Recipe",
    "Record",
    "Recording",
    "Refused",
    "Replay",
    "Result",
    "Resume",
    "Rewind",
    "STEERING",
    "Save",
    "Saved",
    "Session",
    "SetLR",
    "SetScale",
    "SetWeight",
    "Steerable",
    "StepDone",
    "Stop",
    "SwapHead",
    "Term",
    "TimelineState",
    "Twin",
    "Unfreeze",
    "Warned",
    "beside",
    "from_json",
    "kinds",
    "replay",
    "resume",
    "to_script",
    "steer",
    "steer_trainer",
]
