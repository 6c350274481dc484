"""The committed notebooks are what the lessons say, and fit to be read. Nothing is executed here."""

import statistics

import nbformat
import pytest

from tlcourse.course import lessons
from tlcourse.course.build import REFERENCES, faults, notebook

CASES = [
    pytest.param(one, tier, id=f"{one.number}-{tier}") for one in lessons() for tier in REFERENCES
]
REGENERATE = "regenerate it: python -m tlcourse.course.build"


@pytest.mark.parametrize(("taught", "tier"), CASES)
def test_a_reference_matches_its_lesson(taught, tier):
    path = REFERENCES[tier] / taught.notebook
    assert path.exists(), f"{path.name} is missing in the {tier} tier; {REGENERATE}"
    found = nbformat.read(path, as_version=4)
    wanted = notebook(taught, solutions=True)
    assert [(cell.id, cell.cell_type, cell.source) for cell in found.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in wanted.cells
    ], REGENERATE
    assert faults(found) == []
    assert path.stat().st_size <= 600_000
    run = [cell.execution_count for cell in found.cells if cell.cell_type == "code"]
    assert run == list(range(1, len(run) + 1)), "executed once, from top to bottom"


@pytest.mark.parametrize("taught", lessons(), ids=lambda one: one.number)
def test_a_lesson_is_short_enough_to_follow(taught):
    cells = notebook(taught, solutions=True).cells
    lines = [len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"]
    assert len(cells) <= 40
    assert max(lines) <= 15
    assert statistics.median(lines) <= 10


def test_no_reference_is_left_of_a_lesson_that_is_gone():
    known = {one.notebook for one in lessons()}
    for folder in REFERENCES.values():
        assert {path.name for path in folder.glob("*.ipynb")} <= known
