"""The schema of a record. Everything that is read from a record's file is checked here, once.

Past this point every known field has its type and range, and every string can be written as UTF-8. A
number that is not finite is the string "nan", "inf" or "-inf", and only where allowed. Unknown fields
are ignored.
"""

import keyword
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from tlcourse.errors import RecordError
from tlcourse.schema import (
    DEEPEST,
    FLAG,
    Field,
    dict_of,
    list_of,
    matching,
    object_of,
    one_of,
    or_null,
    shown,
)

from ..commands import from_json
from ..recipe import FACTORY, LAYOUTS, OPTIMIZERS, PRECISIONS, Recipe
from ..state import state_from_json

HUGE = sys.float_info.max  # a float cannot hold a larger integer
LARGEST = 10**8  # limit on steps, and on whatever is counted in steps
_LOSS = re.compile(r"(<locals>|<lambda>|[^\W\d]\w*)(\.(<locals>|<lambda>|[^\W\d]\w*))*")


def whole(low: float, high: float = LARGEST) -> Field:
    return Field(f"a whole number from {low:g} to {high:g}", lambda v: _is_whole(v, low, high))


def number(low: float, high: float = HUGE, *, above: bool = False) -> Field:
    def fits(value: Any) -> bool:
        real = isinstance(value, int | float) and not isinstance(value, bool)
        return real and low <= value <= high and not (above and value == low)

    begin = "" if low == -HUGE else f" {'above' if above else 'from'} {low:g}"
    return Field(f"a number{begin}{'' if high == HUGE else f' to {high:g}'}", fits)


def is_argument(name: Any) -> bool:
    """Whether a script can write `name=…`. ASCII only: Python may normalise two other names to one."""
    plain = isinstance(name, str) and name.isascii() and name.isidentifier()
    return plain and not keyword.iskeyword(name) and not name.startswith("__")


def _is_whole(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_call(value: Any) -> bool:
    arguments = isinstance(value, dict) and all(map(is_argument, value))
    return arguments and isinstance(value.get("name", ""), str)


def _is_evaluation(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < 4:
        return False
    tick, split, *numbers = value[:4]
    return (
        _is_whole(tick, 0, LARGEST) and isinstance(split, str) and all(map(MEASURED.fits, numbers))
    )


TEXT = Field("a string", lambda v: isinstance(v, str))
SHA256 = matching("[0-9a-f]{64}", "a SHA-256 in hexadecimal")
MEASURED = or_null(number(-HUGE))
NOT_FINITE = ("nan", "inf", "-inf")
REAL = Field(
    "a number", lambda v: (isinstance(v, str) and v in NOT_FINITE) or number(-HUGE).fits(v)
)
SIZE = whole(0, 2**63)
GROUP = object_of(
    {
        "name": TEXT, "parameters": SIZE, "trainable": FLAG, "lr": number(0), "depth": whole(0),
        "kind": one_of(("layers", "adapter")), "stats": or_null(FLAG), "scale": or_null(number(-HUGE)),
    }
)  # fmt: skip
STATE = object_of(
    {"groups": list_of(GROUP), "weights": dict_of(number(0)), "augment": or_null(number(0, 1))}
)
CALL = or_null(Field("an object of arguments, whose names are identifiers", _is_call))
LOSS = matching(_LOSS, "a function's name, with dots")

HEADER = {
    "versions": dict_of(TEXT),
    "machine": TEXT,
    "device": matching("[a-z]+(:[0-9]{1,4})?", "a device such as cpu or cuda:0"),
    "threads": whole(1, 4096),
    "model": CALL,
    "parts": or_null(dict_of(list_of(TEXT))),  # null: the model defines its own groups
    "fixed": list_of(TEXT),  # parameters that never train, in groups that do
    "data": CALL,
    "recipe": Field("an object", lambda v: isinstance(v, dict)),
    "loss": LOSS,
    "keep_mb": number(0),
    "ranks": whole(1, 1_000_000),
    "weights_sha256": SHA256,
    "metric": TEXT,
    "began": STATE,
    "losses": object_of({"every": whole(1), "sha256": SHA256}),
    "groups": dict_of(SIZE),  # this and the next: format 1 only
    "seconds": number(0),
}
RECIPE = {
    "steps": whole(1),
    "lr": dict_of(number(0, above=True), filled=True),
    "freeze": list_of(TEXT),
    "freeze_stats": FLAG,
    "batch_size": whole(1, 2**63),
    "optimizer": Field(
        f"{', '.join(OPTIMIZERS)}, or a function's name with its module",
        lambda v: isinstance(v, str) and (v in OPTIMIZERS or bool(FACTORY.fullmatch(v))),
    ),
    "scheduler": or_null(matching(FACTORY, "a function's name with its module")),
    "weight_decay": number(0),
    "augment": number(0, 1),
    "eval_every": whole(1, 2**63),
    "seed": Field("a whole number", lambda v: _is_whole(v, -math.inf, math.inf)),
    "accumulate": whole(1, 2**63),
    "precision": one_of(PRECISIONS),
    "layout": one_of(LAYOUTS),
    "weights": dict_of(number(0, 1e12)),
    "workers": whole(0, 4096),
}
_NUMBERS = dict_of(REAL)
_PLACE = {"tick": whole(0), "step": whole(0), "branch": TEXT}
_ANY = Field("an object", lambda v: isinstance(v, dict))
EVENT = {
    "evaluated": {"split": TEXT, "metrics": _NUMBERS},
    "metered": {"name": TEXT, "value": number(-HUGE)},
    "applied": {
        "command": _ANY, "id": or_null(TEXT), "trainable_before": SIZE, "trainable_after": SIZE,
        "state": STATE,
    },
    "moved": {"since": whole(0), "moved": _NUMBERS},
    "norms": {"grad": _NUMBERS, "moved": _NUMBERS, "lrs": or_null(_NUMBERS)},
    "saved": {"name": TEXT, "mb": number(0)},
    "branched": {"parent": TEXT, "control": FLAG},
    "refused": {"command": _ANY, "id": or_null(TEXT), "reason": TEXT},
    "finished": {"reason": one_of(("done", "stopped")), "seconds": number(0)},
    "failed": {"error": TEXT, "traceback": TEXT},
    "warned": {"text": TEXT},
}  # fmt: skip
STEPS = {
    "tick": whole(0),
    "count": whole(1),
    "lanes": Field(
        "a list of branch, step and terms, not empty",
        lambda v: bool(v) and list_of(object_of(
            {"branch": TEXT, "step": whole(0), "terms": list_of(TEXT)}, "terms"
        )).fits(v),
    ),
    "losses": list_of(REAL),
    "terms": dict_of(list_of(REAL)),
}  # fmt: skip
OUTCOME = {
    "reason": one_of(("done", "stopped")),
    "steps": whole(0),
    "losses_sha256": SHA256,
    "losses_every": whole(1),
    "losses": list_of(MEASURED),
    "evaluations": list_of(Field("[tick, split, accuracy, loss]", _is_evaluation)),
    "eval_every": whole(0),
    "seconds": number(0),
}


def check_header(header: Any) -> dict[str, Any]:
    """Return the header. Raises RecordError naming the field at fault; no field is required."""
    _check(header, HEADER, "")
    _check(header.get("recipe", {}), RECIPE, "recipe.")
    return header


def check_outcome(outcome: Any) -> dict[str, Any]:
    """Return the outcome. Raises RecordError naming the field that is wrong or missing."""
    _check(outcome, OUTCOME, "outcome.")
    need(outcome, "steps", "losses", "losses_every", "evaluations", what="outcome")
    steps, every = outcome["steps"], outcome["losses_every"]
    if len(outcome["losses"]) != -(-steps // every):
        raise RecordError(
            f"outcome.losses must hold one loss for every {every} of {steps} steps, not "
            f"{len(outcome['losses'])} losses."
        )
    return outcome


def check_steps(row: dict[str, Any]) -> dict[str, Any]:
    _fit(row, STEPS, "")
    need(row, "tick", "count", "lanes", what="line of steps")
    return row


def check_event(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event other than a step, as its class takes them. Raises RecordError or
    CommandError for anything else."""
    kind = row.get("kind")
    if not isinstance(kind, str) or kind not in EVENT:
        raise RecordError(f"{shown(kind)} is not an event; events are steps, {', '.join(EVENT)}.")
    schema = _PLACE | EVENT[kind]
    _fit(row, schema, f"{kind}.")
    need(row, *schema, what=f"{kind} event")
    values = {name: row[name] for name in schema}
    for name in ("metrics", "grad", "moved", "lrs"):
        if values.get(name):
            values[name] = {key: float(value) for key, value in values[name].items()}
    if "command" in values:
        values["command"] = from_json(values["command"])
    if "state" in values:
        values["state"] = state_from_json(values["state"])
    return values


def need(values: Mapping[str, Any], *names: str, what: str = "header") -> None:
    if missing := [name for name in names if name not in values]:
        raise RecordError(f"The record's {what} is incomplete: it lacks {', '.join(missing)}.")


def recipe_of(header: Mapping[str, Any]) -> Recipe:
    """The recipe in a checked header. Raises RecordError if it lacks what a run needs."""
    need(header, "recipe")
    told = header["recipe"]
    need(told, *(f.name for f in fields(Recipe) if f.default is MISSING), what="recipe")
    known = {f.name: told.get(f.name, f.default) for f in fields(Recipe)}
    weights = tuple(dict(known["weights"]).items())
    return Recipe(**known | {"freeze": tuple(known["freeze"]), "weights": weights})


def call_of(made: Any) -> dict[str, Any] | None:
    """The call that recreates a model or data; None if its `recipe` is not such a call."""
    call = getattr(made, "recipe", None)
    try:
        check_plain(call)
    except RecordError:
        return None
    return call if CALL.fits(call) else None


def loss_name(loss: Any) -> str:
    name = getattr(loss, "__qualname__", None)
    return name if LOSS.fits(name) else type(loss).__name__


def check_plain(value: Any, depth: int = 0) -> None:
    """Raises RecordError for what JSON cannot hold (numbers that are not finite, half a surrogate pair,
    other types) and for nesting deeper than `DEEPEST`."""
    if depth > DEEPEST:
        raise RecordError(f"Lists and objects must be nested no deeper than {DEEPEST}.")
    if isinstance(value, dict):
        for key, inner in value.items():
            check_plain(str(key), depth + 1)
            check_plain(inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_plain(inner, depth + 1)
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise RecordError(f"A string must be valid Unicode, not {shown(value)}.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise RecordError(f"A number must be finite, not {value!r}.")
    elif not (value is None or isinstance(value, int | float)):
        raise RecordError(f"A value must be one that JSON can hold, not {shown(value)}.")


def _check(values: Any, schema: Mapping[str, Field], where: str) -> None:
    if not isinstance(values, dict):
        raise RecordError(f"{where[:-1] or 'header'} must be an object, not {shown(values)}.")
    check_plain(values)
    _fit(values, schema, where)


def _fit(values: dict[str, Any], schema: Mapping[str, Field], where: str) -> None:
    for key, field in schema.items():
        if key in values and not field.fits(values[key]):
            raise RecordError(f"{where}{key} must be {field.says}, not {shown(values[key])}.")
