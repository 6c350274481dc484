"""Run a record again, unattended, and compare the results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from threading import Timer
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.cards import shelf
from tlcourse.data import Data, load_data
from tlcourse.errors import CommandError, ModelError, RecordError, TLCourseError
from tlcourse.models import load_model
from tlcourse.models.partition import has_groups

from .commands import Command, Stop
from .engine.inbox import Envelope
from .engine.meters import Meter
from .engine.training import Term
from .events import Applied
from .model.user_optimizer import OptimizerFactory, SchedulerFactory
from .recipe import factory_name
from .record.record import Record
from .record.schema import recipe_of
from .session import Session

TOLERANCE = 0.02  # largest relative difference of losses that agree, on other hardware
AT_HAND_S = 60.0  # limit on running a record again just to show it


@dataclass(frozen=True, slots=True)
class Replay:
    """exact: identical bits; agrees: exact, or within `TOLERANCE` on other hardware."""

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
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    optimizer: OptimizerFactory | None = None,
    scheduler: SchedulerFactory | None = None,
    meters: Mapping[str, Meter] | None = None,
) -> Replay:
    """Run a record again and compare the outcome.

    model, data: what the run started from, if `load_model` and `load_data` cannot recreate it; terms,
    loss, optimizer, scheduler: the functions that the session was given; meters: any, since they change
    nothing. Raises RecordError if the record cannot be run.
    """
    if not isinstance(record, Record):
        record = Record.load(record)
    return _replay(
        record, None, model=model, data=data, terms=terms, loss=loss, optimizer=optimizer,
        scheduler=scheduler, meters=meters,
    )  # fmt: skip


def replay_at_hand(record: Record) -> Replay | None:
    """Run a record again just to show it, if it is small and its model and data come with this package.
    Otherwise None: opening a file must neither download anything nor keep the machine busy."""
    header, recipe = record.header, recipe_of(record.header)
    model, data = header.get("model") or {}, header.get("data") or {}
    classes, size = model.get("classes"), data.get("size") or 0
    count = len(classes) if isinstance(classes, list | str) else classes
    names = [str(call.get("name")) for call in (model, data)]
    at_hand = all(name in shelf.names() and shelf.get(name).embedded for name in names)
    small = all(isinstance(n, int) and n <= most for n, most in ((count, 1000), (size, 64)))
    light = recipe.accumulate <= 16 and not recipe.workers and header.get("threads", 1) <= 64
    on_cpu = header.get("device", "cpu") == "cpu"
    if not (at_hand and small and light and on_cpu and "of" not in data):
        return None
    try:
        return _replay(record, AT_HAND_S)
    except TLCourseError:
        return None


def _replay(record: Record, at_most_s: float | None, **given: Any) -> Replay:
    threads_before = torch.get_num_threads()
    torch.set_num_threads(record.header.get("threads") or threads_before)
    try:
        keep_mb = record.header.get("keep_mb", 512)  # whether a bookmark was refused depends on it
        run = session_of(record.header, keep_mb=keep_mb, **given)
        for tick, command in record.commands:
            run._inbox.plan(tick, Envelope(command))
        run._inbox.alone = True
        timer = Timer(at_most_s, lambda: run.send(Stop())) if at_most_s else None
        if timer:
            timer.daemon = True
            timer.start()
        try:
            run.run()
        finally:
            if timer:
                timer.cancel()
    finally:
        torch.set_num_threads(threads_before)
    return _compare(record, run)


def session_of(
    header: Mapping[str, Any],
    *,
    model: nn.Module | None = None,
    data: Data | None = None,
    terms: Mapping[str, Term] | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    optimizer: OptimizerFactory | None = None,
    scheduler: SchedulerFactory | None = None,
    **more: Any,
) -> Session:
    """The session of a record's header, before its first step. more: arguments that no record holds.
    Raises RecordError if it cannot be created, or would differ from the recorded one."""
    model = _again(load_model, header, "model") if model is None else model
    data = _again(load_data, header, "data") if data is None else data
    known = recipe_of(header).to_json()
    if missing := sorted(set(known["weights"]) - set(terms or {})):
        raise RecordError(
            f"The run's loss had a further term {missing[0]!r}, and a record cannot hold a function; "
            f"pass it again: terms={{{missing[0]!r}: …}}."
        )
    known["optimizer"] = _factory("optimizer", known["optimizer"], optimizer)
    known["scheduler"] = _factory("scheduler", known["scheduler"], scheduler)
    parts = parts_of(header, model)
    fix(header, model)
    try:
        run = Session(
            model,
            data,
            device=_device(header),
            groups=parts,
            terms=terms,
            loss=loss,
            **more,
            **known,
        )
    except (CommandError, ModelError) as error:
        raise RecordError(f"The recorded session cannot be recreated: {error}") from error
    made = run.record.header
    if made["weights_sha256"] != header.get("weights_sha256"):
        raise RecordError(
            "The model does not start from the recorded weights; pass the model as it was before "
            "that run."
        )
    if made.get("ranks", 1) != (ranks := header.get("ranks", 1)):
        raise RecordError(
            f"The run was trained by {ranks} process{'es' if ranks > 1 else ''}, and its batches depend "
            f"on that; start this under `torchrun --nproc_per_node {ranks}`."
        )
    if made["loss"] != header.get("loss", made["loss"]):
        raise RecordError(
            f"The run's loss was {header['loss']}, not {made['loss']}; pass it again: loss=…."
        )
    return run


def _factory(what: str, recorded: str | None, function: Any) -> Any:
    """The function that makes a run's optimizer or scheduler, or the name of an optimizer."""
    own = recorded is not None and "." in recorded
    if not own and function is None:
        return recorded
    if not own:
        raise RecordError(f"The run's {what} was {recorded!r}, not a function's; omit {what}=.")
    if function is None:
        raise RecordError(
            f"The run's {what} was made by {recorded}, and a record cannot hold a function; pass it "
            f"again: {what}=…."
        )
    name = factory_name(function)
    if (
        name.rpartition(".")[2] != recorded.rpartition(".")[2]
    ):  # its module may have another name here
        raise RecordError(f"The run's {what} was made by {recorded}, not by {name}.")
    return function


def parts_of(header: Mapping[str, Any], model: nn.Module) -> Mapping[str, Any] | None:
    """The groups of a recorded run, as `Session` takes them. A record without their paths in the model
    is from before models were divided by depth: each child was a group then."""
    if parts := header.get("parts"):
        return parts
    names, children = list(recipe_of(header).lr), dict(model.named_children())
    old = "parts" not in header and not has_groups(model) and set(names) <= set(children)
    return {name: children[name] for name in names} if old else None


def fix(header: Mapping[str, Any], model: nn.Module) -> None:
    """Let the parameters not train that were fixed in the recorded run."""
    for name in header.get("fixed", ()):
        try:
            model.get_parameter(name).requires_grad_(False)
        except AttributeError:
            raise RecordError(
                f"The model has no parameter {name!r}, which was fixed in that run; pass the "
                "model as it was before that run."
            ) from None


def _first_other(then: list[tuple[int, Command]], now: list[tuple[int, Command]]) -> str:
    """The first difference between the two lists, which are not equal."""
    pairs = zip_longest(then, now)
    was, done = next((a, b) for a, b in pairs if a != b)
    told = ["nothing" if one is None else f"{one[1]!r} at tick {one[0]}" for one in (was, done)]
    return f"Differs: {told[0]} was recorded, {told[1]} was applied; the losses are the same."


def _other_state(record: Record, repeated: Record) -> str | None:
    """The first difference between the states; the commands are the same."""
    if record.began != repeated.began:
        return "Differs: the recorded groups started in another state; the losses are the same."
    both = (
        [event for _, event in one.events.others if isinstance(event, Applied)]
        for one in (record, repeated)
    )
    for was, now in zip(*both, strict=True):
        if was.state != now.state:
            return (
                f"Differs: after {was.command!r} at tick {was.tick} the recorded groups are in another "
                "state; the losses are the same."
            )
    return None


def _again(load: Any, header: Mapping[str, Any], what: str) -> Any:
    recipe = header.get(what)
    try:
        if not recipe or "name" not in recipe:
            raise RecordError("the record does not name it")
        return load(**recipe)
    except (TLCourseError, TypeError) as error:
        raise RecordError(
            f"The record's {what} cannot be recreated ({error}); pass it yourself: {what}=…."
        ) from error


def _device(header: Mapping[str, Any]) -> str:
    device = header.get("device", "cpu")
    return device if device == "cpu" or torch.cuda.is_available() else "cpu"


def _compare(record: Record, run: Session) -> Replay:
    repeated = run.record
    was, now, done = record.outcome, repeated.outcome, repeated.commands
    if was is None or now is None or record.losses_sha256 is None:
        return Replay(run, False, False, "The record has no outcome to compare with.")
    if was == now and done != record.commands:
        return Replay(run, False, False, _first_other(record.commands, done))
    if was == now and record.complete and (text := _other_state(record, repeated)):
        return Replay(run, False, False, text)
    if was == now:
        return Replay(run, True, True, f"Agrees, bit for bit, over {now['steps']} steps.")
    here, there = repeated.header, record.header
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
