"""Decides when to save a run, and writes one save at a time in a background thread."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from tlcourse.data import Data
from tlcourse.errors import CommandError, SessionError

from ..commands import Command
from ..engine.inbox import Inbox
from ..engine.training import Training
from ..eventlog import EventLog
from ..events import Event, Finished, Warned
from ..record.lines import Writer
from ..record.record import Record
from ..timelines.snapshot import buffers_of
from . import folder as disk
from .checkpoint import Checkpoint, gather

if TYPE_CHECKING:
    from ..session import Session

FORMAT = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    checkpoint: Checkpoint
    header: dict[str, Any]
    events: int  # how many to save
    last: Finished | None


@dataclass(slots=True)
class Autosave:
    """The training thread gathers the state (as cheap as a snapshot), another thread writes it. If a
    save is still being written when the next is due, the next waits; training never does.

    header, events, inbox: the run's own, not copies. good: saves known to be valid, oldest first.
    """

    folder: Path
    every_s: float
    header: dict[str, Any]
    events: EventLog
    data: Data
    inbox: Inbox
    good: list[Path] = field(default_factory=list)
    _next: float = 0.0
    _seen: int = -1  # events at the last gathering
    _job: _Job | None = None
    _writing: bool = False
    _change: threading.Condition = field(default_factory=threading.Condition)
    _writer: Writer = field(default_factory=Writer)
    _data_sha256: str = ""
    _trouble: str | None = None
    _told: bool = False

    # -- in the training thread ----------------------------------------------------------------

    def around(self, t: Training, events: Iterator[Event]) -> Iterator[Event]:
        """Pass on the engine's events while holding the folder's lock. The last save is written before
        the last event. Raises SessionError if another run is saving there."""
        try:
            lock = _locked(self.folder)
        except Timeout:
            raise SessionError(_taken(self.folder)) from None
        except OSError as error:
            lock, self._trouble = None, _cannot(self.folder, error)
        try:
            for event in events:
                if isinstance(event, Finished):
                    self._put(t, event.seconds, event)
                    self._drain()
                    yield from self._news(t)
                yield event
        finally:
            self._drain()
            if lock:
                lock.release()

    def between(self, t: Training) -> Iterator[Warned]:
        """Between two steps: save if it is time, and yield warnings."""
        now = perf_counter()
        held = t.paused and len(self.events) != self._seen  # the pause may last for hours
        if held or (now >= self._next and self._job is None):
            self._put(t, t.seconds + now - t.began)
            self._next = now + self.every_s
        yield from self._news(t)

    def _drain(self) -> None:
        """Wait until nothing is being written."""
        with self._change:
            self._change.wait_for(lambda: not self._writing)

    def _put(self, t: Training, seconds: float, last: Finished | None = None) -> None:
        self._seen = len(self.events)
        kept = gather(t, self.inbox, seconds, last and last.reason)
        with self._change:
            self._job = _Job(kept, dict(self.header), self._seen, last)
            if not self._writing:
                self._writing = True
                threading.Thread(target=self._work, name="tlcourse-autosave", daemon=True).start()

    def _news(self, t: Training) -> Iterator[Warned]:
        """One warning when saving starts to fail; none while it keeps failing."""
        trouble, told = self._trouble, self._told
        self._told = trouble is not None
        if trouble and not told:
            yield Warned(t.tick, t.step, t.branch, trouble)

    # -- in the writing thread -----------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._change:
                job, self._job = self._job, None
                if job is None:
                    self._writing = False
                    self._change.notify_all()
                    return
            try:
                self._write(job)
                self._trouble = None
            except OSError as error:
                self._trouble = _cannot(self.folder, error)
            except Exception as error:  # a bug here must not end the training
                self._trouble = f"The run could not be saved to {self.folder}: {error!r}."

    def _write(self, job: _Job) -> None:
        self._data_sha256 = self._data_sha256 or data_sha256(self.data)
        events = self.events.head(job.events)
        if job.last:
            events.append(job.last)
        state = {"tlcourse_autosave": FORMAT, "every_s": self.every_s} | job.checkpoint.state
        texts = {
            "state.json": [json.dumps(state | {"data_sha256": self._data_sha256}, default=_plain)],
            "record.jsonl": Record(job.header, events).lines(self._writer),
        }
        tensors = job.checkpoint.tensors | _losses(events)
        self.good = [*self.good[-1:], disk.write(self.folder, texts, tensors)]
        disk.clean(self.folder, keep=self.good)


def _losses(events: EventLog) -> dict[str, Tensor]:
    """Of every step: a record may thin out the losses, an autosave must not."""
    columns = {"loss": events.losses}
    columns |= {f"term {n}": events.term(name) for n, name in enumerate(events.terms)}
    return {f"steps/{name}": torch.from_numpy(values.copy()) for name, values in columns.items()}


def put_losses(events: EventLog, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `_losses` returned. Raises KeyError for tensors of another run."""
    events.fill(tensors["steps/loss"].numpy())
    for number, name in enumerate(events.terms):
        events.fill(tensors[f"steps/term {number}"].numpy(), name)


def save_to(run: "Session", folder: Path, every_s: float, *good: Path) -> None:
    """Autosave from the next step on. Only rank 0 saves: all ranks are in the same state."""
    t = run._training
    for name, tensor in (*t.model.named_parameters(), *buffers_of(t.model).items()):
        if reason := disk.why_not_saved(tensor):
            raise CommandError(f"autosave= cannot hold {name}, which {reason}; leave it out.")
    if t.ranks is None or t.ranks.leads:
        mine = (run._header, run.events, run.data, run._inbox)
        t.autosave = Autosave(folder, every_s, *mine, list(good))


def check_folder(folder: Path) -> None:
    """Refuse a folder with an unfinished run, or one that another run is writing to."""
    with suppress(OSError):
        try:
            _locked(folder).release()
        except Timeout:
            raise CommandError(_taken(folder)) from None
    for save in disk.saves(folder)[:1]:
        try:
            state = json.loads((save / "state.json").read_text(encoding="utf-8"))
            ending, step = state["ending"], state["run"]["step"]
        except (OSError, ValueError, KeyError, TypeError):
            ending, step = None, "?"
        if ending is None:
            raise CommandError(
                f"{folder} holds an unfinished run (at step {step}). To continue it: "
                f"tl.resume({str(folder)!r}). To start over, delete that folder or choose another."
            )


def data_sha256(data: Data) -> str:
    """Hash of the training split; for images that are read on demand, of their names and labels."""
    digest = hashlib.sha256("\n".join(data.train.ids).encode())
    for tensor in (data.train.x, data.train.y):
        if not isinstance(tensor, Tensor):
            continue
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(disk.raw(tensor.contiguous()))
    return digest.hexdigest()


def _locked(folder: Path) -> FileLock:
    """The operating system releases the lock when its process dies, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0, thread_local=False)
    lock.acquire()
    return lock


def _taken(folder: Path) -> str:
    return (
        f"Another run is saving to {folder} now. Stop that run first, or choose another folder for this "
        "one."
    )


def _cannot(folder: Path, error: OSError) -> str:
    return (
        f"The run could not be saved to {folder}: {error.strerror or error}. The previous save is "
        "intact, training continues, and the next save will be tried on schedule."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Command):
        return value.to_json()
    raise TypeError(f"{value!r} is not JSON")
