"""Meters: what else is measured between two steps, besides loss and accuracy."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tlcourse.data import Split
from tlcourse.errors import CommandError

from ..events import Metered, Warned
from .questions import quiet

if TYPE_CHECKING:
    from .training import Training

Meter = Callable[[nn.Module], float] | Split
"""(model) → a number, or a split: then the share of its samples that the model gets right."""

TAKEN = ("train", "valid", "test")
LONGEST = 40  # letters: a name stands in a legend


def plan_meters(meters: Any) -> dict[str, Meter]:
    """Raises CommandError for a wrong name, or for what cannot measure."""
    if not isinstance(meters or {}, Mapping):
        raise CommandError(
            f"meters is a mapping from a name to a function of the model, such as "
            f'meters={{"old task": meter}}, not {meters!r}.'
        )
    planned = dict(meters or {})
    for name, meter in planned.items():
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST or "\n" in name:
            raise CommandError(
                f"A meter's name is one line of 1 to {LONGEST} letters, not {name!r}."
            )
        if name in TAKEN:
            raise CommandError(
                f"A meter cannot be named {name!r}, since that is a split of the run's own data; "
                "name it after what it measures."
            )
        if not callable(meter) and not isinstance(meter, Split):
            raise CommandError(
                f"The meter {name!r} is a function of the model that returns a number, or a split of "
                f"data such as old.test, not {meter!r}."
            )
    return planned


class Meters:
    """A meter that raises, or returns no finite number, is reported once and then rests."""

    def __init__(self, meters: Mapping[str, Meter]):
        self._meters, self.names = dict(meters), tuple(meters)
        self._begun = False

    def begin(self, t: "Training") -> Iterator[Metered | Warned]:
        """Before the first step that this process takes."""
        if not self._begun:
            self._begun = True
            yield from self.read(t)

    def read(self, t: "Training") -> Iterator[Metered | Warned]:
        """The run, and the twin beside it."""
        for name in self.names:
            for one in (t, t.time.twin):
                if one is None or name not in self._meters:
                    continue
                try:
                    value = _measured(self._meters[name], one)
                except Exception as error:
                    del self._meters[name]
                    text = f"The meter {name!r} rests from here on: {_described(error)}"
                    yield Warned(t.tick, one.step, one.branch, text)
                else:
                    yield Metered(t.tick, one.step, one.branch, name, value)


def _measured(meter: Meter, t: "Training") -> float:
    with quiet(t.model):
        value = t.evaluate(meter)["accuracy"] if isinstance(meter, Split) else meter(t.model)
        if isinstance(value, str | bytes) or value is None:
            raise TypeError(f"it returned {value!r}, which is no number.")
        number = float(value.detach() if isinstance(value, Tensor) else value)
    if not math.isfinite(number):
        raise ValueError(f"it returned {number}, which is no finite number.")
    return number


def _described(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text[:300]}{'' if text[-1] in '.!?' else '.'}"
