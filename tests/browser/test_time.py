"""A hand takes hold of time: drags back to rewind, bookmarks, branches, a twin; and copies as code."""

import pytest
from playwright.sync_api import expect

from .conftest import answer, begin, control, stop

pytestmark = pytest.mark.browser


@pytest.fixture
def book(open_book):
    return open_book("7.4.0")


def hold(cockpit):
    control(cockpit, "hold").click()
    expect(cockpit).to_have_attribute("data-status", "paused")


def step_of(cockpit):
    return int(cockpit.locator(".tlc-progress").get_attribute("aria-valuenow"))


def reach(book, step):
    book.page.wait_for_function(
        "step => Number([...document.querySelectorAll('.tlc-progress')].at(-1).ariaValueNow) >= step",
        arg=step,
    )


def drag_head(cockpit, share, drop=True):
    """With the mouse, to this share of the way that the head has come."""
    head = control(cockpit, "rewind")
    head.scroll_into_view_if_needed()
    box = head.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    zero = cockpit.locator(".tlc-rail").bounding_box()["x"]
    mouse = head.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move((x + zero) / 2, y)
    mouse.move(zero + share * (x - zero), y)
    if drop:
        mouse.up()


def test_dragged_back_the_head_rewinds_to_where_it_is_dropped(book):
    cockpit = begin(book, "steps=600, pace_s=0.01")
    reach(book, 120)
    hold(cockpit)
    before = step_of(cockpit)
    drag_head(cockpit, 0.5, drop=False)
    expect(cockpit.locator(".tlc-moment")).to_contain_text("Release to rewind to step")
    shown = int(cockpit.locator(".tlc-moment").inner_text().split("step ")[1].split(",")[0])
    assert abs(shown - before / 2) < 12
    book.page.mouse.up()
    expect(answer(cockpit, "rewind")).to_have_attribute("data-answer", "applied")
    expect(cockpit.locator(".tlc-moment")).to_be_hidden()
    assert step_of(cockpit) == shown == book.ask("run.step")
    assert book.ask("applied()")[-1] == {"kind": "rewind", "to": shown}
    expect(cockpit.locator(".tlc-lanes .tlc-gone")).to_have_count(1)
    stop(cockpit)


def test_escape_lets_the_head_go_back(book):
    cockpit = begin(book, "steps=600, pace_s=0.01")
    reach(book, 60)
    hold(cockpit)
    drag_head(cockpit, 0.4, drop=False)
    book.page.keyboard.press("Escape")
    expect(cockpit.locator(".tlc-moment")).to_be_hidden()
    book.page.mouse.up()
    stop(cockpit)
    assert [c["kind"] for c in book.ask("applied()")] == ["pause", "stop"]


def test_by_keyboard_the_head_walks_and_enter_rewinds(book):
    cockpit = begin(book, "steps=600, pace_s=0.01")
    reach(book, 60)
    hold(cockpit)
    step, keys = step_of(cockpit), book.page.keyboard
    head = control(cockpit, "rewind")
    head.focus()
    keys.press("PageDown")
    keys.press("ArrowLeft")
    expect(head).to_have_attribute("aria-valuenow", str(step - 31))
    expect(head).to_have_attribute(
        "aria-valuetext", f"step {step - 31}: Enter rewinds, Escape cancels"
    )
    keys.press("Escape")
    expect(head).to_have_attribute("aria-valuenow", str(step))
    keys.press("Home")
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(answer(cockpit, "rewind")).to_have_attribute("data-answer", "applied")
    assert book.ask("run.step") == 1
    stop(cockpit)
    assert [c["kind"] for c in book.ask("applied()")] == ["pause", "rewind", "stop"]


def test_a_bookmark_that_was_begun_is_kept_by_who_goes_on(book):
    cockpit = begin(book, "steps=3000")
    field = control(cockpit, "save-name")
    for leave, kept in (
        ("Escape", 0),
        ("Tab", 1),
    ):  # who goes on has the bookmark, who takes back has not
        control(cockpit, "save").click()
        field.fill("aside")
        field.press(leave)
        cockpit.page.keyboard.press("Tab")  # past "Set bookmark"
        expect(control(cockpit, "pin:aside")).to_have_count(kept)
    stop(cockpit)


def test_bookmarks_branches_and_a_twin(book):
    cockpit = begin(book, "steps=3000")
    reach(book, 20)
    control(cockpit, "save").click()
    field = control(cockpit, "save-name")
    expect(field).to_be_focused()
    field.fill("warm")
    field.press("Enter")
    expect(answer(cockpit, "save")).to_have_attribute("data-answer", "applied")
    expect(control(cockpit, "pin:warm")).to_have_text("warm")

    control(cockpit, "twin").click()
    expect(control(cockpit, "twin")).to_have_text("Twin from the next change on")
    control(cockpit, "switch:stage2").click()
    expect(control(cockpit, "twin")).to_have_text("Twin trains alongside")
    control(cockpit, "twin").click()
    expect(control(cockpit, "twin")).to_have_text("Compare with a twin")

    control(cockpit, "branch").click()
    expect(control(cockpit, "branch-name")).to_have_value("branch 1")
    control(cockpit, "branch-set").click()
    expect(control(cockpit, "pin:main")).to_be_visible()
    control(cockpit, "pin:main").click()  # back to where main was left
    expect(cockpit.locator(".tlc-moment")).to_contain_text("of main?")
    control(cockpit, "no").click()
    expect(cockpit.locator(".tlc-moment")).to_be_hidden()
    control(cockpit, "pin:main").click()
    control(cockpit, "go").click()
    expect(control(cockpit, "pin:branch 1")).to_be_visible()

    control(cockpit, "pin:warm").click()
    control(cockpit, "from").click()
    control(cockpit, "branch-name").fill("late")
    control(cockpit, "branch-set").click()
    expect(cockpit.locator(".tlc-lanes text")).to_have_text(["main", "twin", "branch 1", "late"])
    stop(cockpit)
    done = book.ask("applied()")
    left = book.ask("[t.step for t in run.timelines if t.name == 'main'][0]")
    assert done == [
        {"kind": "save", "name": "warm"},
        {"kind": "twin", "on": True},
        {"kind": "unfreeze", "group": "stage2"},
        {"kind": "twin", "on": False},
        {"kind": "branch", "name": "branch 1"},
        {"kind": "rewind", "to": done[5]["to"], "branch": "main"},
        {"kind": "branch", "name": "late", "at": "warm"},
        {"kind": "stop"},
    ]
    assert 20 < done[5]["to"] <= left
    assert book.ask("run.branch") == "late"


def test_an_entry_of_the_log_can_be_undone_and_copied(book, context):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    cockpit = begin(book, "steps=3000")
    reach(book, 10)
    control(cockpit, "switch:stage2").click()
    expect(cockpit.locator(".tlc-log li")).to_have_count(1)
    at = book.ask("[e.step for e in run.events if isinstance(e, Applied)][0]")
    control(cockpit, "copy:0").click()
    expect(control(cockpit, "copy:0")).to_have_attribute("data-copied", "")
    code = book.page.evaluate("() => navigator.clipboard.readText()")
    assert code == f"run.at({at}, tl.Unfreeze('stage2'))"

    book.page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(Error('no')); }"
    )
    control(cockpit, "copy:0").click()
    expect(cockpit.locator(".tlc-code")).to_have_value(code)
    assert book.page.evaluate("() => getSelection().toString()") == code
    book.page.keyboard.press("Tab")
    expect(cockpit.locator(".tlc-code")).to_have_count(0)

    control(cockpit, "undo:0").click()
    expect(control(cockpit, "switch:stage2")).to_have_attribute("aria-checked", "false")
    expect(cockpit.locator(".tlc-log li.tlc-undone")).to_contain_text("undone by a rewind")
    stop(cockpit)
    assert book.ask("applied()")[1] == {"kind": "rewind", "to": at}


def test_a_finished_run_can_be_taken_back_and_goes_on(book):
    cockpit = begin(book, "steps=80")
    expect(cockpit).to_have_attribute("data-status", "finished")
    expect(control(cockpit, "hold")).to_be_disabled()
    drag_head(cockpit, 0.5)
    expect(cockpit.locator(".tlc-log li").first).to_contain_text("back from step 80")
    expect(cockpit).to_have_attribute("data-status", "finished")
    to = book.ask("applied()")[-1]["to"]
    assert abs(to - 40) < 5
    steps = book.ask("[e.step for e in run.events if type(e).__name__ == 'StepDone']")
    assert steps == [*range(1, 81), *range(to + 1, 81)]

    # and from a line of a notebook, seen while its cell still runs
    cell = book.add("run.send(tl.Rewind(30)); result = await run.wait(); print(result.steps)")
    assert book.run(cell).strip() == "80"
    expect(cockpit.locator(".tlc-log li").first).to_contain_text("rewound to 30")
    assert step_of(cockpit) == 80
