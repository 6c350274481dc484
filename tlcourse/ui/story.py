"""What a view must know of a run, folded from its events: once, a little at a time, cheaply.

A step costs one comparison and one append. Everything is JSON (no NaN, which is not JSON) but the
losses, which travel as float32: loss i belongs to tick i + 1.
"""

import math
from array import array
from collections import deque
from time import perf_counter
from typing import Any

import numpy as np

from tlcourse.session import Applied, Evaluated, Failed, Finished, Moved, Refused, Session, StepDone

from .words import asked, done

SPEED_WINDOW_S = 4.0
STEERING = ("set_lr", "freeze", "unfreeze", "augment")  # what `Moved` can answer
OVER = ("finished", "stopped", "failed")


class Story:
    """Not thread-safe: one thread reads the run and tells it on."""

    def __init__(self, run: Session) -> None:
        self.run = run
        self.losses = array("f")
        self.evals: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.movement: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self.groups = _groups(run)
        self._lost: int | None = None  # the tick since which the loss is no number
        self._seen = 0
        self._status = run.status
        self._seconds: float | None = None
        self._began = perf_counter()
        self._pace: deque[tuple[float, int]] = deque()

    def read(self) -> dict[str, Any] | None:
        """Take in what has happened since the last call and tell it as a `delta` (losses apart, as
        `from` … end of `losses`); None if nothing has."""
        status = self.run.status  # before the events: once it says "over", all of them are there
        events = self.run.events
        new = events[self._seen :]
        self._seen += len(new)
        start, evals, notes, moved = len(self.losses), [], [], []
        touched = False
        for event in new:
            if type(event) is StepDone:  # first: nearly all are
                if event.tick > len(self.losses) + 1:  # a tick without a loss: a gap in the curve
                    self.losses.extend([math.nan] * (event.tick - len(self.losses) - 1))
                self.losses.append(event.loss)
                if math.isfinite(event.loss):
                    self._lost = None
                elif self._lost is None:
                    self._lost = event.tick
            elif isinstance(event, Applied):
                notes.append(_applied(event))
                touched = True
            elif isinstance(event, Refused):
                notes.append(_refused(event))
            elif isinstance(event, Evaluated):
                evals.append(_evaluated(event))
            elif isinstance(event, Moved):
                moved.append(_moved(event))
            elif isinstance(event, Finished):
                self._seconds = event.seconds
            elif isinstance(event, Failed):
                self.error = {"message": event.error, "traceback": event.traceback}
        if touched:
            self.groups = _groups(self.run)
        self.evals += evals
        self.notes += notes
        for movement in moved:
            self._fasten(movement)
        self._measure(status)
        if not new and status == self._status:
            return None
        self._status = status  # news also without an event: "finished" comes just after `Finished`
        groups = self.groups if touched else None
        return self.delta(start, status, groups=groups, evals=evals, notes=notes, moved=moved)

    def delta(self, start: int, status: str | None = None, **news: Any) -> dict[str, Any]:
        """The message that brings a view from loss `start` on up to now."""
        nothing = {"groups": None, "evals": [], "notes": [], "moved": [], "error": self.error}
        return {"type": "delta", "from": start, "state": self.now(status), **nothing, **news}

    def answers_wait(self) -> bool:
        """Whether a command has been applied or refused since the last `read`."""
        return any(isinstance(e, Applied | Refused) for e in self.run.events[self._seen :])

    def refuse(self, command: Any, id: str | None, reason: str) -> dict[str, Any]:
        """A note for what was refused before it reached the run. Kept, so that late views see it."""
        note = {
            "tick": len(self.losses),
            "step": self.run.step,
            "ok": False,
            "kind": str(command.get("kind")) if isinstance(command, dict) else "?",
            "group": command.get("group") if isinstance(command, dict) else None,
            "text": asked(command),
            "id": id,
            "reason": reason,
        }
        self.notes.append(note)
        return note

    def now(self, status: str | None = None) -> dict[str, Any]:
        """Where the run is. speed: steps/s over the last seconds; eta, seconds: s; lost: the
        step since which the loss is no number."""
        status = status or self.run.status
        total, step = self.run.recipe.steps, self.run.step
        speed = self._speed() if status == "running" else None
        seconds = self._seconds
        if seconds is None:
            seconds = 0.0 if status == "ready" else perf_counter() - self._began
        return {
            "status": status,
            "step": step,
            "tick": len(self.losses),
            "total": total,
            "speed": speed,
            "eta": (total - step) / speed if speed else None,
            "seconds": seconds,
            "lost": self._lost,
            "augment": self.run.augment if self.run.data.train.x.ndim == 4 else None,
        }

    def snapshot(self) -> dict[str, Any]:
        """All but the losses."""
        return {
            "title": f"{self.run.recipe.steps} steps",
            "now": self.now(),
            "groups": self.groups,
            "evals": self.evals,
            "notes": self.notes,
            "movement": self.movement,
            "error": self.error,
        }

    def compact(self, points: int = 800) -> dict[str, Any]:
        """All in plain JSON, the curve thinned: what is saved in the notebook (some 15 kB)."""
        x, y = thin(np.frombuffer(self.losses, dtype=np.float32), points)
        curve = {"x": x.tolist(), "y": [_finite(float(f"{v:.4g}")) for v in y]}
        return {**self.snapshot(), "notes": self.notes[-200:], "loss": curve}

    def _fasten(self, movement: dict[str, Any]) -> None:
        self.movement = movement
        for note in reversed(self.notes):  # the last command of that tick that can have caused it
            if note["ok"] and note["tick"] == movement["since"] and note["kind"] in STEERING:
                note["moved"] = movement["moved"]
                return

    def _measure(self, status: str) -> None:
        if status != "running":
            self._pace.clear()
            return
        now = perf_counter()
        self._pace.append((now, len(self.losses)))
        while now - self._pace[0][0] > SPEED_WINDOW_S:
            self._pace.popleft()

    def _speed(self) -> float | None:
        if len(self._pace) < 2:
            return None
        (t0, n0), (t1, n1) = self._pace[0], self._pace[-1]
        return (n1 - n0) / (t1 - t0) if n1 > n0 and t1 - t0 > 0.2 else None


def thin(y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """(ticks, values) of at most `points` of the curve: the lowest and highest of each stretch."""
    n = len(y)
    if n <= points:
        return np.arange(1, n + 1), y.copy()  # a copy: the losses may not grow under a view of them
    edges = np.linspace(0, n, points // 2 + 1).astype(int)
    keep: set[int] = {0, n - 1}
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        part = y[low:high]
        if np.isfinite(part).any():
            keep |= {low + int(np.nanargmin(part)), low + int(np.nanargmax(part))}
    at = np.array(sorted(keep))
    return at + 1, y[at]


def _groups(run: Session) -> list[dict[str, Any]]:
    return [
        {"name": g.name, "parameters": g.parameters, "trainable": g.trainable, "lr": g.lr}
        for g in run.groups
    ]


def _applied(event: Applied) -> dict[str, Any]:
    return _note(event, done(event), True) | {
        "before": event.trainable_before,
        "after": event.trainable_after,
    }


def _refused(event: Refused) -> dict[str, Any]:
    return _note(event, asked(event.command.to_json()), False) | {"reason": event.reason}


def _note(event: Applied | Refused, text: str, ok: bool) -> dict[str, Any]:
    return {
        "tick": event.tick,
        "step": event.step,
        "ok": ok,
        "kind": event.command.kind,
        "group": getattr(event.command, "group", None),
        "text": text,
        "id": event.id,
    }


def _evaluated(event: Evaluated) -> dict[str, Any]:
    return {
        "tick": event.tick,
        "split": event.split,
        "accuracy": _finite(event.accuracy),
        "loss": _finite(event.loss),
    }


def _moved(event: Moved) -> dict[str, Any]:
    moved = {name: _finite(value) for name, value in event.moved.items()}
    return {"since": event.since, "tick": event.tick, "moved": moved}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
