"""The whole state of a run as JSON and tensors, and back: the contents of an autosave.

Only weights that differ from the initial model are kept. Adapters and new heads are recreated from the
history, with the same random draws, and then get their weights. Bookmarks and other branches are kept
as step and history, which determine a state: returning there repeats the steps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from tlcourse.errors import CommandError
from tlcourse.schema import FLAG, Field, dict_of, list_of, object_of, one_of, or_null

from ..commands import AddLoRA, Command, SwapHead, from_json
from ..engine.inbox import Envelope, Inbox
from ..engine.training import Training
from ..model.groups import Levers
from ..model.user_optimizer import pack_schedule, unpack_schedule
from ..record.schema import HUGE, TEXT, number, whole
from ..timelines.snapshot import History, Moment, put_buffers, put_numbers, take
from ..timelines.timelines import START, Timeline


def _is_plain(value: Any) -> bool:
    """What an optimizer keeps of a parameter besides tensors."""
    return value is None or isinstance(value, bool | int | float | str)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """state: JSON-able, except for `Command` objects; tensors: on the run's device."""

    state: dict[str, Any]
    tensors: dict[str, Tensor]


_PAIR = Field(
    "[step, command]",
    lambda v: (
        isinstance(v, list) and len(v) == 2 and whole(0).fits(v[0]) and isinstance(v[1], dict)
    ),
)
_RUN = object_of(
    {
        "step": whole(0), "frozen": dict_of(FLAG), "rates": dict_of(number(0)),
        "scales": dict_of(number(-HUGE)), "weights": dict_of(number(0)),
        "augment": or_null(number(0, 1)), "optimizer": dict_of(dict_of(Field("a value", _is_plain))),
        "numbers": dict_of(or_null(number(-HUGE))), "branch": TEXT,
    },
    "numbers", "branch",
)  # fmt: skip
STATE = {
    "tick": whole(0), "branch": TEXT, "paused": FLAG, "ending": or_null(one_of(("done", "stopped"))),
    "seconds": number(0), "run": _RUN, "twin": or_null(_RUN), "armed": FLAG,
    "timelines": list_of(object_of({
        "name": TEXT, "parent": or_null(TEXT), "start": whole(0), "step": whole(0),
        "history": list_of(_PAIR), "control": FLAG,
    })),
    "bookmarks": list_of(object_of({
        "name": TEXT, "branch": TEXT, "step": whole(0), "history": list_of(_PAIR), "mb": number(0),
    })),
    "planned": list_of(Field(
        "[step, command, id]", lambda v: isinstance(v, list) and len(v) == 3 and _PAIR.fits(v[:2]),
    )),
    "keep_mb": number(0, math.inf), "pace": or_null(number(0, above=True)),
    "every_s": number(0, math.inf), "data_sha256": TEXT,
}  # fmt: skip


def gather(t: Training, inbox: Inbox, seconds: float, ending: str | None = None) -> Checkpoint:
    """As cheap as a snapshot. Call it between two steps, in the training thread."""
    tensors: dict[str, Tensor] = {}
    time, twin = t.time, t.time.twin
    now = {t.branch: t.step} | ({twin.branch: twin.step} if twin else {})
    state = {
        "tick": t.tick,
        "branch": t.branch,
        "paused": t.paused,
        "ending": ending,
        "seconds": seconds,
        "run": _pack(t, "run", tensors),
        "twin": {"branch": twin.branch} | _pack(twin, "twin", tensors) if twin else None,
        "armed": time.armed,
        "timelines": [
            {
                "name": line.name,
                "parent": line.parent,
                "start": line.start,
                "step": now.get(line.name, line.step),
                "history": line.history.since(),
                "control": line.control,
            }
            for line in time.branches.values()
        ],
        "bookmarks": [
            {
                "name": name,
                "branch": branch,
                "step": moment.step,
                "history": moment.history.since(),
                "mb": time.sizes[name],
            }
            for name, (branch, moment) in time.named.items()
            if name != START
        ],
        "planned": [(step, e.command, e.id) for step, _, e in sorted(inbox.planned)],
        "keep_mb": time.budget_mb,
        "pace": t.pace,
    }
    return Checkpoint(state, tensors)


def put_back(t: Training, inbox: Inbox, kept: Checkpoint) -> None:
    """Bring a run that has not started to that state. Raises KeyError, TypeError or CommandError if the
    state does not fit its model."""
    state, tensors = kept.state, kept.tensors
    time = t.time
    lines = [
        Timeline(**line | {"history": _history(time.root, line["history"])})
        for line in state["timelines"]
    ]
    time.branches = {line.name: line for line in lines}
    t.branch = state["branch"]
    history = time.history(t).since()
    twin = state["twin"]
    if twin:
        untouched = time.branches[twin["branch"]].history.since()
        _restructure(t, untouched)
        frozen, history = twin["frozen"], history[len(untouched) :]
        t.levers.restore(frozen, twin["rates"], twin["scales"])
        time.twin = t.fork(twin["branch"])
        _unpack(time.twin, "twin", twin, tensors)
    _restructure(t, history)
    _unpack(t, "run", state["run"], tensors)
    time.armed = state["armed"]
    for mark in state["bookmarks"]:
        moment = Moment(mark["step"], _history(time.root, mark["history"]))
        time.named[mark["name"]] = (mark["branch"], moment)
        time.sizes[mark["name"]] = mark["mb"]
    for step, command, id in state["planned"]:
        inbox.plan(step, Envelope(from_json(command), id))
    t.tick, t.paused, t.seconds = state["tick"], state["paused"], state["seconds"]
    time.keep(t)


def _pack(t: Training, prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The contents of a snapshot; tensors go into `tensors`, under names that start with the prefix."""
    moment, names = take(t, History()), _names(t.levers)
    origin, first = t.levers.origin, t.time.named[START][1].numbers
    for p, value in moment.parameters.items():
        if origin[p].written(value):
            tensors[f"{prefix}/weight/{names[p]}"] = value
    for name, value in moment.buffers.items():
        tensors[f"{prefix}/buffer/{name}"] = value
    numbers: dict[str, dict[str, Any]] = {}
    for p, state in moment.optimizer.items():
        numbers[names[p]] = {k: v for k, v in state.items() if not isinstance(v, Tensor)}
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{prefix}/optimizer/{names[p]}/{key}"] = value
    if moment.schedule is not None:
        tensors[f"{prefix}/schedule"] = pack_schedule(moment.schedule)
    return {
        "step": moment.step,
        "frozen": moment.frozen,
        "rates": moment.rates,
        "scales": moment.scales,
        "weights": moment.weights,
        "augment": moment.augment,
        "optimizer": numbers,
        "numbers": {
            n: v
            for n, v in moment.numbers.items()
            if (n not in first or first[n] != v) and (v is None or math.isfinite(v))
        },
    }


def _unpack(
    t: Training, prefix: str, state: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Every tensor gets its own memory, in the model's layout, since frozen ones may be shared with a
    twin or a snapshot."""
    levers = t.levers
    # A fused step writes as many numbers as the weight has, wherever that leads.
    fused = any(group.get("fused") for group in levers.optimizer.torch.param_groups)
    for p, name in _names(levers).items():
        if (value := tensors.get(f"{prefix}/weight/{name}")) is not None:
            _check_fits(name, p, value)
            p.data = _like(p, value)
        if name in state["optimizer"]:
            start = f"{prefix}/optimizer/{name}/"
            mine = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            for key, value in mine.items() if fused else ():
                if key != "step":
                    _check_fits(f"{name}/{key}", p, value)
                elif value.shape != () or value.dtype != torch.float32:
                    raise CommandError(f"{name}/step is not a number")
            levers.optimizer.state[p] = state["optimizer"][name] | {
                key: _like(p, value) if value.shape == p.shape else value.to(p.device)
                for key, value in mine.items()
            }
    start = f"{prefix}/buffer/"
    buffers = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    numbers = state.get("numbers", {})
    known = buffers | numbers
    if missing := [name for name, _ in levers.model.named_buffers() if name not in known]:
        raise CommandError(f"the buffer {missing[0]} is missing")
    put_buffers(levers.model, buffers, empty=numbers)
    put_numbers(levers.model, numbers)
    levers.restore(state["frozen"], state["rates"], state["scales"])
    if (schedule := tensors.get(f"{prefix}/schedule")) is not None:
        levers.optimizer.go_to(unpack_schedule(schedule))
    t.weights, t.step = dict(state["weights"]), state["step"]
    t.augment = state["augment"]


def _check_fits(name: str, p: Tensor, value: Tensor) -> None:
    if (value.shape, value.dtype) != (p.shape, p.dtype):
        raise CommandError(
            f"{name} is {tuple(p.shape)} {p.dtype}, not {tuple(value.shape)} {value.dtype}"
        )


def _restructure(t: Training, history: list[tuple[int, Command]]) -> None:
    """Recreate the adapters and heads of a history; the caller restores the rest."""
    for _, command in history:
        if isinstance(command, AddLoRA | SwapHead):
            t.apply(command)


def _names(levers: Levers) -> dict[Parameter, str]:
    return {p: f"{group}/{n}" for group, ps in levers.groups.items() for n, p in enumerate(ps)}


def _like(p: Tensor, value: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.empty_like(p, dtype=value.dtype, requires_grad=False).copy_(value)


def _history(root: History, rows: list[Any]) -> History:
    for step, command in rows:
        root = root.then(step, from_json(command))
    return root
