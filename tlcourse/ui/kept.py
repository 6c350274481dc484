"""`Kept`: what the course's widgets have in common, so that a saved notebook shows them again."""

from typing import Any
from uuid import uuid4

import anywidget
import traitlets

from .saving import OURS, VIEW


class Kept(anywidget.AnyWidget):
    """A widget that knows its id before it is opened and after it is closed.

    still: what it shows, as HTML that needs no network: `saving.py` puts it into the notebook's file.
    id: its model's, by which its view finds that model (static/keep.js). browser: whether one has it.
    """

    browser = False

    still = traitlets.Unicode().tag(sync=True)
    id = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        id = OURS + uuid4().hex
        super().__init__(model_id=id, id=id, **traits)
        self.on_msg(self._meet)

    def _meet(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        self.browser |= content.get("type") == "browser"

    def view(self) -> dict[str, Any]:
        """The part of an output that shows it."""
        return {VIEW: {"version_major": 2, "version_minor": 0, "model_id": self.id}}
