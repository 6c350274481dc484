"""`predict`: a prediction with sliders, if there is a browser.

`tlcourse.course.predictions` makes and keeps the prediction; the widget only shows it. As in the
cockpit, clicks are custom messages, and the one trait goes from the kernel to the views.
"""

from functools import wraps
from typing import Any

import traitlets
from IPython import get_ipython

from tlcourse.course import learner, predictions
from tlcourse.course.predictions import UNITS, Prediction
from tlcourse.errors import CourseError

from .bundle import bundle, stylesheet
from .kept import Kept

MODULES = ("dom.js", "keep.js", "predict.js")
SHEETS = ("cockpit.css", "predict.css")


class Sliders(Kept):
    """A view of one prediction: a slider for each item, and a button to commit."""

    _esm = bundle(MODULES)
    _css = stylesheet(SHEETS)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        super().__init__(state=shown(prediction), still=prediction.table())
        self.on_msg(self._hear)
        prediction.listeners.append(self._refresh)
        prediction.face = self._bundle

    def _bundle(self) -> dict[str, Any]:
        self._refresh()  # another notebook may have committed since
        return self.view()

    def _refresh(self, note: str = "") -> None:
        with self.hold_sync():
            self.state, self.still = shown(self._prediction, note), self._prediction.table()

    def _hear(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        if content.get("type") != "commit":
            return
        note = ""
        try:
            # A view that has seen no guess must not replace one committed in another notebook.
            self._prediction.commit(content.get("values"), over=content.get("over") is True)
            if self._prediction.committed != content.get("values"):
                note = (
                    "You had committed this before, in another notebook: it stays, and here it is."
                )
        except CourseError as refusal:
            note = str(refusal)
        self._refresh(note)
        self.send({"type": "answer", "state": self.state})  # also where nothing has changed


def shown(prediction: Prediction, note: str = "") -> dict[str, Any]:
    """What a view needs, as JSON."""
    asked = prediction.question
    factor, suffix = UNITS[asked.unit]
    return {
        "id": asked.id,
        "text": asked.text,
        "items": [{"name": name, "start": start} for name, start in asked.items.items()],
        "low": asked.low,
        "high": asked.high,
        "step": asked.step,
        "factor": factor,
        "suffix": suffix,
        "decimals": asked.decimals,
        "committed": prediction.committed,
        "seen": prediction.seen,
        "note": note,
    }


@wraps(predictions.predict)
def predict(*args: Any, **kwargs: Any) -> Prediction:
    guess = predictions.predict(*args, **kwargs)
    if hasattr(get_ipython(), "kernel") and not learner.headless():
        Sliders(guess)
    return guess
