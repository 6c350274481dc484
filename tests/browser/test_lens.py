"""What a learner watches besides loss and accuracy: meters in the cockpit, a lens, and the sliders that
turn terms and adapters meanwhile."""

import re

import pytest
from playwright.sync_api import expect

from .conftest import answer, begin, control, goes_on, stop

pytestmark = pytest.mark.browser

LENS = """def draw(model):
    length = model.head.weight.detach().norm(dim=1).tolist()
    return tl.plots.bars({"shortest": min(length), "longest": max(length)}, title="Weights")
tl.Lens(run, draw)"""


@pytest.fixture
def book(open_book):
    return open_book("7.4.0")


def lens_of(book):
    lens = book.page.locator(".tlc-lens").last
    expect(lens).to_have_attribute("data-step", re.compile(r"\d+"))
    return lens


def step_of(lens):
    return int(lens.get_attribute("data-step"))


def test_a_meter_is_a_line_of_its_own_that_can_be_hovered_and_hidden(book):
    given = "meters={'old task': lambda model: 0.8}, eval_every=10"
    cockpit = begin(book, given)
    accuracy = cockpit.locator('[data-panel="accuracy"]')
    line = accuracy.locator('[data-key="meter:old task:now"]')
    expect(line).to_have_attribute("d", re.compile("L"))
    assert line.evaluate("node => getComputedStyle(node).stroke") == "rgb(0, 116, 90)"
    expect(accuracy.locator(".tlc-labels text")).to_have_text("old task")
    entry = accuracy.get_by_role("button", name="old task")
    expect(entry).to_have_text(re.compile(r"old task\s80\s%"))
    box = cockpit.locator(".tlc-plot").bounding_box()
    book.page.mouse.move(box["x"] + 52, box["y"] + 60)
    expect(cockpit.locator(".tlc-tip")).to_contain_text(re.compile(r"old task 80\s%"))
    entry.click()
    expect(line).to_have_count(0)
    stop(cockpit)
    expect(cockpit.locator(".tlc-chart > .tlc-hidden").first).to_contain_text("old task: 80")


def test_a_lens_is_drawn_again_and_at_once_after_a_command_of_a_paused_run(book):
    cockpit = begin(book, "4000, pace_s=0.01")
    book.run(book.add(LENS))
    lens = lens_of(book)
    picture = lens.get_by_role("img")
    expect(picture).to_have_attribute("alt", re.compile("Weights: shortest"))
    first = step_of(lens)
    expect(lens).not_to_have_attribute("data-step", str(first))
    assert picture.bounding_box()["width"] > 400  # as large as it was drawn
    control(cockpit, "hold").click()
    expect(cockpit).to_have_attribute("data-status", "paused")
    held = book.ask("run.step")
    expect(lens).to_have_attribute("data-step", str(held))
    source = picture.get_attribute("src")
    control(cockpit, "head:linear").dispatch_event("click")
    expect(picture).not_to_have_attribute("src", source)  # a fresh head looks otherwise
    assert step_of(lens) == held
    grounds = []
    for theme in ("Dark", "Light"):
        book.theme(f"JupyterLab {theme}")
        ground = lens.evaluate("node => getComputedStyle(node).backgroundColor")
        grounds.append(sum(map(int, re.findall(r"\d+", ground)[:3])))
    assert grounds[0] < 150 < 600 < grounds[1]
    stop(cockpit)
    expect(lens).to_have_attribute("data-step", str(book.ask("run.step")))
    assert (
        book.ask("[t.name for t in __import__('threading').enumerate()]").count("tlcourse-lens")
        <= 1
    )  # this very cell may attend


def test_what_draw_raises_is_a_sentence_and_the_run_goes_on(book):
    cockpit = begin(book)
    book.run(book.add("tl.Lens(run, lambda model: model.tail)"))
    wrong = book.page.locator(".tlc-lens .tlc-wrong")
    expect(wrong).to_contain_text("It could not be drawn at this step. AttributeError")
    goes_on(book)
    stop(cockpit)


def test_terms_and_an_adapter_made_before_are_turned_by_dragging(book):
    book.run(
        book.add(
            """data = tl.load_data("digits", labels_per_class=5, seed=0)
model = tl.load_model("pocket-glyphs", classes=data.classes)
adapted = tl.methods.lora(model, rank=2, layers="conv2")
run = tl.Session(adapted, data, steps=4000, batch_size=8, terms={"small": small_weights})
tl.Cockpit(run)"""
        )
    )
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-link", "live")
    for name in ("scale:adapter", "weight:small"):
        slider = control(cockpit, name)
        assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("0", "2")
        expect(slider).to_have_value("1")
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        assert box["width"] >= 90
        middle = box["y"] + box["height"] / 2
        book.page.mouse.move(box["x"] + box["width"] / 2, middle)
        book.page.mouse.down()
        book.page.mouse.move(box["x"] + box["width"] * 0.7, middle, steps=5)
        book.page.mouse.move(box["x"] + 1, middle, steps=5)
        book.page.mouse.up()
        expect(answer(cockpit, name)).to_have_attribute("data-answer", "applied")
        expect(slider).to_have_value("0")
    assert book.ask("run.weights") == {"small": 0.0}
    assert book.ask("[g.scale for g in run.groups if g.name == 'adapter']") == [0.0]
    assert [command["kind"] for command in book.ask("applied()")] == ["set_scale", "set_weight"]
    # At its end a weight makes room for more; an adapter's scale has all the room there is.
    for name, room in (("scale:adapter", "2"), ("weight:small", "8")):
        control(cockpit, name).fill("2")
        expect(control(cockpit, name)).to_have_attribute("max", room)
        expect(control(cockpit, name)).to_have_value("2")
    control(cockpit, "weight:small").fill("6")
    expect(cockpit.locator(".tlc-log li").first).to_contain_text("weight of small set to 6")
    assert book.ask("run.weights") == {"small": 6.0}
    stop(cockpit)
