"""Run a record again, without a hand, and say whether the same comes out."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlcourse.data import Data, load_data
from tlcourse.errors import RecordError, TLCourseError
from tlcourse.models import load_model

from .inbox import Envelope
from .recipe import Recipe
from .record import Record, outcome_of
from .session import Session
from .training import Term

TOLERANCE = 0.02  # other hardware: relative difference of losses that still counts as agreement


@dataclass(frozen=True, slots=True)
class Replay:
    """exact: same bits; agrees: exact, or within `TOLERANCE` where the hardware differs."""

    run: Session
    exact: bool
    agrees: bool
    text: str


def replay(
    record: Record | str | Path,
    *,
    model: nn.Module | None = None,
    data: Data | None = None,
    terms: Mapping[str, Term] | None = None,
) -> Replay:
    """Do again what a record says and compare the outcome.

    model, data, terms: what the run started from, for records of models or data that `load_model` and
    `load_data` cannot make again. Raises RecordError when the record cannot be run.
    """
    if not isinstance(record, Record):
        record = Record.load(record)
    header = record.header
    model = _again(load_model, header, "model") if model is None else model
    data = _again(load_data, header, "data") if data is None else data
    told = header.get("recipe", {})
    known = {f.name: told.get(f.name, f.default) for f in fields(Recipe)}
    if missing := [name for name, value in known.items() if value is None or value is MISSING]:
        raise RecordError(f"The record's recipe lacks {', '.join(missing)}; it cannot be replayed.")
    threads_before = torch.get_num_threads()
    torch.set_num_threads(header.get("threads") or threads_before)
    try:
        run = Session(model, data, device=_device(header), terms=terms, **known)
        if run.record.header["weights_sha256"] != header.get("weights_sha256"):
            raise RecordError(
                "The model does not start from the recorded weights; give replay() the model as it "
                "was before that run."
            )
        for tick, command in record.commands:
            run._inbox.plan(tick, Envelope(command))
        run._inbox.alone = True
        run.run()
    finally:
        torch.set_num_threads(threads_before)
    return _compare(record, run)


def _again(load: Any, header: dict[str, Any], what: str) -> Any:
    recipe = header.get(what)
    try:
        if not recipe or "name" not in recipe:
            raise RecordError("it does not say which")
        return load(**recipe)
    except (TLCourseError, TypeError) as error:
        raise RecordError(
            f"The record's {what} cannot be made again ({error}); give it to replay({what}=…)."
        ) from error


def _device(header: dict[str, Any]) -> str:
    device = header.get("device", "cpu")
    return device if device == "cpu" or torch.cuda.is_available() else "cpu"


def _compare(record: Record, run: Session) -> Replay:
    was, now = record.outcome, outcome_of(run.events, run.result.reason)
    if was is None:
        return Replay(run, False, False, "The record has no outcome to compare with.")
    if was == now:
        return Replay(run, True, True, f"Agrees, bit for bit, over {now['steps']} steps.")
    here, there = run.record.header, record.header
    same_place = all(here.get(k) == there.get(k) for k in ("versions", "machine", "device"))
    if was["steps"] != now["steps"] or was["losses_every"] != now["losses_every"]:
        text = f"Differs: {was['steps']} steps were recorded, {now['steps']} were taken."
        return Replay(run, False, False, text)
    worst, where = 0.0, 0
    for index, (a, b) in enumerate(zip(was["losses"], now["losses"], strict=True)):
        if a is None or b is None:
            gap = 0.0 if a is b else float("inf")
        else:
            gap = abs(a - b) / max(abs(a), abs(b), 1e-3)
        if gap > worst:
            worst, where = gap, index * was["losses_every"] + 1
    agrees = worst <= TOLERANCE and not same_place
    told = f"losses differ by up to {worst:.2%}, most at step {where}"
    if same_place:
        text = f"Differs, on the same kind of machine where it should not: {told}."
    elif agrees:
        text = f"Agrees within {TOLERANCE:.0%} on other hardware or versions: {told}."
    else:
        text = f"Differs by more than {TOLERANCE:.0%}, on other hardware or versions: {told}."
    return Replay(run, False, agrees, text)
