"""Decides *when* something happens in training: a loop that takes commands and tells events.

command, commands  what can be asked          events    what happened
apply              what each command does     answers   how the engine says so
engine             the loop, on one screen    inbox     where commands wait
training           the state, and one step    levers    which groups train, how fast
edits              adapters and new heads     batches   which samples come when
timelines          branches, twins, rewind    snapshot  one moment, bit for bit
session            the run as its user sees it          plan, recipe    what determines it
record, replay     doing it again, and comparing        result          what came out
recording          a recorded run that plays            retelling, retold  how
script             a record as plain PyTorch            history, scripted  how
autosave, resume   surviving a kill                     checkpoint, eventlog, disk  how
steerable          what a cockpit may use of a run      runner, threads where the work is done
steer, trainers    a loop of one's own, a trainer's     beside  anyone's training in a thread
steering, loop     how that is steered, within limits   given, resumed, parts  its optimizer, its model
keys               randomness as an argument            thrift, memory  what looking on may cost
looking            a question to the model, between two steps     meters  what else is measured
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
    event_from_json,
)
from .guests.background import beside
from .guests.loop import steer
from .guests.trainers import steer_trainer
from .recipe import Recipe
from .record.record import Record
from .record.recording import Recording
from .record.to_script import to_script
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
    "event_from_json",
    "from_json",
    "kinds",
    "replay",
    "resume",
    "to_script",
    "steer",
    "steer_trainer",
]
