"""Go on with a run that was killed, from the last of its autosaves that is good."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data
from tlcourse.errors import CommandError, RecordError

from .autosave import folder as disk
from .autosave.checkpoint import Checkpoint, put_back
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

SAME = ("versions", "machine", "device")  # what equal bits hang on, with the number of threads


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
    """The run that was saved to `folder` by `Session(…, autosave=folder)`, as it was then.

    `start()`, `run()` or `wait()` go on as if nothing had happened, and save to the same folder: on the
    same machine with as many threads the same losses follow, bit for bit. A run that was over is over,
    and takes Rewind and Branch. What was done after the last save is gone; it is at most as old as the
    run's `autosave_s`.

    model, data: as they were before the run, for those that `load_model` and `load_data` cannot make
    again; terms, loss, optimizer, scheduler: the functions that the session was given; meters: any,
    since they change nothing. A
    damaged save is not used but the one before it, with a warning that says which file is wrong;
    `run.resumed_from` is the save that was taken.
    Raises RecordError if there is none, or if model or data are others.
    """
    folder = Path(folder)
    found = disk.saves(folder)
    if not found:
        raise RecordError(
            f"There is no autosave in {str(folder)!r}. A run writes them if it is begun with "
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
        raise RecordError(f"No autosave in {str(folder)!r} is good. {' '.join(wrong)}")

    run = session_of(
        record.header, model=model, data=data, terms=terms, loss=loss,
        optimizer=optimizer, scheduler=scheduler, meters=meters,
        keep_mb=state["keep_mb"], pace=state["pace"],
    )  # fmt: skip
    if data_sha256(run.data) != state["data_sha256"]:
        raise RecordError(
            f"The data are not those that the run in {str(folder)!r} was training on."
        )
    here = run.record.header
    try:
        put_back(run._training, run._inbox, Checkpoint(state, tensors))
    except (KeyError, TypeError, CommandError) as error:
        raise RecordError(f"{save} does not fit the model: {error}.") from error
    told = [f"{text} The save before it was taken." for text in wrong]
    if other := [key for key in SAME if here[key] != record.header.get(key)]:
        told.append(
            f"The run began under other {' and '.join(other)}, so it will not go on bit for bit."
        )
    for text in told:
        warnings.warn(text, stacklevel=2)
        record.events.append(Warned(run._training.tick, run.step, run.branch, text))
    run._header.update(record.header)
    run.events = record.events
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
        if state.get("tlcourse_autosave") not in (1, FORMAT):
            raise RecordError(
                f"{save} was written by another version (format {state.get('tlcourse_autosave')!r}); "
                f"this one reads 1 and {FORMAT}."
            )
        record = Record.read(texts["record.jsonl"], str(save / "record.jsonl"), LARGEST)
        if state["tlcourse_autosave"] == FORMAT:
            put_losses(record.events, tensors)
        else:
            lines = texts["events.jsonl"].rstrip("\n").split("\n")
            record = Record(record.header, format1.autosaved(tensors, lines))
        return record, state
    except (KeyError, TypeError, ValueError, IndexError, CommandError) as error:
        raise RecordError(f"{save} cannot be read: {error!r}.") from None
