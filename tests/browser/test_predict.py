"""A prediction is made with the keys and the mouse, committed, and there again after everything."""

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from . import driver
from .conftest import Gate
from .test_access import THEMES
from .test_steering import CONTRAST

pytestmark = pytest.mark.browser

SETUP = """import os, sys
sys.path.insert(0, {repo!r})
os.environ["TLCOURSE_HOME"] = {home!r}
import tlcourse as tl
from tlcourse.measure import interval
def ask(id="01.1"):
    items = {{"from scratch": 0.5, "frozen backbone": 0.6}}
    return tl.predict(id, "What accuracy do you expect of each on pictures they have not seen?", items)
"""
OUTCOME = """_ = guess.outcome({
    "from scratch": interval([0.36, 0.34, 0.38]), "frozen backbone": interval([0.81, 0.8, 0.83])})"""


@pytest.fixture(scope="module")
def book(server, context, tmp_path_factory):
    home = str(tmp_path_factory.mktemp("learner"))
    cells = [SETUP.format(repo=str(Path(__file__).parents[2]), home=home)]
    driver.write_notebook(server.folder / "predict.ipynb", cells)
    book = driver.Notebook(context, server, "predict.ipynb")
    book.run(0)
    book.home = Path(home)
    yield book
    assert book.complaints == []
    book.close()


def shown(book, id: str):
    """Ask in a new cell; the widget that it shows."""
    before = book.page.locator(".tlc-predict").count()
    book.run(book.add(f"guess = ask({id!r})\nguess"))
    widget = book.page.locator(".tlc-predict").nth(before)
    widget.wait_for()
    return widget


def slider(widget, name: str):
    return widget.get_by_role("slider", name=name)


def kept(book, id: str) -> dict:
    return json.loads((book.home / "progress.json").read_text())["predictions"][id]


def test_a_guess_is_made_by_keys_and_mouse_committed_and_kept(book):
    widget = shown(book, "01.1")
    expect(widget.get_by_role("status")).to_contain_text("Move the sliders")
    scratch, frozen = slider(widget, "from scratch"), slider(widget, "frozen backbone")
    scratch.focus()
    scratch.press("ArrowRight")
    scratch.press("ArrowRight")
    expect(scratch).to_have_attribute("aria-valuetext", "52 %")
    expect(widget.locator(".tlc-guess").first).to_have_text("52 %")
    box = frozen.bounding_box()
    book.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    book.page.mouse.down()
    book.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=4)
    book.page.mouse.up()
    dragged = float(frozen.input_value())
    assert 0.85 <= dragged <= 0.95
    widget.get_by_role("button", name="Commit").click()
    expect(widget.get_by_role("status")).to_contain_text("Committed.")
    expect(scratch).to_be_disabled()
    expect(widget.get_by_role("button", name="Commit")).to_be_hidden()
    values = {"from scratch": 0.52, "frozen backbone": dragged}
    assert kept(book, "01.1")["values"] == values
    assert book.ask("guess.committed") == values

    again = shown(book, "01.1")  # the cell is run again
    expect(slider(again, "from scratch")).to_have_value("0.52")
    expect(slider(again, "from scratch")).to_be_disabled()
    assert book.ask("guess.committed") == values


def test_a_mind_can_be_changed_until_the_outcome_was_seen(book):
    widget = shown(book, "01.2")
    first = slider(widget, "from scratch")
    commit = widget.get_by_role("button", name="Commit")
    commit.focus()
    commit.press("Enter")
    change = widget.get_by_role("button", name="Change it")
    book.page.keyboard.press("Shift+Enter")  # goes on: it takes nothing back
    expect(widget).to_have_attribute("data-stage", "committed")
    change.focus()
    change.press("Shift+Enter")
    expect(widget).to_have_attribute("data-stage", "committed")
    change.press("Enter")
    expect(first).to_be_focused()
    first.press("End")
    widget.get_by_role("button", name="Keep it").click()
    expect(first).to_have_value("0.5")
    change.click()
    first.press("Home")
    commit.click()
    expect(widget).to_have_attribute("data-stage", "committed")
    assert book.ask('guess["from scratch"]') == 0
    assert [old["values"]["from scratch"] for old in kept(book, "01.2")["before"]] == [0.5]

    book.run(book.add(OUTCOME))
    expect(widget.get_by_role("status")).to_contain_text("final")
    expect(change).to_be_hidden()
    assert slider(shown(book, "01.2"), "from scratch").is_disabled()


def test_what_another_notebook_committed_is_not_overwritten(book):
    widget = shown(book, "01.3")
    book.run(book.add('_ = ask("01.3").commit({"from scratch": 0.1, "frozen backbone": 0.2})'))
    widget.get_by_role("button", name="Commit").click()
    expect(widget.get_by_role("status")).to_contain_text("in another notebook")
    expect(slider(widget, "from scratch")).to_have_value("0.1")
    assert kept(book, "01.3")["values"] == {"from scratch": 0.1, "frozen backbone": 0.2}


def test_a_click_is_heard_after_a_cell_has_awaited(book):
    widget = shown(book, "01.4")
    book.run(book.add("import asyncio\nawait asyncio.sleep(0.2)"))
    widget.get_by_role("button", name="Commit").click()
    expect(widget).to_have_attribute("data-stage", "committed")


def test_everybody_can_use_it(book):
    package = pytest.importorskip("axe_playwright_python", reason="axe-core comes in this wheel")
    book.page.evaluate(Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8"))
    serious = """async node => (await axe.run(node)).violations
        .filter(found => ['serious', 'critical'].includes(found.impact)).map(found => found.id)"""
    fresh, done = shown(book, "01.5"), shown(book, "01.2")
    for theme in THEMES:
        book.theme(theme)
        book.page.wait_for_timeout(300)  # colours fade over
        for widget in (fresh, done):
            assert widget.evaluate(serious) == [], theme
            assert (worst := widget.evaluate(CONTRAST))["ratio"] >= 4.5, (theme, worst)
    book.theme("JupyterLab Light")
    for width in (740, 340):
        fresh.evaluate("(node, width) => { node.style.width = width + 'px'; }", width)
        assert fresh.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), width


def test_it_says_so_where_no_kernel_answers(book, tmp_path):
    widget = shown(book, "01.6")
    busy = Gate(book, tmp_path / "go")
    widget.get_by_role("button", name="Commit").click()
    expect(widget.get_by_role("status")).to_contain_text("A busy kernel answers")
    busy.open()
    expect(widget).to_have_attribute("data-stage", "committed")


def test_a_saved_notebook_shows_what_was_committed(book, server, context):
    widget = shown(book, "01.1")
    held = slider(widget, "frozen backbone").input_value()
    book.save()
    shutil.copy(server.folder / "predict.ipynb", server.folder / "saved.ipynb")  # has no kernel yet
    later = driver.Notebook(context, server, "saved.ipynb", kernel=False)
    # By its name: JupyterLab draws the cells one after another, and the last one so far is another.
    record = later.page.locator(".tlc-predict", has_text="Predict 01.1").last
    expect(slider(record, "frozen backbone")).to_have_value(held)
    expect(slider(record, "frozen backbone")).to_be_disabled()
    assert later.complaints == []
    later.close()
