"""The record of a run: what it was made of, and everything that happened in it.

JSONL, so that it can be read, mailed and diffed: a header line, then the run's events in order,
with the losses of a long run thinned out (`lines.py`). The recipe in the header and the commands
determine the run; `replay.py` runs it again and compares.
"""

import hashlib
import json
import math
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlcourse import __version__
from tlcourse.errors import CommandError, RecordError
from tlcourse.files import write_atomically
from tlcourse.models.inspection import weights_sha256
from tlcourse.schema import printable, shown

from ..commands import Command
from ..eventlog import EventLog
from ..events import (
    Applied,
    Evaluated,
    Event,
    Finished,
    Metered,
    Moved,
    Refused,
    Warned,
)
from ..recipe import Recipe
from ..state import RunState, state_from_json
from . import format1
from .lines import STEPS_READ, Reader, Writer
from .schema import call_of, check_header, check_plain, loss_name, need

FORMAT = 2
AT_THE_END = (Evaluated, Metered, Refused, Moved, Warned)  # events just before Finished
LOSSES_KEPT = 1000  # a longer curve is thinned to about this many points


@dataclass(slots=True)
class Record:
    """header: JSON-able; events: what happened, in order; for a long run read from a file, losses
    between those kept are interpolated. losses_every: every n-th loss is kept; losses_sha256: hash of
    all the run's losses, None if the record holds none; complete: whether each `Applied` holds the
    state after it, as in every format but 1."""

    header: dict[str, Any]
    events: EventLog = field(default_factory=EventLog)
    losses_every: int = 1
    losses_sha256: str | None = None
    complete: bool = True

    @property
    def commands(self) -> list[tuple[int, Command]]:
        """(tick, command) as applied, in order."""
        return commands_of(event for _, event in self.events.others)

    @property
    def began(self) -> RunState:
        """The state before the first step. Raises RecordError if the header does not say."""
        if not self.complete:
            return format1.began_of(self.header)
        need(self.header, "began")
        return state_from_json(self.header["began"])

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What a replay is compared with, or None while the run goes on: reason, steps (in total),
        losses (every losses_every-th), losses_sha256, evaluations [tick, split, metrics]."""
        if not len(self.events) or not isinstance(end := self.events[-1], Finished):
            return None
        losses = self.events.losses
        return {
            "reason": end.reason,
            "steps": len(losses),
            "losses_sha256": self.losses_sha256,
            "losses_every": self.losses_every,
            "losses": [_finite(loss) for loss in losses[:: self.losses_every].tolist()],
            "evaluations": [
                [event.tick, event.split, {k: _finite(v) for k, v in event.metrics.items()}]
                for event in _compared(self.events)
            ],
        }

    def lines(self, writer: Writer | None = None) -> list[str]:
        """The lines of the file. writer: for a run that is written repeatedly."""
        header = {"tlcourse_record": FORMAT} | self.header
        if self.losses_sha256:
            header["losses"] = {"every": self.losses_every, "sha256": self.losses_sha256}
        first = json.dumps(header, ensure_ascii=False, allow_nan=False)
        every = self.losses_every if self.losses_sha256 else None
        return [first, *(writer or Writer()).lines(self.events, every)]

    def save(self, path: str | Path) -> Path:
        """Write the file atomically, creating its folder. Returns the path."""
        path = Path(path)
        if not self.complete:
            raise RecordError(
                "A record of format 1 cannot be saved in format 2 as it is; run it again first: "
                "tl.replay(record).run.record.save(…)."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, ("\n".join(self.lines()) + "\n").encode())
        except OSError as error:
            raise RecordError(
                f"The record could not be written to {path}: {error.strerror or error}. "
                "Choose a folder that you can write to; the run still holds its record."
            ) from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Record":
        """Read a saved record. Raises RecordError naming the line at fault."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path} cannot be read as a record: {error}.") from None
        return cls.read(text, str(path))

    @classmethod
    def read(cls, text: str, path: str, at_most: int = STEPS_READ) -> "Record":
        """Parse a record's text. path: shown in errors; at_most: limit on the number of steps."""
        reader: Reader | format1.Reader | None = None
        header: dict[str, Any] = {}
        number = 0
        try:
            for line in text.split("\n"):  # names may hold other separators
                number += 1
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise RecordError(f"a line must be a JSON object, not {shown(row)}.")
                check_plain(row)
                if reader is None:
                    header, reader = _header(row, at_most)
                else:
                    reader.take(row)
            if reader is None:
                raise RecordError(f"{path} is empty; a record begins with a header line.")
            events = reader.finish()
        except (ValueError, RecursionError, RecordError, CommandError) as error:
            if reader is None and number == 0:
                raise
            raise RecordError(
                printable(f"{path}, line {number} is not valid in a record: {error}")
            ) from None
        losses = header.pop("losses", {})
        if isinstance(reader, format1.Reader):
            return cls(header, events, reader.losses_every, reader.losses_sha256, complete=False)
        return cls(header, events, losses.get("every", 1), losses.get("sha256"))


def _header(row: dict[str, Any], at_most: int) -> tuple[dict[str, Any], "Reader | format1.Reader"]:
    """The header, and the reader for the rows after it."""
    if "tlcourse_hand" in row:
        raise RecordError(
            "this is a lesson's recorded hand (commands at fractions of a run), not the record of a run."
        )
    if "tlcourse_record" not in row:
        raise RecordError("the first line must be a header with tlcourse_record.")
    number = row["tlcourse_record"]
    if number not in (1, FORMAT) or isinstance(number, bool):
        raise RecordError(
            f"format {shown(number)} was written by another version; this one reads 1 and {FORMAT}."
        )
    header = check_header({key: value for key, value in row.items() if key != "tlcourse_record"})
    if number == 1:
        header.pop("losses", None)
        return header, format1.Reader(header, at_most)
    return header, Reader(header.get("losses", {}).get("every"), at_most)


def record_of(header: dict[str, Any], events: EventLog) -> Record:
    """events: of the run so far."""
    log = events.head()
    losses = log.losses
    every = max(1, math.ceil(len(losses) / LOSSES_KEPT))
    sha256 = hashlib.sha256(np.asarray(losses, dtype="<f8").tobytes()).hexdigest()
    return Record(dict(header), log, every, sha256)


def commands_of(events: Iterable[Event]) -> list[tuple[int, Command]]:
    return [(event.tick, event.command) for event in events if isinstance(event, Applied)]


def _compared(events: EventLog) -> list[Evaluated]:
    """The evaluations that a replay repeats. A run that continued after its end was evaluated at that
    end; its replay, which knows that it continues, is not. So those are left out."""
    kept: list[tuple[int, Event]] = []
    for steps, event in events.others[:-1]:
        if isinstance(event, Finished):
            while kept and kept[-1][0] == steps and isinstance(kept[-1][1], AT_THE_END):
                kept.pop()
        else:
            kept.append((steps, event))
    return [event for _, event in kept if isinstance(event, Evaluated)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def environment(device: str, threads: int) -> dict[str, Any]:
    """The part of the header that says where the run took place; elsewhere, the last bits may differ."""
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
