"""A hand in a real Chromium steers a real run in a real JupyterLab."""

import pytest
from playwright.sync_api import expect

from tlcourse.session.threads.runner import PAUSED

from .conftest import answer, begin, control, goes_on, stop

pytestmark = pytest.mark.browser


@pytest.fixture(params=["7.4.0", pytest.param("7.3.0", marks=pytest.mark.release)])
def book(request, open_book):
    return open_book(request.param)


@pytest.fixture
def book74(open_book):
    return open_book("7.4.0")


def test_every_control_reaches_the_loop_and_is_acknowledged(book):
    cockpit = begin(book)
    assert book.ask("run.status") == "running"  # the cell has returned

    control(cockpit, "switch:stage2").click()
    expect(control(cockpit, "switch:stage2")).to_have_attribute("aria-checked", "true")
    expect(answer(cockpit, "switch:stage2")).to_have_attribute("data-answer", "applied")

    control(cockpit, "lr:head").fill("5e-4")
    control(cockpit, "lr:head").press("Enter")
    expect(answer(cockpit, "lr:head")).to_have_attribute("data-answer", "applied")
    expect(control(cockpit, "lr:head")).to_have_value("5e-4")
    drag(control(cockpit, "rate:head"), -2)
    expect(control(cockpit, "lr:head")).to_have_value("0.01")

    control(cockpit, "evaluate").click()
    control(cockpit, "augment").fill("0.5")
    expect(answer(cockpit, "augment")).to_have_attribute("data-answer", "applied")

    control(cockpit, "switch:stage2").click()
    expect(control(cockpit, "switch:stage2")).to_have_attribute("aria-checked", "false")
    control(cockpit, "stats:stage2").click()
    expect(control(cockpit, "stats:stage2")).to_have_attribute("aria-pressed", "true")
    control(cockpit, "train-backbone").click()
    expect(control(cockpit, "switch:stem")).to_have_attribute("aria-checked", "true")
    control(cockpit, "freeze-backbone").click()
    expect(control(cockpit, "switch:stem")).to_have_attribute("aria-checked", "false")

    control(cockpit, "hold").click()
    expect(cockpit.locator(".tlc-pill")).to_have_text("Paused")
    before = book.ask("run.step")
    assert book.ask("run.step") == before
    control(cockpit, "hold").click()
    expect(cockpit.locator(".tlc-pill")).to_have_text("Running")
    goes_on(book)
    stop(cockpit)
    assert book.ask("applied()") == [
        {"kind": "unfreeze", "group": "stage2"},
        {"kind": "set_lr", "group": "head", "lr": 5e-4},
        {"kind": "set_lr", "group": "head", "lr": 0.01},
        {"kind": "evaluate", "split": "valid"},
        {"kind": "augment", "strength": 0.5},
        {"kind": "freeze", "group": "stage2", "stats": True},
        {"kind": "freeze", "group": "stage2", "stats": False},
        {"kind": "unfreeze", "group": "backbone"},
        {"kind": "freeze", "group": "backbone", "stats": True},
        {"kind": "pause"},
        {"kind": "resume"},
        {"kind": "stop"},
    ]
    expect(cockpit.locator(".tlc-log li")).to_have_count(12)
    marks = cockpit.locator(".tlc-flag")
    assert marks.count() >= 1
    assert "unfroze stage2" in " ".join(marks.evaluate_all("all => all.map(m => m.ariaLabel)"))


def test_a_double_click_on_a_switch_sends_nothing_twice(book74):
    cockpit = begin(book74)
    switch = control(cockpit, "switch:stage2")
    switch.evaluate("node => { node.click(); node.click(); }")  # before any answer can come
    expect(answer(cockpit, "switch:stage2")).to_have_attribute("data-answer", "applied")
    expect(switch).to_have_attribute("aria-checked", "true")
    stop(cockpit)
    assert [c["kind"] for c in book74.ask("applied()")] == ["unfreeze", "stop"]
    assert book74.ask("sum(isinstance(e, tl.session.Refused) for e in run.events)") == 0


@pytest.mark.parametrize("version", ["7.4.0", pytest.param("7.3.0", marks=pytest.mark.release)])
def test_clicks_work_while_a_cell_awaits_the_run(open_book, version):
    book = open_book(version)
    cockpit = begin(book)
    waiting = book.add("result = await run.wait(); print(result.reason)")
    book.start(waiting)
    book.page.wait_for_function(
        "i => jupyterapp.shell.currentWidget.content.widgets[i].promptNode.textContent.includes('*')",
        arg=waiting,
    )
    control(cockpit, "switch:stage1").click()
    expect(control(cockpit, "switch:stage1")).to_have_attribute("aria-checked", "true")
    drag(control(cockpit, "rate:head"), -3)
    expect(control(cockpit, "lr:head")).to_have_value("0.001")
    control(cockpit, "hold").click()
    expect(cockpit).to_have_attribute("data-status", "paused")
    control(cockpit, "hold").click()
    expect(cockpit).to_have_attribute("data-status", "running")
    assert book.printed(waiting).strip() in ("", PAUSED)  # said after a moment of waiting
    stop(cockpit)
    book.page.evaluate("() => window.__cell")
    assert book.printed(waiting).splitlines()[-1] == "stopped"
    assert [c["kind"] for c in book.ask("applied()")] == [
        "unfreeze", "set_lr", "pause", "resume", "stop",
    ]  # fmt: skip


def test_adapters_heads_and_loss_weights(book74):
    cockpit = begin(book74, "terms={'small': small_weights}")
    cockpit.locator(".tlc-more summary").click()
    control(cockpit, "lora-group").select_option("stage2")
    control(cockpit, "lora-rank").select_option("4")
    control(cockpit, "lora").click()
    expect(answer(cockpit, "lora")).to_have_attribute("data-answer", "applied")
    expect(control(cockpit, "switch:lora")).to_have_attribute("aria-checked", "true")
    control(cockpit, "scale:lora").fill("0.5")
    expect(answer(cockpit, "scale:lora")).to_have_attribute("data-answer", "applied")
    control(cockpit, "head:mlp").click()
    expect(answer(cockpit, "head:mlp")).to_have_attribute("data-answer", "applied")
    control(cockpit, "head:linear").click()
    expect(cockpit.locator(".tlc-log li").first).to_contain_text("fresh linear head")
    control(cockpit, "weight:small").fill("1.5")
    expect(answer(cockpit, "weight:small")).to_have_attribute("data-answer", "applied")
    stop(cockpit)
    assert book74.ask("applied()") == [
        {"kind": "add_lora", "group": "stage2", "rank": 4, "name": "lora"},
        {"kind": "set_scale", "adapter": "lora", "value": 0.5},
        {"kind": "swap_head", "head": "mlp"},
        {"kind": "swap_head", "head": "linear"},
        {"kind": "set_weight", "term": "small", "value": 1.5},
        {"kind": "stop"},
    ]
    assert book74.ask("run.weights") == {"small": 1.5}
    assert book74.ask("[g.scale for g in run.groups if g.kind == 'adapter']") == [0.5]


def test_what_would_not_bite_is_refused_beside_the_control(book74):
    cockpit = begin(book74)
    head = control(cockpit, "switch:head")
    head.click()
    expect(answer(cockpit, "switch:head")).to_contain_text("Everything would be frozen")
    expect(head).to_have_attribute("aria-checked", "true")
    control(cockpit, "lr:head").fill("-1")
    control(cockpit, "lr:head").press("Enter")
    expect(answer(cockpit, "lr:head")).to_contain_text("above 0")
    expect(control(cockpit, "lr:head")).to_have_value("0.003")
    expect(cockpit.locator(".tlc-refused")).to_have_count(2)
    stop(cockpit)
    assert [c["kind"] for c in book74.ask("applied()")] == ["stop"]


def test_by_keyboard_alone_and_nothing_leaks_to_the_notebook(book74):
    cockpit = begin(book74)
    keys, page = book74.page.keyboard, book74.page
    cells = "() => jupyterapp.shell.currentWidget.content.model.cells.length"
    before = page.evaluate(cells)
    control(cockpit, "hold").focus()
    for key in ("a", "b", "d", "d", "x", "m"):
        keys.press(key)
    assert page.evaluate(cells) == before
    keys.press("Space")
    expect(cockpit).to_have_attribute("data-status", "paused")
    keys.press("Space")
    expect(cockpit).to_have_attribute("data-status", "running")

    order = []
    for _ in range(30):
        order.append(page.evaluate("() => document.activeElement.dataset.control ?? ''"))
        if order[-1] == "lr:stem":
            break
        keys.press("Tab")
    named = [name for name in order if name]
    assert named[:7] == ["hold", "evaluate", "stop", "save", "branch", "twin", "rewind"]
    assert named[-3:] == ["switch:stem", "rate:stem", "lr:stem"]
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # one can see where one is

    control(cockpit, "switch:stage2").focus()
    keys.press("Enter")
    expect(control(cockpit, "switch:stage2")).to_have_attribute("aria-checked", "true")
    assert page.evaluate("() => document.activeElement.dataset.control") == "switch:stage2"
    control(cockpit, "lr:stage2").focus()
    keys.press("ArrowUp")
    expect(control(cockpit, "lr:stage2")).to_have_value("0.01")
    keys.press("Escape")
    expect(control(cockpit, "lr:stage2")).to_have_value("0.003")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(answer(cockpit, "lr:stage2")).to_have_attribute("data-answer", "applied")
    control(cockpit, "augment").focus()
    keys.press("ArrowRight")
    expect(answer(cockpit, "augment")).to_have_attribute("data-answer", "applied")
    cockpit.locator(".tlc-flag[tabindex='0']").focus()
    expect(cockpit.locator(".tlc-tip")).to_be_visible()
    keys.press("Home")
    expect(cockpit.locator(".tlc-tip")).to_contain_text("unfroze stage2")
    control(cockpit, "stop").focus()
    keys.press("Enter")
    expect(cockpit).to_have_attribute("data-status", "stopped")
    assert [c["kind"] for c in book74.ask("applied()")] == [
        "pause", "resume", "unfreeze", "set_lr", "augment", "stop",
    ]  # fmt: skip


def test_an_error_of_the_training_thread_is_shown_message_first(book74):
    cockpit = begin(book74, "fail_at=30")
    expect(cockpit.locator(".tlc-pill")).to_have_text("Failed")
    expect(cockpit.locator(".tlc-message")).to_have_text("ValueError: the loss fell off the table")
    trace = cockpit.locator(".tlc-error pre")
    expect(trace).to_be_hidden()
    cockpit.locator(".tlc-error summary").click()
    expect(trace).to_contain_text("line ")
    expect(control(cockpit, "hold")).to_be_disabled()


def test_readable_in_both_themes_and_at_every_width(book74):
    cockpit = begin(book74)
    control(cockpit, "switch:head").click()  # a refusal, so that its colour is measured too
    expect(answer(cockpit, "switch:head")).to_have_attribute("data-answer", "refused")
    grounds = []
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        book74.theme(theme)
        grounds.append(cockpit.evaluate("node => getComputedStyle(node).backgroundColor"))
        worst = cockpit.evaluate(CONTRAST)
        assert worst["ratio"] >= 4.5, (theme, worst)
    assert grounds[0] != grounds[1]
    for width in (1180, 820, 560, 360):
        cockpit.evaluate("(node, width) => { node.style.width = width + 'px'; }", width)
        book74.page.wait_for_timeout(100)
        overflow = cockpit.evaluate(
            "node => [...node.querySelectorAll('button, input, b, h3, .tlc-say')].filter(c => {"
            " const a = c.getBoundingClientRect(), b = node.getBoundingClientRect();"
            " return a.width && (a.right > b.right + 0.5 || a.left < b.left - 0.5); }).length"
        )
        assert overflow == 0, width
    stop(cockpit)


def test_shift_enter_goes_on_and_neither_undoes_nor_destroys(book74):
    cockpit = begin(book74)
    keys, page = book74.page.keyboard, book74.page
    after = book74.add("print('went on')")
    switch = control(cockpit, "switch:stage2")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    keys.press("Shift+Enter")  # the switch was clicked: it is not pressed again
    keys.press("Shift+Enter")
    cell = "jupyterapp.shell.currentWidget.content.model.cells.get(at)"
    page.wait_for_function(f"at => {cell}.toJSON().outputs.length > 0", arg=after)
    assert book74.printed(after).strip() == "went on"
    cockpit.locator(".tlc-chart, svg").first.click()  # anywhere: the keys stay in the cockpit
    for key in ("Control+Enter", "Alt+Enter", "Shift+Enter"):
        cockpit.locator(".tlc-where").click()
        assert cockpit.evaluate("node => node.contains(document.activeElement)")
        keys.press(key)
    expect(switch).to_have_attribute("aria-checked", "true")
    assert [c["kind"] for c in book74.ask("applied()")] == ["unfreeze"]  # the same run as before
    stop(book74.cockpit())


def drag(slider, power):
    """With the mouse, to where the slider stands for ten to the power."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    thumb = 16  # px, Chromium's
    low, high, now = (
        float(slider.evaluate(f"node => node.{part}")) for part in ("min", "max", "value")
    )

    def at(value):
        share = (value - low) / (high - low)
        return box["x"] + thumb / 2 + share * (box["width"] - thumb), box["y"] + box["height"] / 2

    mouse = slider.page.mouse
    mouse.move(*at(now))
    mouse.down()
    mouse.move(*at((now + power) / 2))
    mouse.move(*at(power))
    mouse.up()


# The lowest contrast of a text in the cockpit with the ground it stands on (WCAG 2.2, 1.4.3).
CONTRAST = """root => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const over = (colours, opacity = 1) => {
        canvas.clearRect(0, 0, 1, 1);
        colours.forEach((colour, i) => {
            canvas.globalAlpha = i === colours.length - 1 ? opacity : 1;
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
        });
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (rgb) => rgb.map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    let worst = { ratio: 21 };
    for (const node of root.querySelectorAll('*')) {
        const own = [...node.childNodes].filter(c => c.nodeType === 3 && c.textContent.trim());
        if (!own.length || !node.checkVisibility() || node.closest(':disabled, .tlc-hidden')) continue;
        if (node.closest('.tlc-rate')) continue;  // dimmed while frozen, full when used
        const grounds = [];
        let opacity = 1;
        for (let n = node; n; n = n.parentElement) {
            grounds.unshift(getComputedStyle(n).backgroundColor);
            opacity *= Number(getComputedStyle(n).opacity);
        }
        const style = getComputedStyle(node);
        const ink = node instanceof SVGElement ? style.fill : style.color;
        const [a, b] = [light(over(grounds)), light(over([...grounds, ink], opacity))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < worst.ratio) worst = { ratio, text: own[0].textContent, ink, of: node.className };
    }
    return worst;
}"""
