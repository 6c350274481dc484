"""Learn transfer learning by steering real training runs.

The shop window: everything a lesson needs, each loaded on first use, so that
`import tlcourse` costs milliseconds and brings no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Data": "data",
    "load_data": "data",
    "load_model": "models",
    "Session": "session",
    "replay": "session",
    "resume": "session",
    "to_script": "session",
    "Record": "session",
    "Recording": "session",
    "steer": "session",
    "steer_trainer": "session",
    "beside": "session",
    "SetLR": "session",
    "Freeze": "session",
    "Unfreeze": "session",
    "Augment": "session",
    "Evaluate": "session",
    "Pause": "session",
    "Resume": "session",
    "Stop": "session",
    "AddLoRA": "session",
    "SetScale": "session",
    "SwapHead": "session",
    "SetWeight": "session",
    "Save": "session",
    "Rewind": "session",
    "Branch": "session",
    "Twin": "session",
    "Cockpit": "ui",
    "Descriptions": "ui.describe",
    "Lens": "ui",
    "features": "methods",
    "probe": "methods",
    "claim": "course.progress",
    "interval": "measure",
    "tier": "course",
    "hand": "course",
    "predict": "ui.predict",
    "check": "course.exercises",
    "hint": "course.exercises",
    "progress": "course.progress",
    "plots": "plots",
    "measure": "measure",
    "methods": "methods",
    "errors": "errors",
}
_MODULES = {"plots", "measure", "methods", "errors"}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'tlcourse' has no attribute {name!r}")
    module = import_module(f"tlcourse.{_HOME[name]}")
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if TYPE_CHECKING:
    from tlcourse import errors, measure, methods, plots
    from tlcourse.course import hand, tier
    from tlcourse.course.exercises import check, hint
    from tlcourse.course.progress import claim, progress
    from tlcourse.data import Data, load_data
    from tlcourse.measure import interval
    from tlcourse.methods import features, probe
    from tlcourse.models import load_model
    from tlcourse.session import (
        AddLoRA,
        Augment,
        Branch,
        Evaluate,
        Freeze,
        Pause,
        Record,
        Recording,
        Resume,
        Rewind,
        Save,
        Session,
        SetLR,
        SetScale,
        SetWeight,
        Stop,
        SwapHead,
        Twin,
        Unfreeze,
        replay,
        resume,
        steer_trainer,
        to_script,
    )
    from tlcourse.session.guests import background as beside
    from tlcourse.session.guests import loop as steer
    from tlcourse.ui import Cockpit, Lens
    from tlcourse.ui.describe import Descriptions
    from tlcourse.ui.predict import predict
