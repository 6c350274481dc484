"""A lesson run without a browser: what is kept, and what is said when it fails."""

import re

import pytest

from tests.course.conftest import SAMPLE
from tlcourse.course.build import faults, for_reference, notebook
from tlcourse.course.execute import execute
from tlcourse.course.headless import collect, hardware, versions


def test_a_lesson_runs_in_its_folder_and_tier_and_carries_its_figures(write_lesson, tmp_path):
    told = []
    done = execute(
        notebook(write_lesson(), solutions=True),
        tmp_path,
        "pocket",
        progress=lambda number, of, cell, seconds: told.append((number, of)),
    )
    assert done.failure is None
    assert told == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert done.notebook.cells[1].outputs[0].text == "tier pocket\n"
    assert (tmp_path / "records" / "42.jsonl").exists()
    (figure,) = collect(done.notebook)
    assert figure["cell"] == 3
    assert "42.1" in str(figure)
    assert faults(done.notebook) == []
    assert "timing" not in str(for_reference(done.notebook, "pocket").cells[1].metadata)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('no such thing')", "`raise ValueError.*ValueError: no such thing"),
        ("claim('42.2', 'Half of all is most of it.', 0.5, at_least=0.9)", "ClaimFailed: .*42.2"),
        ("import time; time.sleep(60)", "longer than 5 s"),
        ("import os; os._exit(1)", "the kernel died"),
    ],
    ids=["error", "claim", "slow", "dead"],
)
def test_a_failure_names_the_cell_and_keeps_the_outputs_so_far(
    write_lesson, tmp_path, code, message
):
    taught = write_lesson(SAMPLE + f"\n# %%\n{code}\n\n# %%\nprint('never reached')\n")
    limit = 5 if "sleep" in code else 100
    done = execute(notebook(taught, solutions=True), tmp_path, "pocket", cell_timeout_s=limit)
    assert done.failure.startswith("cell 6 of 7 (`")
    assert re.search(message, done.failure)
    assert done.notebook.cells[1].outputs[0].text == "tier pocket\n"
    assert done.notebook.cells[6].outputs == []


def test_the_versions_and_the_machine_are_told():
    told = versions()
    assert told["torch"] and told["ipykernel"] and told["tlcourse"]
    assert hardware()["cores"] >= 1
