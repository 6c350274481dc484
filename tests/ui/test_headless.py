"""Without a browser: the same notebook runs in order and keeps a picture for its readers."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from tlcourse.ui.saving import VIEW

pytestmark = pytest.mark.slow

SETUP = """
import sys
sys.path.insert(0, {repo!r})
from tests.ui.conftest import make_run
import tlcourse as tl
"""


LENS = """
drawn = []
def draw(model):
    drawn.append(run.step)
    return tl.plots.bars({'a': 1.0, 'b': 2.0}, title='Weights')
run = make_run(steps=100, slow_s=0.002)
tl.Lens(run, draw, every=0.01)
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, pytestconfig):
    """A cockpit and a lens, executed in one kernel without a browser."""
    cells = [
        SETUP.format(repo=str(pytestconfig.rootpath)),
        "run = make_run(steps=150, slow_s=0.002)\ntl.Cockpit(run)",
        "run.send(tl.Unfreeze('body')); result = await run.wait(); print(result.steps)",
        "import threading, time\n"  # until the cockpit has told all
        "while any(thread.name == 'tlcourse-cockpit' for thread in threading.enumerate()):\n"
        "    time.sleep(0.01)",
        LENS,
        "result = await run.wait()",
        "print(drawn)",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    where = {"metadata": {"path": str(tmp_path_factory.mktemp("headless"))}}
    NotebookClient(made, timeout=60, resources=where).execute()
    return made


def test_a_notebook_executed_without_a_browser_keeps_state_and_picture(notebook):
    (shown,) = notebook.cells[1].outputs
    assert shown.data["text/plain"] == "Cockpit of a run of 150 steps"
    assert "finished after 150 of 150 steps" in shown.data["image/svg+xml"]
    assert "unfroze body" in shown.data["image/svg+xml"]
    assert notebook.cells[2].outputs[0].text.strip() == "150"
    assert VIEW not in shown.data  # a page made from this would show a widget only with a network
    states = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    (saved,) = [one["state"]["saved"] for one in states.values() if "saved" in one["state"]]
    assert saved["now"]["status"] == "finished"


def test_a_page_made_from_it_shows_the_picture_without_network(notebook):
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert f'<script type="{VIEW}">' not in page
    assert page.count('src="data:image/svg+xml;base64') == 1


def test_a_lens_that_nobody_looks_through_keeps_its_last_picture(notebook):
    (shown,) = notebook.cells[4].outputs
    assert shown.data["text/plain"] == "Lens on a run of 100 steps"
    assert shown.data["image/png"].startswith("iVBOR")
    assert shown.metadata["image/png"]["alt"].startswith("Weights")
    assert notebook.cells[6].outputs[0].text.strip() == "[100]"
