"""Somebody types into a description, and what it is worth changes at once."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from . import driver
from .test_access import THEMES
from .test_steering import CONTRAST

pytestmark = pytest.mark.browser

SETUP = """import sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, {repo!r})
import torch
import tlcourse as tl
from tlcourse.course.exercises.lesson05 import WORDS
from tlcourse.methods import features, only
SAID = {{name: WORDS["tickets"][name] for name in ("access", "cancel", "broken", "wrong", "howto")}}
torch.set_num_threads(2)
shop = only(tl.load_data("tickets", labels_per_class=1), list(SAID))
minilm = tl.load_model("minilm", classes=shop.classes)
board = tl.Descriptions(minilm, shop, SAID)
"""


@pytest.fixture(scope="module")
def book(server, context):
    cells = [SETUP.format(repo=str(Path(__file__).parents[2])), "board"]
    driver.write_notebook(server.folder / "describe.ipynb", cells)
    book = driver.Notebook(context, server, "describe.ipynb")
    book.run(0)
    book.run(1)
    yield book
    assert book.complaints == []
    book.close()


@pytest.fixture
def board(book):
    found = book.page.locator(".tlc-describe").first
    found.wait_for()
    return found


def share(board):
    return board.locator(".tlc-share")


def test_typing_changes_the_numbers_at_once_and_the_kernel_agrees(book, board):
    before = share(board).inner_text()
    field = board.get_by_role("textbox", name="broken")
    field.fill("Good morning, and have a nice day.")
    expect(board.locator(".tlc-change")).to_contain_text("“broken”")
    expect(share(board)).not_to_have_text(before)
    expect(board.get_by_role("status").last).to_contain_text("texts right")
    shown = float(share(board).inner_text().removesuffix(" %")) / 100
    assert book.ask("board.accuracy") == pytest.approx(shown, abs=5e-4)
    assert book.ask("[(e.name, e.text) for e in board.edits]")[-1] == [
        "broken",
        "Good morning, and have a nice day.",
    ]
    field.fill("It does not work any more. It arrived damaged, it shows an error.")
    expect(share(board)).to_have_text(before)


def test_what_is_typed_key_by_key_stays_while_answers_come(book, board):
    field = board.get_by_role("textbox", name="howto")
    field.fill("")
    expect(board.locator(".tlc-refusal", has_text="says nothing")).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.press_sequentially(
        "How does it work? aa dd", delay=70
    )  # no shortcut of JupyterLab's hears it
    field.press("Enter")
    field.press_sequentially("Can I do this online?", delay=30)
    expect(board.locator(".tlc-refusal", has_text="says nothing")).to_have_count(0)
    expect(field).to_have_value("How does it work? aa dd\nCan I do this online?")
    expect(board.locator("[data-pending]")).to_have_count(0)
    assert book.ask("board.said['howto']") == ["How does it work? aa dd", "Can I do this online?"]
    assert book.page.locator(".jp-Cell").count() >= 2


def test_the_keyboard_alone_and_the_way_back(book, board):
    first = board.get_by_role("textbox", name="access")
    first.focus()
    first.press("Tab")
    expect(board.get_by_role("textbox", name="cancel")).to_be_focused()
    heat = board.get_by_role("slider", name="temperature")
    sure = board.locator(".tlc-much").first.inner_text()
    right = share(board).inner_text()
    heat.focus()
    for _ in range(8):
        heat.press("ArrowLeft")
    expect(board.locator(".tlc-much").first).not_to_have_text(sure)
    assert share(board).inner_text() == right
    board.get_by_role("button", name="Start over").press("Enter")
    expect(board.locator(".tlc-change")).to_have_text("")
    assert book.ask("(board.edits, board.accuracy == board.first)") == [[], True]


def test_a_plain_call_and_a_second_view_say_the_same(book, board):
    at = book.add("board.edit('cancel', 'cancel'); board")
    book.run(at)
    second = book.page.locator(".tlc-describe").nth(1)
    second.wait_for()
    for view in (board, second):
        expect(view.get_by_role("textbox", name="cancel")).to_have_value("cancel")
        expect(view.locator(".tlc-change")).to_contain_text("“cancel”")
    assert share(board).inner_text() == share(second).inner_text()
    second.get_by_role("textbox", name="cancel").fill("Please cancel it.")
    expect(board.get_by_role("textbox", name="cancel")).to_have_value("Please cancel it.")


def test_nothing_serious_in_any_theme_and_width(book, board):
    package = pytest.importorskip("axe_playwright_python", reason="axe-core comes in this wheel")
    source = Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    book.page.evaluate(source)
    board.get_by_role("textbox", name="wrong").fill("wrong")
    expect(board.locator(".tlc-change")).to_contain_text("“wrong”")
    board.locator("summary").click()
    for theme in THEMES:
        book.theme(theme)
        book.page.wait_for_timeout(300)  # colours fade over
        for width in (1100, 360):
            board.evaluate("(node, width) => { node.style.width = width + 'px'; }", width)
            found = board.evaluate("async node => (await axe.run(node)).violations")
            serious = [f["id"] for f in found if f["impact"] in ("serious", "critical")]
            assert serious == [], (theme, width)
        assert (worst := board.evaluate(CONTRAST))["ratio"] >= 4.5, (theme, worst)
        board.evaluate("node => { node.style.width = ''; }")
        name = re.sub(r"\W+", "-", theme).lower()
        if folder := os.environ.get("TLCOURSE_SHOTS"):
            board.screenshot(path=f"{folder}/describe-{name}.png")
    book.theme(THEMES[0])
