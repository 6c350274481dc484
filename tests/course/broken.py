"""Break a lesson's method on purpose, and see which of its claims no longer hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

import tlcourse as tl
from tlcourse.course import lesson, recorded_hands, tiers
from tlcourse.course.build import notebook
from tlcourse.measure.claims import GO_ON, Claim


def claims(
    number: str,
    only: Iterable[str],
    *,
    replace: Mapping[str, str] = {},
    methods: Mapping[str, Callable[..., Any]] = {},
    tier: str = "pocket",
) -> dict[str, Claim]:
    """The claims that come out of the lesson's cells, in order, by id; those that fail as well.

    only: a cell runs if it contains one of these texts; each text has to be in some cell. replace:
    old text to new text, in the cells that run; each has to be there. methods: functions of
    `tl.methods` to put in the place of those of that name. Cells that `await` cannot run here.
    """
    cells = [
        c.source for c in notebook(lesson(number), solutions=True).cells if c.cell_type == "code"
    ]
    only = list(only)
    for text in only:
        assert any(text in cell for cell in cells), f"no cell of lesson {number} contains {text!r}"
    chosen = [cell for cell in cells if any(text in cell for text in only)]
    for old, new in replace.items():
        assert any(old in cell for cell in chosen), f"none of the cells contains {old!r}"
        chosen = [cell.replace(old, new) for cell in chosen]

    made: dict[str, Claim] = {}
    real = tl.claim

    def told(*args: Any, **kwargs: Any) -> Claim:
        result = real(*args, **kwargs)
        made[result.id] = result
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(GO_ON, "go on")
        patch.setenv(tiers.VARIABLE, tier)
        patch.setenv(recorded_hands.VARIABLE, "recorded")
        patch.setattr(tl, "claim", told)
        for name, broken in methods.items():
            patch.setattr(tl.methods, name, broken)
        from IPython.display import display  # a notebook has it without asking

        space: dict[str, Any] = {"__name__": "__main__", "display": display}
        for number_of, cell in enumerate(chosen):
            exec(compile(cell, f"<cell {number_of} of lesson {number}>", "exec"), space)
    return made
