"""Events in the JSON that views keep of them."""

import math
from typing import Any

from tlcourse.session.commands import Rewind
from tlcourse.session.events import Applied, Evaluated, Metered, Moved, Norms, Refused, Warned

from .words import asked, code, done

Note = dict[str, Any]


def applied(event: Applied, from_step: int, from_branch: str) -> Note:
    """from_…: where the run was; a rewind went back from there."""
    note = _note(event, done(event), True, from_step)
    note |= {"before": event.trainable_before, "after": event.trainable_after}
    if isinstance(event.command, Rewind):
        note |= {"from_step": from_step, "from_branch": from_branch}
    return note


def refused(event: Refused) -> Note:
    text = asked(event.command.to_json())
    return _note(event, text, False, event.step) | {"reason": event.reason}


def warned(event: Warned) -> Note:
    return {
        "tick": event.tick, "step": event.step, "branch": event.branch, "ok": True, "kind": "warned",
        "group": None, "command": {}, "code": "", "text": event.text, "id": None,
    }  # fmt: skip


def _note(event: Applied | Refused, text: str, ok: bool, at: int) -> Note:
    command = event.command
    return {
        "tick": event.tick,
        "step": event.step,
        "branch": event.branch,
        "ok": ok,
        "kind": command.kind,
        "group": getattr(command, "group", None),
        "command": command.to_json(),
        "code": f"run.at({at}, {code(command)})",
        "text": text,
        "id": event.id,
    }


def measured(event: Evaluated | Metered) -> dict[str, Any]:
    """A meter's reading stands as the accuracy of a split "meter" with a name."""
    when = {"tick": event.tick, "step": event.step, "branch": event.branch}
    if isinstance(event, Metered):
        return when | {
            "split": "meter", "name": event.name, "accuracy": finite(event.value), "loss": None
        }  # fmt: skip
    accuracy, loss = finite(event.accuracy), finite(event.loss)
    return when | {"split": event.split, "accuracy": accuracy, "loss": loss}


def moved(event: Moved) -> dict[str, Any]:
    far = {name: finite(value) for name, value in event.moved.items()}
    return {"since": event.since, "tick": event.tick, "moved": far}


def norms(event: Norms) -> dict[str, Any]:
    return {
        "tick": event.tick,
        "step": event.step,
        "branch": event.branch,
        "grad": {name: finite(value) for name, value in event.grad.items()},
        "moved": {name: finite(value) for name, value in event.moved.items()},
    }


def rates(tick: int, step: int, branch: str, lrs: dict[str, float]) -> dict[str, Any]:
    return {"tick": tick, "step": step, "branch": branch, "lrs": dict(lrs)}


def turned(last: dict[str, Any], event: Norms) -> list[dict[str, Any]]:
    """Rates that a schedule has turned: worth a point once one is off by 1/50 of the highest."""
    now = event.lrs or {}
    far = max(now.values(), default=0.0) / 50
    if any(abs(rate - last["lrs"].get(name, 0.0)) > far for name, rate in now.items()):
        return [rates(event.tick, event.step, event.branch, now)]
    return []


def finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None
