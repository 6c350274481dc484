"""Saved, restarted, closed and reopened in whichever order: what was shown is there again."""

import re

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from . import driver
from .conftest import SETUP, begin, control, stop

pytestmark = pytest.mark.browser

LOST = re.compile("Error displaying widget|Loading widget")
HERE = "jupyterapp.shell.currentWidget.sessionContext"
SHOW = [
    SETUP + "import os\nos.environ['TLCOURSE_HOME'] = '{home}'\nsteps = [4000, 5000]",
    "run = digits_run(steps.pop(0))\ntl.Cockpit(run)",
    "guess = tl.predict('01.1', 'What do you expect?', {'from scratch': 0.5})\nguess",
]


def offline(browser, path):
    """The notebook's page as nbconvert makes it, in a browser without network."""
    page, _ = HTMLExporter().from_filename(str(path))
    path.with_suffix(".html").write_text(page)
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 900})
    shown = context.new_page()
    shown.goto(path.with_suffix(".html").as_uri())
    return shown


def test_a_saved_notebook_as_a_web_page_shows_its_cockpit_without_network(
    open_book, server, browser
):
    book = open_book("7.4.0")
    cockpit = begin(book)
    control(cockpit, "switch:stage2").click()
    expect(cockpit.locator(".tlc-log li")).to_contain_text("unfroze")
    stop(cockpit)
    said = f"stopped after {book.ask('run.step')} of 4000 steps"
    path = server.folder / book.name
    while said not in path.read_text():  # the kernel writes the last state once a second
        book.page.wait_for_timeout(200)
        book.save()
    page = offline(browser, path)
    expect(page.locator(".tlc-still svg").first).to_be_visible()
    expect(page.locator(".tlc-still")).to_contain_text(said)
    expect(page.locator(".tlc-still")).to_contain_text("unfroze stage2")
    page.context.close()


def test_a_live_cell_that_runs_again_keeps_the_run_that_was_steered(open_book, server):
    book = open_book("7.4.0")
    cockpit = begin(book)
    control(cockpit, "switch:stage2").click()
    kept_in = cockpit.locator(".tlc-record")
    expect(kept_in).to_contain_text("What you did is kept in records/by-hand-")
    assert (server.folder / kept_in.inner_text().split(" in ")[1]).exists()
    book.run(1)
    fold = book.page.locator(".tlc-fold")
    expect(fold.locator("summary").first).to_contain_text("paused at step")
    expect(fold.locator(".tlc-log")).to_be_hidden()
    fold.locator("summary").first.click()
    expect(fold.locator(".tlc-log")).to_contain_text("unfroze stage2")
    control(fold, "let-go").click()
    expect(fold).to_have_count(0)
    stop(book.cockpit())


ORDERS = [
    "save restart save reopen",
    "restart save reopen",
    "save reopen save reopen",
    "save reopen hasty reopen",
    "save restart hasty reopen hasty reopen",
    "save shutdown save reopen",
    "save reopen restart save reopen",
    "save again reopen",
    "save again shutdown reopen",
]


@pytest.mark.release
@pytest.mark.parametrize("app", ["lab", "notebooks"])
@pytest.mark.parametrize("order", ORDERS)
def test_in_every_order(order, app, server, context):
    """save; hasty: before a reopened notebook has its widgets; again: run the live cell again; restart,
    shutdown: the kernel; reopen: close the page as it is, and open the notebook in a new one."""
    name = f"{app}-{order.replace(' ', '-')}.ipynb"
    first, *rest = SHOW
    home = server.folder / f"home-{name}"
    driver.write_notebook(server.folder / name, [first.replace("{home}", str(home)), *rest])
    book = driver.Notebook(context, server, name, app=app)
    for cell in range(3):
        book.run(cell)
    expect(book.cockpit()).to_have_attribute("data-link", "live")
    widget = book.page.locator(".tlc-predict")
    widget.get_by_role("button", name="Commit").click()
    expect(widget).to_have_attribute("data-stage", "committed")
    alive, again = True, False
    for act in order.split():
        if act in ("save", "hasty"):
            book.save()
        elif act == "again":
            book.run(1)
            expect(book.cockpit()).to_have_attribute("data-link", "live")
            again = True
        elif act == "restart":
            book.page.evaluate(f"async () => {{ await {HERE}.session.kernel.restart(); }}")
            alive = False
        elif act == "shutdown":
            book.page.evaluate(f"async () => {{ await {HERE}.shutdown(); }}")
            alive = False
        else:
            hasty = "hasty" in order
            book.page.close()
            book = driver.Notebook(context, server, name, kernel=not hasty and alive, app=app)
            if not hasty:
                shown(book)
    shown(book)
    steps = 5000 if again and alive else 4000  # without a kernel, the run that was saved
    expect(book.cockpit().locator(".tlc-where")).to_contain_text(f"of {steps}")
    assert book.complaints == []
    book.close()


def shown(book):
    """Both are there, as widgets: nothing was lost."""
    expect(book.page.locator(".tlc-predict")).to_have_attribute("data-stage", "committed")
    book.cockpit()
    expect(book.page.locator(".jp-Notebook")).not_to_contain_text(LOST)
    expect(book.page.locator(".tlc-still:visible")).to_have_count(0)
