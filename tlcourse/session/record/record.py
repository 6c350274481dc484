"""The record of a run: what it was made of, what was done to it and when, and what came out.

JSONL, so that it can be read, mailed and diffed: a header line, one line for each applied command
(`tick` and the command), and an outcome line once the run is over. A record and the recipe in its
header determine the run; `replay.py` runs it again and compares.
"""

import hashlib
import json
import math
import os
import platform
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlcourse import __version__
from tlcourse.errors import CommandError, RecordError

from ..commands import Command, from_json
from ..events import Applied, Evaluated, Event, Finished, Metered, Moved, Refused, StepDone, Warned
from ..recipe import Recipe
from .header import (
    LARGEST,
    call_of,
    check_header,
    check_outcome,
    check_plain,
    loss_name,
    printable,
    shown,
    whole,
)

FORMAT = 1
LOSSES_KEPT = 1000  # a longer curve is thinned to about so many points


@dataclass(slots=True)
class Record:
    """header: JSON-able; commands: (tick, command) in order; outcome: None while the run goes on."""

    header: dict[str, Any]
    commands: list[tuple[int, Command]] = field(default_factory=list)
    outcome: dict[str, Any] | None = None

    def lines(self) -> list[str]:
        rows: list[dict[str, Any]] = [{"tlcourse_record": FORMAT} | self.header]
        rows += [{"tick": tick, "command": done.to_json()} for tick, done in self.commands]
        if self.outcome is not None:
            rows.append({"outcome": self.outcome})
        return [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]

    def save(self, path: str | Path) -> Path:
        """Write it whole or not at all. Makes the folder. Returns the path."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write("\n".join(self.lines()) + "\n")
                os.replace(partial, path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise RecordError(
                f"The record could not be written to {path}: {error.strerror or error}. "
                "Choose a folder that you can write to; the run still holds its record."
            ) from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Record":
        """Read a saved record. Raises RecordError that names the line at fault."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path} cannot be read as a record: {error}.") from None
        return cls.read(text, str(path))

    @classmethod
    def read(cls, text: str, path: str) -> "Record":
        """Of a record's text. path: where it stood, to name it."""
        record: Record | None = None
        for number, line in enumerate(text.split("\n"), start=1):  # names may hold other separators
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise RecordError(f"a line is a JSON object, not {shown(row)}.")
                check_plain(row)
                if record is None:
                    record = cls(_header(row))
                elif "outcome" in row:
                    record.outcome = check_outcome(row["outcome"])
                else:
                    before = record.commands[-1][0] if record.commands else 0
                    record.commands.append((_tick(row, before), from_json(row.get("command"))))
            except (ValueError, RecursionError, RecordError, CommandError) as error:
                says = printable(f"{path}, line {number} is not a record's: {error}")
                raise RecordError(says) from None
        if record is None:
            raise RecordError(f"{path} is empty; a record begins with a header line.")
        return record


def _header(row: dict[str, Any]) -> dict[str, Any]:
    if "tlcourse_hand" in row:
        raise RecordError(
            "this is a lesson's recorded hand, a plan at shares of a run, and no run's record."
        )
    if "tlcourse_record" not in row:
        raise RecordError("the first line must be a header with tlcourse_record.")
    if row["tlcourse_record"] != FORMAT:
        raise RecordError(
            f"format {shown(row['tlcourse_record'])} was written by another version; this one reads "
            f"{FORMAT}."
        )
    return check_header({key: value for key, value in row.items() if key != "tlcourse_record"})


def _tick(row: dict[str, Any], before: int) -> int:
    tick = row.get("tick")
    if not whole(before).fits(tick):
        raise RecordError(f"tick is a step count from {before} to {LARGEST}, not {shown(tick)}.")
    return tick


def record_of(header: dict[str, Any], events: list[Event]) -> Record:
    """events: of the run so far; those of a finished run give the outcome."""
    outcome = None
    if events and isinstance(finished := events[-1], Finished):
        header = header | {"seconds": finished.seconds}
        outcome = outcome_of(events, finished.reason)
    return Record(dict(header), commands_of(events), outcome)


def commands_of(events: list[Event]) -> list[tuple[int, Command]]:
    return [(event.tick, event.command) for event in events if isinstance(event, Applied)]


def outcome_of(events: list[Event], reason: str) -> dict[str, Any]:
    """What a replay is compared with: the loss curve's exact hash and (thinned) values, and every
    evaluation. Losses that are not finite are written as null."""
    events = _without_endings_gone_on_from(events)
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    every = max(1, math.ceil(len(losses) / LOSSES_KEPT))
    return {
        "reason": reason,
        "steps": len(losses),
        "losses_sha256": hashlib.sha256(np.asarray(losses, dtype="<f8").tobytes()).hexdigest(),
        "losses_every": every,
        "losses": [_finite(loss) for loss in losses[::every]],
        "evaluations": [
            [event.tick, event.split, _finite(event.accuracy), _finite(event.loss)]
            for event in events
            if isinstance(event, Evaluated)
        ],
    }


def _without_endings_gone_on_from(events: list[Event]) -> list[Event]:
    """A run that was rewound after its end was measured at that end; its replay knows what comes and
    is not. So those measurements are left out."""
    kept: list[Event] = []
    for event in events[:-1]:
        if isinstance(event, Finished):
            while kept and isinstance(kept[-1], Evaluated | Metered | Refused | Moved | Warned):
                kept.pop()
        else:
            kept.append(event)
    return [*kept, *events[-1:]]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def environment(device: str, threads: int) -> dict[str, Any]:
    """The part of the header that says where this ran; other bits are to be expected elsewhere."""
    return {
        "versions": {
            "tlcourse": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": threads,
    }


def header_of(
    model: Any,
    parts: dict[str, list[str]] | None,
    data: Any,
    recipe: Recipe,
    loss: Any,
    device: str,
    keep_mb: float,
    ranks: int,
) -> dict[str, Any]:
    """What a run is made of, before its first step."""
    return environment(device, torch.get_num_threads()) | {
        "model": call_of(model),
        "parts": parts,
        "data": call_of(data),
        "recipe": recipe.to_json(),
        "loss": loss_name(loss),
        "keep_mb": keep_mb,
        "ranks": ranks,
        "weights_sha256": weights_sha256(model),
    }


def weights_sha256(model: torch.nn.Module) -> str:
    """One hash over every parameter and buffer, by name, so that a replay knows it starts alike."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
