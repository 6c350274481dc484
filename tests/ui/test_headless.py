"""Without a browser: the same notebook runs in order and keeps a picture for its readers."""

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

SETUP = """
import sys
sys.path.insert(0, {repo!r})
from tests.ui.conftest import make_run
import tlcourse as tl
"""


def test_a_notebook_executed_without_a_browser_keeps_state_and_picture(tmp_path, pytestconfig):
    cells = [
        SETUP.format(repo=str(pytestconfig.rootpath)),
        "run = make_run(steps=150, slow_s=0.002)\ntl.Cockpit(run)",
        "run.send(tl.Unfreeze('body')); result = await run.wait(); print(result.steps)",
        "import time; time.sleep(0.5)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (shown,) = notebook.cells[1].outputs
    assert shown.data["text/plain"] == "Cockpit of a run of 150 steps"
    assert "finished after 150 of 150 steps" in shown.data["image/svg+xml"]
    assert "unfroze body" in shown.data["image/svg+xml"]
    assert notebook.cells[2].outputs[0].text.strip() == "150"
    model = shown.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert states[model]["state"]["saved"]["now"]["status"] == "finished"


def test_a_lens_that_nobody_looks_through_keeps_its_last_picture(tmp_path, pytestconfig):
    cells = [
        SETUP.format(repo=str(pytestconfig.rootpath)),
        "drawn = []\n"
        "def draw(model):\n"
        "    drawn.append(run.step)\n"
        "    return tl.plots.bars({'a': 1.0, 'b': 2.0}, title='Weights')\n"
        "run = make_run(steps=100, slow_s=0.002)\n"
        "tl.Lens(run, draw, every=0.01)",
        "result = await run.wait()",  # the last cell: the program may end with it
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    notebook.cells.append(nbformat.v4.new_code_cell("print(drawn)"))
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (shown,) = notebook.cells[1].outputs
    assert shown.data["text/plain"] == "Lens on a run of 100 steps"
    assert shown.data["image/png"].startswith("iVBOR")
    assert shown.metadata["image/png"]["alt"].startswith("Weights")
    assert notebook.cells[3].outputs[0].text.strip() == "[100]"
