"""What a notebook really stores of a claim, a table and a picture, and what nbval really compares."""

import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

SANITIZER = Path(__file__).resolve().parents[1] / "nbval-sanitize.cfg"
CELLS = """
from tlcourse.measure import claim, interval, measured, table
values = [0.941, 0.949]
claim("01.1", "Ten labels are enough.", interval(values), at_least=0.5)
---
table([("frozen", interval(values))], {"way": "text", "accuracy": measured("percent")})
---
interval(values)
---
from matplotlib.figure import Figure
from tlcourse.plots import Picture
Picture(Figure((2, 1)), "A figure: ⟨94 %⟩ in the end.")
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def executed():
    notebook = new_notebook(cells=[new_code_cell(cell.strip()) for cell in CELLS.split("---")])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    nbformat.validate(notebook)
    return notebook


def test_numbers_land_in_the_output_metadata(executed):
    line, shown = executed.cells[0].outputs
    assert line.text == "01.1 holds: Ten labels are enough.\n"
    assert shown.metadata["tlcourse"]["claim"]["evidence"]["values"] == [0.941, 0.949]
    numbers = executed.cells[1].outputs[0].metadata["tlcourse"]["numbers"]
    assert numbers["rows"][0][1]["mean"] == pytest.approx(0.945)


def test_a_picture_is_stored_as_png_with_its_alt_text(executed):
    shown = executed.cells[3].outputs[0]
    assert shown.data["image/png"].startswith("iVBORw0KGgo")
    assert shown.metadata["image/png"] == {
        "width": 200,
        "height": 100,
        "alt": "A figure: 94 % in the end.",
    }


def changed(notebook, pattern, replacement):
    """The stored outputs with every match replaced, as another machine would have stored them."""
    other, count = deepcopy(notebook), 0
    other.cells = other.cells[:3]
    for output in (output for cell in other.cells for output in cell.outputs):
        for kind in {"text/html", "text/plain"} & set(output.get("data", {})):
            output.data[kind], n = re.subn(pattern, replacement, output.data[kind])
            count += n
    assert count >= 1
    return other


def test_nbval_passes_over_other_numbers_and_stops_at_another_word(executed, tmp_path):
    marked = r"(?<=<data>)[^<]+|(?<=⟨)[^⟩]+"
    nbformat.write(changed(executed, marked, "12 ± 34 ms"), tmp_path / "numbers.ipynb")
    nbformat.write(changed(executed, "frozen", "melted"), tmp_path / "words.ipynb")
    nbformat.write(
        changed(executed, "at least 50 %", "at least 40 %"), tmp_path / "threshold.ipynb"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-sanitize-with", SANITIZER]
    options = ["--nbval-kernel-name", "python3", "-p", "no:cacheprovider", "--color", "no"]
    told = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True).stdout
    failed = re.findall(r"^FAILED \S*?(\w+\.ipynb::Cell \d)", told, flags=re.MULTILINE)
    assert failed == ["threshold.ipynb::Cell 0", "words.ipynb::Cell 1"], told
    assert "2 failed, 7 passed" in told
