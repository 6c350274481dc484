"""Other places: Notebook 7, ipykernel 6, a hello that is lost, two views of one run."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import Gate, answer, begin, control, stop

pytestmark = pytest.mark.browser


@pytest.mark.release
@pytest.mark.parametrize("version", ["7.4.0", "7.3.0"])
def test_in_notebook_7(open_book, version):
    book = open_book(version, "notebooks")
    assert book.page.evaluate("() => jupyterapp.name") == "Jupyter Notebook"
    cockpit = begin(book)
    control(cockpit, "switch:stage2").click()
    expect(answer(cockpit, "switch:stage2")).to_have_attribute("data-answer", "applied")
    expect(cockpit.locator(".tlc-place")).to_be_hidden()
    stop(cockpit)
    assert [c["kind"] for c in book.ask("applied()")] == ["unfreeze", "stop"]


@pytest.mark.release
def test_on_ipykernel_6_it_works_while_no_cell_runs_and_says_so(open_book, tmp_path):
    book = open_book("6.31.0")
    cockpit = begin(book, "steps=4000")
    expect(cockpit.locator(".tlc-place")).to_contain_text("clicks wait while a cell runs")
    control(cockpit, "switch:stage2").click()
    expect(answer(cockpit, "switch:stage2")).to_have_attribute("data-answer", "applied")

    busy = Gate(book, tmp_path / "go")
    control(cockpit, "switch:stage1").click()
    expect(answer(cockpit, "switch:stage1")).to_have_attribute("data-answer", "pending")
    progress = cockpit.locator(".tlc-progress")
    before = progress.get_attribute("aria-valuenow")
    expect(progress).not_to_have_attribute("aria-valuenow", before)  # what it shows goes on
    expect(answer(cockpit, "switch:stage1")).to_have_attribute("data-answer", "pending")
    busy.open()
    expect(answer(cockpit, "switch:stage1")).to_have_attribute("data-answer", "applied")
    stop(cockpit)
    assert [c["kind"] for c in book.ask("applied()")] == ["unfreeze", "unfreeze", "stop"]


LOSSY = """
lost = []
def losing(self, widget, content, buffers, hear=tl.Cockpit._hear):
    if content["type"] == "hello" and len(lost) < 2:
        lost.append(content)
    else:
        hear(self, widget, content, buffers)
kept, tl.Cockpit._hear = tl.Cockpit._hear, losing
run = digits_run(4000)
shown = tl.Cockpit(run)
tl.Cockpit._hear = kept
shown
"""


def test_a_hello_that_is_lost_is_said_again(open_book):
    book = open_book("7.4.0")
    book.run(book.add(LOSSY))
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-link", "live")
    assert book.ask("len(lost)") == 2
    expect(cockpit.locator(".tlc-where")).to_have_text(re.compile(r"step [1-9]\d* of 4000"))
    stop(cockpit)


def test_two_views_of_one_run_show_the_same(open_book):
    book = open_book("7.4.0")
    first = begin(book, "steps=4000")
    at = book.page.locator(".tlc").count() - 1
    book.run(book.add("tl.Cockpit(run)"))
    first, second = book.cockpit(at), book.cockpit(at + 1)
    expect(second).to_have_attribute("data-link", "live")
    control(second, "switch:stage2").click()
    expect(control(first, "switch:stage2")).to_have_attribute("aria-checked", "true")
    expect(answer(first, "switch:stage2")).to_have_text("")  # the answer is for the hand that asked
    control(first, "hold").click()
    for view in (first, second):
        expect(view).to_have_attribute("data-status", "paused")
    for part in (".tlc-log li .tlc-what", ".tlc-where", ".tlc-lr"):
        assert first.locator(part).all_inner_texts() == second.locator(part).all_inner_texts()
    stop(second)


STEER = """
import torch
from tests.browser.runs import net
torch.manual_seed(0)
model = net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
batches = [(torch.rand(8, 3, 16, 16), torch.randint(0, 10, (8,))) for _ in range(20)]
run = tl.steer(batches, model=model, optimizer=optimizer, epochs=1000)
tl.Cockpit(run)
"""
LOOP = """
async for x, y in run:
    loss = torch.nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    run.log(loss)
print("over")
"""


def test_a_loop_of_ones_own_is_steered_while_its_cell_runs(open_book):
    book = open_book("7.4.0")
    book.run(book.add(STEER))
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-link", "live")
    expect(cockpit.locator(".tlc-pill")).to_have_text("Ready")
    for missing in ("augment", "evaluate", "twin"):
        if missing not in book.ask("sorted(run.can)"):
            expect(control(cockpit, missing)).to_be_hidden()
    loop = book.add(LOOP)
    book.start(loop)
    expect(cockpit).to_have_attribute("data-status", "running")
    control(cockpit, "switch:stage2").click()
    expect(control(cockpit, "switch:stage2")).to_have_attribute("aria-checked", "false")
    control(cockpit, "lr:head").fill("0.02")
    control(cockpit, "lr:head").press("Enter")
    expect(answer(cockpit, "lr:head")).to_have_attribute("data-answer", "applied")
    expect(cockpit.locator(".tlc-where")).to_have_text(re.compile(r"step [1-9]\d* of 20000"))
    stop(cockpit)
    book.page.evaluate("() => window.__cell")
    assert book.printed(loop).strip() == "over"
    assert book.ask("applied()") == [
        {"kind": "freeze", "group": "stage2", "stats": True},
        {"kind": "set_lr", "group": "head", "lr": 0.02},
        {"kind": "stop"},
    ]
    assert book.ask("{g.name: g.lr for g in run.groups if g.trainable}")["head"] == 0.02
