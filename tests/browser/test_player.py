"""A recording in the cockpit: it plays, pauses, goes faster and to any place, and cannot be steered."""

import pytest
from playwright.sync_api import expect

from .conftest import control

pytestmark = pytest.mark.browser

PLAY = """
from tlcourse.session import Recording
made = digits_run(600)
made.at(100, tl.Unfreeze("stage2"))
made.at(200, tl.SetLR("head", 1e-3))
made.run()
run = Recording.of(made)
tl.Cockpit(run)
"""


@pytest.fixture
def book(open_book):
    return open_book("7.4.0")


def at(cockpit):
    return int(control(cockpit, "seek").input_value())


def test_every_control_of_the_player(book):
    book.run(book.add(PLAY))
    cockpit = book.cockpit()
    expect(cockpit).to_have_attribute("data-link", "live")
    expect(control(cockpit, "play")).to_have_text("Pause")
    for steering in (
        "hold",
        "evaluate",
        "stop",
        "save",
        "branch",
        "twin",
        "freeze-backbone",
        "lora",
    ):
        expect(control(cockpit, steering)).to_be_hidden()
    expect(control(cockpit, "switch:head")).to_be_disabled()

    control(cockpit, "play").click()
    expect(control(cockpit, "play")).to_have_text("Play")
    assert book.ask("run.player['playing']") is False
    control(cockpit, "speed").select_option("16")
    assert book.ask("run.player['speed']") == 16

    control(cockpit, "seek").fill("300")
    expect(cockpit.locator(".tlc-where")).to_have_text("step 300 of 600")
    expect(cockpit.locator(".tlc-log li")).to_have_count(2)
    expect(control(cockpit, "switch:stage2")).to_have_attribute("aria-checked", "true")
    assert book.ask("run.player['at']") == 300
    control(cockpit, "seek").fill("150")
    expect(cockpit.locator(".tlc-where")).to_have_text("step 150 of 600")
    expect(cockpit.locator(".tlc-log li")).to_have_count(1)
    expect(control(cockpit, "undo:0")).to_be_hidden()
    expect(control(cockpit, "copy:0")).to_be_visible()

    control(cockpit, "play").click()
    expect(cockpit).to_have_attribute("data-status", "finished")
    expect(cockpit.locator(".tlc-where")).to_have_text("step 600 of 600")
    assert at(cockpit) == 600
    control(cockpit, "speed").select_option("0.5")
    control(cockpit, "play").click()  # from the beginning
    expect(cockpit).to_have_attribute("data-status", "running")
    control(cockpit, "play").click()
    expect(cockpit).to_have_attribute("data-status", "paused")
    assert at(cockpit) < 600
