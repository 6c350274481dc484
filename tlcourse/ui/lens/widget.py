"""`Lens`: a picture of a run's model, redrawn while it trains."""

import threading
import weakref
from collections.abc import Callable
from html import escape
from typing import Any

import traitlets
from IPython import get_ipython
from IPython.display import display, update_display

from tlcourse.errors import CommandError

from ..bundle import bundle, stylesheet
from ..kept import Kept
from .images import Image
from .watcher import Seen, Watcher

MODULES = ("dom.js", "keep.js", "lens.js")
SHEETS = ("cockpit.css", "lens.css")
_SHOWN: weakref.WeakSet["Lens"] = weakref.WeakSet()


def _before_cell(info: Any) -> None:
    for lens in list(_SHOWN):
        lens._watcher.attend(True)


def _after_cell(result: Any) -> None:
    for lens in list(_SHOWN):
        lens._watcher.attend(False)
        lens._watcher.finish()


def look_again(run: Any) -> None:
    """A command was sent to this run: it may continue after its end."""
    for lens in list(_SHOWN):
        if lens._run is run:
            lens._watcher.wake()


class Lens(Kept):
    """Shows what `draw` makes of a run's model, and draws it again as the run goes on.

        tl.Lens(run, lambda model: tl.plots.cloud(tl.features(model, data).test.x, data.test.y))

    draw: (model) → a Picture or a matplotlib figure. It is called between two steps, as by `run.look`:
    in eval mode and without gradients, so it changes nothing in the run. Drawing takes at most about a
    fifth of the run's time, so a slow `draw` is called less often. every: at least this many seconds
    between two pictures; after a command there is one at once, even while the run is paused. An
    exception in `draw` is shown instead of a picture. Without a view, only one picture is drawn, at the
    end.

    A lens does not start the run; the cockpit does. Several lenses on one run draw in turn.
    """

    _esm = bundle(MODULES)
    _css = stylesheet(SHEETS)
    seen = traitlets.Dict().tag(sync=True)

    def __init__(self, run: Any, draw: Callable[[Any], Any], every: float = 1.0) -> None:
        if not hasattr(run, "look"):
            raise CommandError(
                f"A lens needs a Session (or a loop under steer), whose model it can draw, not {run!r}."
            )
        if not callable(draw):
            raise CommandError(
                f"draw is a function of the model that returns a picture, such as "
                f"tl.Lens(run, lambda model: tl.plots.filters(model)), not {draw!r}."
            )
        if isinstance(every, bool) or not isinstance(every, int | float) or not every > 0:
            raise CommandError(f"every is a number of seconds above 0, not {every!r}.")
        self._run, self._image = run, None
        self._lock = threading.Lock()
        self._displayed = False
        super().__init__(seen=_state(run, None))
        self._watcher = Watcher(run, draw, every, self._show)
        self.on_msg(self._hear)
        _SHOWN.add(self)
        if shell := get_ipython():  # repeated registration has no effect
            shell.events.register("pre_run_cell", _before_cell)
            shell.events.register("post_run_cell", _after_cell)
        self._watcher.wake()

    def __repr__(self) -> str:
        steps = self._run.steps
        return "Lens on a run" + (f" of {steps} steps" if steps else "")

    def _ipython_display_(self, **_: Any) -> None:
        with self._lock:
            data, about = self._bundle()
            display(data, raw=True, metadata=about, display_id=self._display_id)
            self._displayed = True

    def close(self) -> None:
        """Take the lens away. The run goes on."""
        if watcher := getattr(self, "_watcher", None):  # a lens that was refused has none
            watcher.close()
        _SHOWN.discard(self)
        super().close()

    @property
    def _display_id(self) -> str:
        return f"tlcourse-lens-{self.id}"

    def _bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        image: Image | None = self._image
        data, about = image.bundle() if image else (self.view(), {})
        return data | {"text/plain": repr(self)}, about

    def _hear(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        if content.get("type") == "hello":
            self._watcher.view()

    # -- from the watcher's thread -------------------------------------------------------------

    def _show(self, seen: Seen, viewed: bool) -> None:
        """If no browser has this lens (nbclient), the picture takes its place in the output: a web page
        made from that notebook would show a widget only with a network."""
        with self.hold_sync():
            self.seen = _state(self._run, seen)
            if seen.image:
                self.still = _still(self.seen)
        with self._lock:
            if not viewed and not self.browser:
                self._image = seen.image
                if self._displayed and seen.image:
                    data, about = self._bundle()
                    update_display(data, raw=True, metadata=about, display_id=self._display_id)


def _still(state: dict[str, Any]) -> str:
    image, of = state["image"], f" of {state['total']}" if state["total"] else ""
    wide = f' width="{image["width"]}"' if image["width"] else ""
    return (
        f"<figure><figcaption>step {state['step']}{of}</figcaption>"
        f'<img src="{image["source"]}" alt="{escape(image["alt"])}"{wide}></figure>'
    )


def _state(run: Any, seen: Seen | None) -> dict[str, Any]:
    """What a view needs, as JSON."""
    if seen is None:
        return {"total": run.steps, "step": None, "branch": "", "image": None, "error": ""}
    image = seen.image and {
        "source": seen.image.address(), "alt": seen.image.alt, "width": seen.image.width
    }  # fmt: skip
    return {
        "total": run.steps, "step": seen.step, "branch": seen.branch, "image": image,
        "error": seen.error,
    }  # fmt: skip
