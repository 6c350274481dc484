"""A notebook that is opened later, and a kernel that goes away."""

import json

import pytest
from playwright.sync_api import expect

from . import driver
from .conftest import SETUP, kernel_of

pytestmark = pytest.mark.browser


def test_a_notebook_opened_later_shows_the_last_state_again_and_again(server, context):
    name = "later.ipynb"
    cells = [SETUP, "run = digits_run(60)\ntl.Cockpit(run)", "run.send(tl.Unfreeze('stage2'))"]
    driver.write_notebook(server.folder / name, cells, kernel_of("7.4.0", server.folder))
    book = driver.Notebook(context, server, name)
    for index in range(3):
        book.run(index)
    live = book.cockpit()
    expect(live.locator(".tlc-pill")).to_have_text("Finished")
    shown = [live.locator(part).all_inner_texts() for part in (".tlc-log li", ".tlc-name b")]
    book.page.wait_for_timeout(300)  # the last state is written right after the last message
    book.save()
    book.close()

    for _ in range(2):  # the second time: saved by a JupyterLab in which the widget had no kernel
        assert states(server.folder / name) == ["finished"]
        book = driver.Notebook(context, server, name)
        record = book.cockpit()
        expect(record).to_have_attribute("data-link", "recorded")
        expect(record.locator(".tlc-note")).to_contain_text("Recorded: this is how the run ended")
        assert [
            record.locator(part).all_inner_texts() for part in (".tlc-log li", ".tlc-name b")
        ] == shown
        assert len(record.locator(".tlc-raw").get_attribute("d")) > 200
        for control in record.locator("[data-control]").all():
            expect(control).to_be_disabled()
        book.page.evaluate("() => { jupyterapp.shell.currentWidget.context.model.dirty = true; }")
        book.save()
        book.close()


def test_a_view_says_that_its_kernel_is_gone(server, context):
    name = "gone.ipynb"
    cells = [SETUP, "run = digits_run(3000)\ntl.Cockpit(run)"]
    driver.write_notebook(server.folder / name, cells, kernel_of("7.4.0", server.folder))
    book = driver.Notebook(context, server, name)
    book.run(0)
    book.run(1)
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-status", "running")
    expect(cockpit).to_have_attribute("data-link", "live")
    book.page.evaluate(
        "async () => { await jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    expect(cockpit.locator(".tlc-pill")).to_have_text("Kernel gone")
    expect(cockpit.locator(".tlc-note")).to_contain_text("kernel of this run is gone")
    expect(cockpit.locator('[data-control="hold"]')).to_be_disabled()
    book.close()


def states(path):
    """What the notebook file holds of its cockpits."""
    widgets = json.loads(path.read_text())["metadata"]["widgets"]
    held = widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    return [h["state"]["saved"]["now"]["status"] for h in held if "saved" in h["state"]]
