"""Is drawn in a browser: the cockpit, and what JupyterLab must be told to keep it.

cockpit     the widget: takes clicks, shows the run      story   what a view must know, from events
messenger   the thread that tells views what happened    words   commands as a person would say them
bundle      the JavaScript, as one module                still   a picture for where no widget runs
lab         settings for JupyterLab                      static  the view itself: plain ESM and CSS
state       what a run shows of itself at a moment
lens        a picture of the model, drawn as it trains   watcher when to draw it;  images  as what
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOME = {"Cockpit": "cockpit", "Lens": "lens", "lab_environment": "lab"}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'tlcourse.ui' has no attribute {name!r}")
    return getattr(import_module(f"tlcourse.ui.{_HOME[name]}"), name)


if TYPE_CHECKING:
    from .cockpit import Cockpit as Cockpit
    from .lab import lab_environment as lab_environment
    from .lens import Lens as Lens
