"""`Cockpit`: the widget. It passes clicks to the run; a `Messenger` sends updates to the views."""

import contextlib
import warnings
import weakref
from datetime import datetime
from importlib import import_module
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import traitlets
from IPython import get_ipython
from IPython.display import display, update_display

from tlcourse.errors import CommandError, RecordError
from tlcourse.session import CORES, from_json
from tlcourse.session.steerable import Steerable

from ..bundle import bundle, stylesheet
from ..kept import Kept
from ..lens.widget import look_again
from . import cells
from .messenger import Messenger
from .still import still
from .story import OVER, Story

_SHOWN: weakref.WeakSet["Cockpit"] = weakref.WeakSet()
STILL_EACH = 20  # drawing the still takes at most one part in so many of the time
PLAYS = ("play", "pause", "seek", "speed")
NEEDED = ("events", "groups", "status", "step", "steps", "can", "send", "start")


def _load_peft() -> None:
    """Import peft before it is needed, since that takes seconds."""
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import_module("peft")


def _before_cell(info: Any) -> None:
    """Give the main thread all its CPU threads back if no run is training."""
    CORES.reclaim()
    for cockpit in list(_SHOWN):
        cockpit._messenger.attend(True)


def _after_cell(result: Any) -> None:
    for cockpit in list(_SHOWN):
        cockpit._messenger.attend(False)


def _hint() -> str:
    """A hint for ipykernel below version 7, which processes clicks only between cells."""
    shell = get_ipython()
    if not hasattr(shell, "kernel"):
        return ""
    import ipykernel

    if ipykernel.version_info[0] >= 7:
        return ""
    return (
        f"This kernel is ipykernel {ipykernel.__version__}: clicks wait while a cell runs, also while "
        "one awaits the run. Run no cells while you steer, or install ipykernel 7."
    )


class Cockpit(Kept):
    """Shows a run and lets you steer it. As the last line of a cell it displays itself and starts the
    run; the cell returns at once. A run may have several cockpits, even after its end.

    Clicks are custom messages, not traits: in ipykernel 7.4, trait sync from the browser stops for good
    once a cell has awaited; custom messages still work. The one trait, `saved`, is for notebooks that
    are opened later, when no kernel answers. kept: its cell has another run now. record: a sentence that
    says where the record of a run that was steered here is kept.
    """

    _esm = bundle()
    _css = stylesheet()
    saved = traitlets.Dict().tag(sync=True)
    kept = traitlets.Bool(False).tag(sync=True)
    record = traitlets.Unicode().tag(sync=True)

    def __init__(self, run: Steerable) -> None:
        if missing := [name for name in NEEDED if not hasattr(run, name)]:
            raise CommandError(
                f"A cockpit needs a Session (or a loop under steer, or a recording), not {run!r}, "
                f"which has no {', '.join(missing)}."
            )
        story = Story(run, _hint())
        super().__init__(saved=story.compact())
        self._begin(run, story)
        self._shown = False
        self.on_msg(self._hear)
        run.start()
        self._messenger.wake()
        if shell := get_ipython():  # repeated registration has no effect
            shell.events.register("pre_run_cell", _before_cell)
            shell.events.register("post_run_cell", _after_cell)

    def _begin(self, run: Steerable, story: Story) -> None:
        self.run = run
        self._messenger = Messenger(story, self._tell, self._save, self._picture)
        self._drawn = ("", 0.0)  # the status in the last still, and when the next is due
        self._file = Path.cwd() / "records" / f"by-hand-{datetime.now():%Y-%m-%d-%H%M%S-%f}.jsonl"
        self._recorded = (0, False)  # how many changes by hand the file has, and whether the end

    def follow(self, run: Steerable) -> None:
        """Show this run from now on."""
        self._messenger.close()
        self._begin(run, Story(run, _hint()))
        self.record = ""
        self.send({"type": "again"})  # a view that is still open wants everything anew

    def keep(self) -> "Cockpit | None":
        """Another cockpit that keeps the run, if it was steered here."""
        self._messenger.close()
        self._messenger.story.read()
        if not self._hands():
            return None
        self._save_record()
        cells.hold(self.run)
        other = Cockpit(self.run)
        other.kept, other.record, other._file = True, self.record, self._file
        return other

    def __repr__(self) -> str:
        steps = self.run.steps
        return "Cockpit of a run" + (f" of {steps} steps" if steps else "")

    def _ipython_display_(self, **_: Any) -> None:
        # display_data with an id, so that a picture can be added later if there is no browser.
        display(self._bundle(), raw=True, display_id=self._display_id)
        self._shown = True
        _SHOWN.add(self)
        for other in cells.shown(self):
            display(other._bundle(), raw=True)
            _SHOWN.add(other)

    def close(self) -> None:
        """Take the cockpit away. The run goes on."""
        if messenger := getattr(self, "_messenger", None):  # a cockpit that was refused has none
            messenger.close()
        _SHOWN.discard(self)
        super().close()

    @property
    def _display_id(self) -> str:
        return f"tlcourse-cockpit-{self.id}"

    def _bundle(self) -> dict[str, Any]:
        return {"text/plain": repr(self), **self.view()}

    # -- from views: only enqueue, so that clicks never block ----------------------------------

    def _hear(self, _: Any, content: dict[str, Any], buffers: list[memoryview]) -> None:
        if content.get("type") == "hello":
            self._messenger.post({"type": "hello", "view": content.get("view")})
        elif content.get("type") == "command":
            self._steer(content.get("command"), content.get("id"))
        elif content.get("type") == "player":
            self._play(content.get("action"), content.get("value"))
        elif content.get("type") == "let go":
            cells.let_go(self)
        elif content.get("type") == "soon":
            Thread(target=_load_peft, name="tlcourse-peft", daemon=True).start()

    def _steer(self, message: Any, id: str | None) -> None:
        try:
            self.run.send(from_json(message), id)
        except CommandError as refusal:
            post = {"type": "refused", "command": message, "id": id, "reason": str(refusal)}
        else:
            post = {"type": "expect", "id": id}
            look_again(self.run)
        self._messenger.post(post)

    def _play(self, action: Any, value: Any) -> None:
        """Control the player of a recording. Nothing trains, so nothing is recorded."""
        if getattr(self.run, "player", None) is None or action not in PLAYS:
            return
        move = getattr(self.run, action)
        if action in ("seek", "speed"):
            if isinstance(value, int | float) and not isinstance(value, bool):
                move(value)
        else:
            move()
        self._messenger.wake()

    # -- to views, from the messenger's thread -------------------------------------------------

    def _tell(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self.send(content, buffers)

    def _save(self, state: dict[str, Any]) -> None:
        began, status = monotonic(), state["now"]["status"]
        with self.hold_sync():
            self.saved = state
            if status != self._drawn[0] or began >= self._drawn[1]:
                self.still = still(self._messenger.story)
                self._drawn = (status, monotonic() + STILL_EACH * (monotonic() - began))
            self._save_record()

    def _hands(self) -> int:
        """How often the run was changed in a cockpit: clicks alone have an id."""
        return sum(
            bool(note["ok"] and note["id"] and (note["marked"] or note["kind"] == "save"))
            for note in self._messenger.story.notes
            if note["kind"] != "stop"
        )

    def _save_record(self) -> None:
        """After each change by hand, and at the end: what was done is not lost with the kernel."""
        now = (self._hands(), self.run.status in OVER)
        if not now[0] or now == self._recorded or not hasattr(self.run, "record"):
            return
        try:
            self.run.record.save(self._file)
        except RecordError as error:
            self.record = f"What you did is not kept. {error}"
        else:
            self._recorded = now
            self.record = f"What you did is kept in {self._file.parent.name}/{self._file.name}"

    def _picture(self, story: Story) -> None:
        """If no browser has this cockpit (nbclient), a picture takes its place in the output: a web page
        made from that notebook would show a widget only with a network."""
        if self._shown and not self.browser:
            picture = {"text/plain": repr(self), "image/svg+xml": still(story)}
            update_display(picture, raw=True, display_id=self._display_id)
