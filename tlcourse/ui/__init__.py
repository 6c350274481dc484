"""Widgets that run in the browser, and the settings JupyterLab needs to save them.

cockpit     a run and its controls: widget, messenger, story, stream, words, still
lens        a picture of the model, drawn as it trains: widget, watcher, images
predict     a prediction with sliders     describe  descriptions as a classifier
bundle      the JavaScript, as one module  static    the view itself: plain ESM and CSS
lab         settings for JupyterLab
"""

from importlib import import_module
from typing import TYPE_CHECKING

_HOME = {"Cockpit": "cockpit.widget", "Lens": "lens.widget", "lab_environment": "lab"}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'tlcourse.ui' has no attribute {name!r}")
    return getattr(import_module(f"tlcourse.ui.{_HOME[name]}"), name)


if TYPE_CHECKING:
    from .cockpit.widget import Cockpit as Cockpit
    from .lab import lab_environment as lab_environment
    from .lens.widget import Lens as Lens
