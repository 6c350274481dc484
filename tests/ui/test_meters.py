"""What a session's meters read, in the cockpit's messages, in its still picture and in figures."""

import json

import pytest

import tlcourse as tl
from tlcourse.plots.readings import COLOURS
from tlcourse.plots.timelines import course_of
from tlcourse.ui.cockpit.story import Story

from .conftest import make_run
from .test_still import drawn, lines, texts

METERS = {
    "old task": lambda model: 0.9 - float(model.head.weight.detach().norm()) / 10,
    "norm": lambda model: 2 + float(model.head.weight.detach().norm()),
}


@pytest.fixture(scope="module")
def watched():
    """An old task that is forgotten, and a number that is no share; a twin since 20, which ends at 40
    where the run goes back to branch off at 30."""
    run = make_run(steps=60, eval_every=10, meters=METERS)
    run.at(20, tl.Twin())
    run.at(20, tl.SetLR("head", 0.1))
    run.at(40, tl.Branch("bold", at=30))
    run.run()
    return run


@pytest.fixture(scope="module")
def beside():
    """The same with a twin until the end."""
    run = make_run(steps=40, eval_every=10, meters=METERS)
    run.at(20, tl.Twin())
    run.at(20, tl.SetLR("head", 0.1))
    run.run()
    return run


def read(run, name, branch):
    events = [e for e in run.events if type(e).__name__ == "Metered"]
    return [(e.step, e.value) for e in events if (e.name, e.branch) == (name, branch)]


def test_a_view_hears_of_every_reading_also_in_pieces(watched):
    story = Story(watched)
    story.read()
    state = json.loads(json.dumps(story.compact(), allow_nan=False))
    told = [e for e in state["evals"] if e["split"] == "meter" and e["name"] == "old task"]
    for branch in ("main", "twin", "bold"):
        mine = [(e["step"], e["accuracy"]) for e in told if e["branch"] == branch]
        assert mine == read(watched, "old task", branch) and mine


def test_figures_know_which_line_a_reading_belongs_to(watched):
    now, *others = course_of(watched.events).lines
    steps = [e.step for e in now.readings if e.name == "old task"]
    assert (now.name, steps) == ("bold", [0, 10, 20, 30, 40, 50, 60])
    assert {line.role: [e.step for e in line.readings if e.name == "norm"] for line in others} == {
        "other": [40],
        "gone": [30, 40],
    }
    assert all(type(e).__name__ == "Evaluated" for line in (now, *others) for e in line.evaluations)


def test_curves_draw_a_meter_beside_the_accuracy_and_say_what_it_read(beside):
    picture = tl.plots.curves(beside)
    axes = picture.figure.axes[1]
    mine = [line for line in axes.lines if line.get_color() == COLOURS[0]]
    by_length = {len(line.get_xdata()): line for line in mine}
    now = by_length[5]
    assert now.get_label() == "old task"
    assert list(now.get_ydata()) == [v for _, v in read(beside, "old task", "main")]
    assert list(by_length[3].get_xdata()) == [20, 30, 40] and by_length[3].is_dashed()
    assert "norm" not in [text.get_text() for text in axes.get_legend().get_texts()]
    last = read(beside, "old task", "main")[-1][1]
    assert f"old task {last * 100:.1f} % at the end and" in picture.alt and "norm" in picture.alt


def test_several_runs_are_told_apart_by_colour_and_their_meters_by_marks(watched):
    other = make_run(steps=20, meters={"old task": lambda model: 0.5})
    other.run()
    axes = tl.plots.curves({"one": watched, "two": other}).figure.axes[1]
    by_label = {line.get_label(): line for line in axes.lines}
    one, two = by_label["one: old task"], by_label["two: old task"]
    assert one.get_color() != two.get_color() and one.get_marker() == two.get_marker()
    assert two.get_color() == by_label["two"].get_color()


def test_the_still_picture_shows_it(beside):
    story = Story(beside)
    story.read()
    svg = drawn(story)
    last = read(beside, "old task", "main")[-1][1]
    assert f"old task {last:.1%}" in texts(svg) and not any("norm" in t for t in texts(svg))
    mine = [(dash, len(points)) for colour, dash, points in lines(svg) if colour == COLOURS[0]]
    assert sorted(mine, key=str) == [("6 3.5", 3), (None, 5)]


def test_a_recording_of_a_run_plays_its_meters(watched):
    recording = tl.Recording.of(watched)
    recording.seek(25)
    story = Story(recording)
    story.read()
    assert {e["step"] for e in story.evals if e["split"] == "meter"} == {0, 10, 20}


def test_without_meters_figures_have_no_legend():
    run = make_run(steps=20)
    run.run()
    picture = tl.plots.curves(run)
    assert picture.figure.axes[1].get_legend() is None
