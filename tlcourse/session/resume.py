"""Continue a run that was killed, from its latest valid autosave."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data
from tlcourse.errors import CommandError, RecordError
from tlcourse.schema import check

from .autosave import folder as disk
from .autosave.checkpoint import STATE, Checkpoint, put_back
from .autosave.saver import FORMAT, data_sha256, put_losses, save_to
from .engine.meters import Meter
from .engine.training import Term
from .events import Warned
from .model.user_optimizer import OptimizerFactory, SchedulerFactory
from .record import format1
from .record.record import Record
from .record.schema import LARGEST
from .replay import session_of
from .session import Session

WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, CommandError)
SAME = ("versions", "machine", "device")  # identical bits depend on these and on threads


def resume(
    folder: str | Path,
    *,
    model: nn.Module | None = None,
    data: Data | None = None,
    terms: Mapping[str, Term] | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    optimizer: OptimizerFactory | None = None,
    scheduler: SchedulerFactory | None = None,
    meters: Mapping[str, Meter] | None = None,
) -> Session:
    """The run that `Session(…, autosave=folder)` saved to `folder`, as it was at the last save.

    `start()`, `run()` or `wait()` continue the run as if nothing had happened, and save to the same
    folder: on the same machine with as many threads the same losses follow, bit for bit. A run that was
    over stays over, and takes Rewind and Branch. What happened after the last save, normally no more
    than the last `autosave_s` seconds, is lost.

    model, data: as they were before the run, if `load_model` and `load_data` cannot recreate them;
    terms, loss, optimizer, scheduler: the functions that the session was given; meters: any, since they
    change nothing. If a save is damaged, the one before it is used, with a warning that names the file
    at fault; `run.resumed_from` is the save that was used. Raises RecordError if there is no valid save,
    or if the model or data differ.
    """
    folder = Path(folder)
    found = disk.saves(folder)
    if not found:
        raise RecordError(
            f"There is no autosave in {str(folder)!r}. A run writes them if it is created with "
            f"Session(…, autosave={str(folder)!r})."
        )
    wrong: list[str] = []
    for save in found:
        try:
            texts, tensors = disk.read(save)
            record, state = _parse(save, texts, tensors)
            break
        except RecordError as error:
            wrong.append(str(error))
    else:
        raise RecordError(f"No autosave in {str(folder)!r} is valid. {' '.join(wrong)}")

    run = session_of(
        record.header, model=model, data=data, terms=terms, loss=loss,
        optimizer=optimizer, scheduler=scheduler, meters=meters,
        keep_mb=state["keep_mb"], pace=state["pace"],
    )  # fmt: skip
    if data_sha256(run.data) != state["data_sha256"]:
        raise RecordError(f"The data are not those that the run in {str(folder)!r} was trained on.")
    here = run.record.header
    try:
        put_back(run._training, run._inbox, Checkpoint(state, tensors))
    except WRONG as error:
        raise RecordError(f"{save} does not fit the model: {error}.") from error
    told = [f"{text} The save before it was used." for text in wrong]
    if other := [key for key in SAME if here[key] != record.header.get(key)]:
        told.append(
            f"The run started with other {' and '.join(other)}, so it will not match bit for bit."
        )
    for text in told:
        warnings.warn(text, stacklevel=2)
        record.events.append(Warned(run._training.tick, run.step, run.branch, text))
    run._header.update(record.header)
    run.events, run._warned = record.events, len(record.events)
    run.resumed_from = save
    if state["ending"] is not None:
        run._inbox.shut_down()
        run._runner.skip()
    save_to(run, folder, state["every_s"], save)
    return run


def _parse(
    save: Path, texts: Mapping[str, str], tensors: dict[str, Tensor]
) -> tuple[Record, dict[str, Any]]:
    try:
        state = json.loads(texts["state.json"])
        check(state, {}, RecordError, str(save / "state.json"))
        if state.get("tlcourse_autosave") not in (1, FORMAT):
            raise RecordError(
                f"{save} was written by another version (format {state.get('tlcourse_autosave')!r}); "
                f"this one reads 1 and {FORMAT}."
            )
        check(state, STATE, RecordError, str(save / "state.json"))
        record = Record.read(texts["record.jsonl"], str(save / "record.jsonl"), LARGEST)
        if state["tlcourse_autosave"] == FORMAT:
            put_losses(record.events, tensors)
        else:
            lines = texts["events.jsonl"].rstrip("\n").split("\n")
            record = Record(record.header, format1.autosaved(tensors, lines))
        return record, state
    except (*WRONG, RecursionError) as error:
        raise RecordError(f"{save} cannot be read: {error!r}.") from None
