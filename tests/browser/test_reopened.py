"""A kernel that goes away, and a notebook that is opened later."""

import json

import pytest
from playwright.sync_api import expect

from . import driver

pytestmark = pytest.mark.browser


def test_the_last_state_outlives_kernel_and_notebook(server, context, open_book):
    book = open_book.books.pop("7.4.0", None) or open_book("7.4.0")
    open_book.books.pop("7.4.0", None)
    book.page.bring_to_front()
    name = book.keep_only(1)
    book.run(book.add("run = digits_run(4000)\ncockpit = tl.Cockpit(run)\ncockpit"))
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-link", "live")
    cockpit.locator('[data-control="switch:stage2"]').click()
    expect(cockpit.locator(".tlc-log li")).to_contain_text("moved")
    book.save()
    while not any("moved" in note for note in saved_state(server.folder / name)["notes"]):
        book.page.wait_for_timeout(200)  # the kernel writes the last state once a second
        book.save()

    # The kernel restarts in the middle of training.
    book.page.evaluate(
        "async () => { await jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    expect(cockpit.locator(".tlc-pill")).to_have_text("Kernel gone")
    expect(cockpit.locator(".tlc-note:visible")).to_contain_text("kernel of this run is gone")
    expect(cockpit.locator(".tlc-note:visible")).to_contain_text("run the notebook from the top")
    expect(cockpit.locator('[data-control="hold"]')).to_be_disabled()
    shown = texts(cockpit)
    book.save()
    book.close()
    assert saved_state(server.folder / name)["now"]["status"] == "running"

    # Opened later, twice: the second time from a file saved without the widget's kernel.
    for _ in range(2):
        book = driver.Notebook(context, server, name, kernel=False)
        record = book.cockpit()
        expect(record.locator(".tlc-pill")).to_have_text("Recorded")
        expect(record.locator(".tlc-note:visible")).to_contain_text("run the notebook from the top")
        assert texts(record) == shown
        # The values are the last state to be read: not greyed out.
        assert record.locator(".tlc-lr").evaluate_all(OPACITY) == [1.0] * 4
        assert len(record.locator("path.tlc-line[data-key]").first.get_attribute("d")) > 100
        for control in record.locator("button[data-control]:visible, input:visible").all():
            if not control.get_attribute("data-control").startswith("copy:"):
                expect(control).to_be_disabled()
        book.page.wait_for_timeout(300)
        expect(record).to_have_attribute("data-link", "recorded")
        book.page.evaluate("() => { jupyterapp.shell.currentWidget.context.model.dirty = true; }")
        book.save()
        book.page.close()
        assert saved_state(server.folder / name)["now"]["status"] == "running"


# How much of a value's ink is left by the opacity of what it stands in.
OPACITY = """all => all.map(node => {
    let left = 1;
    for (let n = node; n; n = n.parentElement) left *= Number(getComputedStyle(n).opacity);
    return left;
})"""


def texts(cockpit):
    return [cockpit.locator(part).all_inner_texts() for part in (".tlc-log li", ".tlc-name b")]


def saved_state(path):
    """The last state of the cockpit in its last cell, as the notebook file holds it."""
    notebook = json.loads(path.read_text())
    shown = notebook["cells"][-1]["outputs"][0]["data"]
    model = shown["application/vnd.jupyter.widget-view+json"]["model_id"]
    widgets = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]
    return widgets["state"][model]["state"]["saved"]
