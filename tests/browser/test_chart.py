"""A hand on the curves, in a page without a kernel: hover, legend, zoom, keys; and axe."""

import re

import pytest

from benchmarks.cockpit_frames import serve

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = pytest.mark.browser
LEFT, RIGHT = 50, 14
BOTH = pytest.mark.parametrize("page", ["wide", "narrow"], indirect=True)


@pytest.fixture(params=["wide", pytest.param("narrow", marks=pytest.mark.release)])
def page(browser, request):
    width = 976 if request.param == "wide" else 376
    page = browser.new_page(viewport={"width": width, "height": 900})
    failed = []
    page.on("pageerror", lambda error: failed.append(error))
    page.route("**/*", serve)
    page.goto("http://localhost/")
    page.wait_for_function("window.ready")
    page.add_style_tag(content=".tlc { width: auto !important; min-width: 0 !important; }")
    page.evaluate("chart.draw(views.storied())")
    yield page
    assert failed == []
    page.close()


def plot(page):
    return page.locator(".tlc-plot")


@BOTH
def test_on_a_low_screen_the_curves_leave_room_for_the_rates(page):
    low = plot(page).bounding_box()["height"]
    page.set_viewport_size({"width": page.viewport_size["width"], "height": 1300})
    page.evaluate("chart.draw(views.storied())")
    assert plot(page).bounding_box()["height"] >= low + 60


def px(page, step, first=0, last=400):
    """Where a step lies, from the left edge of the plot."""
    width = plot(page).bounding_box()["width"] - LEFT - RIGHT
    return LEFT + width * (step - first) / (last - first)


def point_at(page, step, y=150, **shown):
    box = plot(page).bounding_box()
    page.mouse.move(box["x"] + px(page, step, **shown), box["y"] + y)


def shown(page):
    """(first, last) step written on the axis."""
    words = page.locator(".tlc-axis text").all_text_contents()
    numbers = [float(word) for word in words if re.fullmatch(r"[\d.]+", word)]
    return numbers[0], numbers[-1]


def paths(page, key):
    return page.locator(f'.tlc-panels .tlc-line[data-role="{key}"]').count()


def tip(page):
    """What is told beside the crosshair, one frame later."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.locator(".tlc-tip").inner_text()


def test_hovering_tells_the_values_of_every_line(page):
    point_at(page, 260)
    said = tip(page)
    assert re.search(r"step 2(59|60|61)\n", said)
    for what in ("loss 0.", "loss of twin 0.", "validation accuracy", "accuracy of twin", "−0."):
        assert what in said, (what, said)
    page.mouse.move(0, 0)
    page.locator(".tlc-tip").wait_for(state="hidden")


def test_the_legend_switches_a_line_off_and_on(page):
    assert paths(page, "twin") >= 3 and page.locator('[data-panel="difference"]').count() == 1
    entry = page.locator(".tlc-entry", has_text="twin")
    entry.click()
    page.wait_for_function("document.querySelectorAll('[data-panel=difference]').length === 0")
    assert paths(page, "twin") == 1, "its own swatch"
    assert entry.get_attribute("aria-pressed") == "false"
    point_at(page, 260)
    assert "twin" not in tip(page)
    entry.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('[data-panel=difference]').length === 1")


def test_a_range_that_is_drawn_fills_the_frame_and_a_double_click_shows_all(page):
    assert shown(page) == (0, 400)
    point_at(page, 200)
    page.mouse.down()
    point_at(page, 250)
    assert page.locator(".tlc-range").is_visible()
    point_at(page, 300)
    page.mouse.up()
    page.locator(".tlc-whole").wait_for(state="visible")
    first, last = map(int, re.findall(r"\d+", page.locator(".tlc-whole").inner_text()))
    assert abs(first - 200) <= 2 and abs(last - 300) <= 2
    assert not page.locator(".tlc-range").is_visible()
    point_at(page, 250, first=first, last=last)
    assert re.search(r"step 2(49|50|51)\n", tip(page))
    plot(page).dblclick(position={"x": 200, "y": 150})
    page.wait_for_function("document.querySelector('.tlc-whole').hidden")
    assert shown(page) == (0, 400)


def test_the_wheel_zooms_only_with_a_key_held(page):
    point_at(page, 300)
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(100)
    assert shown(page) == (0, 400)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -60)
    page.wait_for_function("!document.querySelector('.tlc-whole').hidden")
    first, last = map(int, re.findall(r"\d+", page.locator(".tlc-whole").inner_text()))
    assert 0 < first < 300 < last < 400
    assert abs((300 - first) / (last - first) - 0.75) < 0.03, "what is under the pointer stays"
    for _ in range(6):
        page.mouse.wheel(0, 60)
        page.wait_for_timeout(40)
    page.keyboard.up("Control")
    assert shown(page) == (0, 400)


def test_everything_is_done_by_keys_too(page):
    plot(page).focus()
    page.keyboard.press("End")
    page.keyboard.press("Shift+ArrowLeft")
    said = page.locator(".tlc-chart [role=status]")
    expect(said).to_have_text(re.compile(r"^step \d+: loss 0\."))
    page.keyboard.press("+")
    page.locator(".tlc-whole").wait_for(state="visible")
    page.keyboard.press("+")
    page.keyboard.press("PageUp")
    page.wait_for_timeout(60)
    first, last = map(int, re.findall(r"\d+", page.locator(".tlc-whole").inner_text()))
    assert last - first < 170
    page.keyboard.press("0")
    page.wait_for_function("document.querySelector('.tlc-whole').hidden")
    page.locator(".tlc-choice", has_text="gradients").focus()
    page.keyboard.press("Space")
    page.locator('[data-panel="grad"]').wait_for()
    page.locator(".tlc-flag[tabindex='0']").focus()
    page.keyboard.press("Home")
    assert "set to 0.3" in tip(page)
    page.keyboard.press("ArrowRight")
    assert "set to 0.3" not in tip(page)


def test_a_look_at_one_measure_replaces_the_other(page):
    for words, panel in (("learning rates", "rates"), ("movement", "moved")):
        page.locator(".tlc-choice", has_text=words).click()
        page.locator(f'[data-panel="{panel}"]').wait_for()
    assert page.locator('[data-panel="rates"]').count() == 0
    assert page.locator('[data-panel="moved"] .tlc-entry').count() >= 2
    page.locator(".tlc-choice", has_text="movement").click()
    page.wait_for_function("document.querySelectorAll('[data-panel=moved]').length === 0")


def test_the_words_for_a_screen_reader_belong_to_the_picture(page):
    words = page.locator(f"#{plot(page).get_attribute('aria-describedby')}").text_content()
    assert "The training loss fell" in words and "twin" in words


@BOTH
def test_nothing_sticks_out_or_lies_on_a_heading(page):
    inside = page.locator(".tlc").bounding_box()
    for box in (node.bounding_box() for node in page.locator(".tlc-heading, .tlc-tools").all()):
        assert box["x"] >= inside["x"] - 1
        assert box["x"] + box["width"] <= inside["x"] + inside["width"] + 1
    overlap = page.evaluate("""() => [...document.querySelectorAll('.tlc-heading')].some((h) => {
        const [title, legend] = [h.children[0], h.children[1]].map((e) => e.getBoundingClientRect());
        return legend.width && title.right > legend.left + 1 && title.bottom > legend.top + 1
            && legend.bottom > title.top + 1;
    })""")
    assert not overlap


def test_a_stream_of_news_keeps_the_zoom_and_the_crosshair(page):
    point_at(page, 100)
    page.evaluate("""() => {
        const view = views.storied();
        const stretches = view.stretches.map((s, id) => (id === 3 ? { ...s, n: s.n - 20 } : s));
        chart.draw({ ...view, stretches, now: { ...view.now, step: 310 } });
    }""")
    assert re.search(r"step (99|100|101)\n", tip(page))


def test_a_finger_reads_and_two_fingers_zoom(browser):
    context = browser.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    page = context.new_page()
    page.route("**/*", serve)
    page.goto("http://localhost/")
    page.wait_for_function("window.ready")
    page.add_style_tag(content=".tlc { width: auto !important; }")
    page.evaluate("chart.draw(views.storied())")
    box = plot(page).bounding_box()
    page.touchscreen.tap(box["x"] + px(page, 200), box["y"] + 150)
    page.locator(".tlc-tip").wait_for(state="visible")
    assert re.search(r"step (19[89]|20[012])\n", tip(page))

    hand = context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": box["x"] + x, "y": box["y"] + 150, "id": i} for i, x in enumerate(places)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    middle = px(page, 200)
    touch("touchStart", middle - 30, middle + 30)
    for spread in range(30, 75, 5):
        touch("touchMove", middle - spread, middle + spread)
        page.wait_for_timeout(30)
    touch("touchEnd")
    page.locator(".tlc-whole").wait_for(state="visible")
    first, last = map(int, re.findall(r"\d+", page.locator(".tlc-whole").inner_text()))
    assert 130 < last - first < 300 and first < 200 < last
    context.close()
