"""Everybody can use it: axe-core finds nothing serious, in any theme, width and state of a run."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import answer, begin, control, stop
from .test_steering import CONTRAST

pytestmark = pytest.mark.browser

THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Light High Contrast")


@pytest.fixture
def book(open_book):
    return open_book("7.4.0")


@pytest.fixture
def axe(book):
    """Look through the cockpit as axe-core does (dequelabs); the findings that are serious."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core comes in this wheel")
    source = Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    if not book.page.evaluate("() => 'axe' in window"):
        book.page.evaluate(source)

    def look(cockpit):
        found = cockpit.evaluate("async node => (await axe.run(node)).violations")
        return [
            (finding["id"], [node["html"][:200] for node in finding["nodes"]])
            for finding in found
            if finding["impact"] in ("serious", "critical")
        ]

    return look


@pytest.mark.release
def test_axe_sees_what_is_wrong(book, axe):
    cockpit = begin(book, "steps=30")
    cockpit.evaluate("node => { node.querySelector('.tlc-lr').removeAttribute('aria-label'); }")
    assert [finding for finding, _ in axe(cockpit)] == ["label-title-only"]


def test_nothing_serious_while_a_run_is_on_and_when_it_is_over(book, axe):
    cockpit = begin(book, "steps=3000, terms={'small': small_weights}")
    control(cockpit, "switch:head").click()  # a refusal, so that it is looked at too
    expect(answer(cockpit, "switch:head")).to_have_attribute("data-answer", "refused")
    control(cockpit, "twin").click()
    control(cockpit, "switch:stage2").click()
    cockpit.locator(".tlc-more summary").click()
    control(cockpit, "save").click()
    control(cockpit, "save-set").click()
    expect(answer(cockpit, "save")).to_have_attribute("data-answer", "applied")
    control(cockpit, "pin:bookmark 1").click()
    expect(cockpit.locator(".tlc-moment")).to_be_visible()
    for theme in THEMES:
        book.theme(theme)
        book.page.wait_for_timeout(300)  # colours fade over
        assert axe(cockpit) == [], theme
        # axe-core 4.12 looks at the contrast of fields alone here; this, at every text.
        assert (worst := cockpit.evaluate(CONTRAST))["ratio"] >= 4.5, (theme, worst)
    control(cockpit, "no").click()
    book.theme("JupyterLab Light")
    for width in (1180, 360):
        cockpit.evaluate("(node, width) => { node.style.width = width + 'px'; }", width)
        assert axe(cockpit) == [], width
    stop(cockpit)
    assert axe(cockpit) == []


def test_nothing_serious_after_training_failed(book, axe):
    cockpit = begin(book, "fail_at=20")
    expect(cockpit.locator(".tlc-pill")).to_have_text("Failed")
    cockpit.locator(".tlc-error summary").click()
    assert axe(cockpit) == []


def test_high_contrast_and_forced_colours_keep_what_is_on_apart_from_what_is_off(book):
    cockpit = begin(book, "steps=3000")
    on, off = (
        cockpit.locator(f'[data-control="switch:{name}"] .tlc-knob') for name in ("head", "stem")
    )
    ground = "node => getComputedStyle(node).backgroundColor"
    try:
        book.page.emulate_media(forced_colors="active")
        assert on.evaluate(ground) != off.evaluate(ground)
        book.page.emulate_media(forced_colors="none", contrast="more")
        style = cockpit.evaluate(
            "node => [getComputedStyle(node).getPropertyValue('--ink'),"
            " getComputedStyle(node).getPropertyValue('--ink-2')]"
        )
        assert style[0] == style[1] != ""
    finally:
        book.page.emulate_media(forced_colors="none", contrast="no-preference")
    stop(cockpit)


def test_who_wants_no_motion_sees_none(book):
    cockpit = begin(book, "steps=3000")
    moving = "node => getComputedStyle(node).transitionDuration"
    knob = cockpit.locator(".tlc-knob").first
    assert knob.evaluate(moving) != "0s"
    try:
        book.page.emulate_media(reduced_motion="reduce")
        assert knob.evaluate(moving) == "0s"
    finally:
        book.page.emulate_media(reduced_motion="no-preference")
    stop(cockpit)
