"""Events on disk: steps as columns of numbers, everything else as lines of JSON, in one order."""

import json
from array import array
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..events import Event, Norms, StepDone, event_from_json

NORMS_KEPT = 1000  # more are thinned to every second one: they are looked at, never compared
_COLUMNS = {"tick": "q", "step": "q", "branch": "i", "loss": "d"}


class EventLog:
    """Grows with the run, so that what was written once is not turned into columns again."""

    def __init__(self) -> None:
        self.seen = 0
        self._columns = {name: array(kind) for name, kind in _COLUMNS.items()}
        self._terms: dict[str, tuple[array, array]] = {}  # name → values, whether there was one
        self._branches: dict[str, int] = {}
        self._others: list[tuple[bool, str]] = []  # (is Norms, line)

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            self.seen += 1
            if isinstance(event, StepDone):
                self._step(event)
            else:
                after = {"after": len(self._columns["loss"])}
                line = json.dumps(after | event.to_json(), ensure_ascii=False)
                self._others.append((isinstance(event, Norms), line))
        while sum(norms for norms, _ in self._others) > NORMS_KEPT:
            self._thin()

    def _step(self, event: StepDone) -> None:
        n, columns = len(self._columns["loss"]), self._columns
        columns["tick"].append(event.tick)
        columns["step"].append(event.step)
        columns["branch"].append(self._branches.setdefault(event.branch, len(self._branches)))
        columns["loss"].append(event.loss)
        told = event.terms or {}
        for name in told:
            if name not in self._terms:
                self._terms[name] = (array("d", bytes(8 * n)), array("b", bytes(n)))
        for name, (values, there) in self._terms.items():
            values.append(told.get(name, 0.0))
            there.append(name in told)

    def _thin(self) -> None:
        kept, odd = [], False
        for norms, line in self._others:
            odd ^= norms
            if not norms or odd:
                kept.append((norms, line))
        self._others = kept

    def tensors(self) -> dict[str, Tensor]:
        """Copies, under "steps/…"."""
        made = {f"steps/{name}": _tensor(column) for name, column in self._columns.items()}
        for number, (values, there) in enumerate(self._terms.values()):
            made[f"steps/term {number}"] = _tensor(values)
            made[f"steps/term {number} told"] = _tensor(there)
        return made

    def lines(self, more: Iterable[Event] = ()) -> list[str]:
        """more: events after the last, that are not steps and are not kept here."""
        after = {"after": len(self._columns["loss"])}
        head = {"branches": list(self._branches), "terms": list(self._terms)}
        return [
            json.dumps(head, ensure_ascii=False),
            *(line for _, line in self._others),
            *(json.dumps(after | event.to_json(), ensure_ascii=False) for event in more),
        ]


def read_events(tensors: Mapping[str, Tensor], lines: list[str]) -> list[Event]:
    """The events that `tensors` and `lines` of a log hold, in their order."""
    head = json.loads(lines[0])
    columns = {name: tensors[f"steps/{name}"].tolist() for name in _COLUMNS}
    terms = {
        name: (tensors[f"steps/term {n}"].tolist(), tensors[f"steps/term {n} told"].tolist())
        for n, name in enumerate(head["terms"])
    }
    events: list[Event] = []

    def steps(until: int) -> None:
        for n in range(steps.done, until):
            told = {name: values[n] for name, (values, there) in terms.items() if there[n]}
            branch = head["branches"][columns["branch"][n]]
            numbers = columns["tick"][n], columns["step"][n]
            events.append(StepDone(*numbers, branch, columns["loss"][n], told or None))
        steps.done = max(steps.done, until)

    steps.done = 0
    for line in lines[1:]:
        message = json.loads(line)
        steps(message.pop("after"))
        events.append(event_from_json(message))
    steps(len(columns["loss"]))
    return events


def _tensor(column: array) -> Tensor:
    return torch.from_numpy(np.array(column, dtype=np.dtype(column.typecode)))
