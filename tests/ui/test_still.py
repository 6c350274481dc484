"""The picture that stays where no widget can run."""

import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

import tlcourse as tl
from tlcourse.plots.timelines import course_of
from tlcourse.session.commands import Branch, Rewind
from tlcourse.session.events import Applied, Branched, Evaluated, Saved, StepDone
from tlcourse.session.state import GroupState, RunState
from tlcourse.session.timelines.paths import Paths
from tlcourse.ui.cockpit.still import LOSS, still
from tlcourse.ui.cockpit.story import Story

from .conftest import make_run

SVG = "{http://www.w3.org/2000/svg}"
TOP, HEIGHT = LOSS

STATE = RunState((GroupState("head", 1, True, 1e-3, 0),))


def drawn(story):
    """The picture, which is a document of its own that reaches for nothing."""
    text = still(story)
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    return ET.fromstring(text)


def texts(svg):
    return [node.text for node in svg.iter(f"{SVG}text")]


def lines(svg):
    """[(colour, dash, points)] of every curve."""
    return [
        (
            node.get("stroke"),
            node.get("stroke-dasharray"),
            [tuple(map(float, point.split(","))) for point in node.get("points").split()],
        )
        for node in svg.iter(f"{SVG}polyline")
    ]


@pytest.fixture
def storied():
    """A rewind from 30 to 20, a branch at 25 that is left for main, a twin since 40; a bookmark."""
    told, tick = [], 0

    def steps(first, last, loss, branch="main", twin=False):
        nonlocal tick
        for step in range(first, last + 1):
            tick += not twin
            told.append(StepDone(tick, step, branch, loss))
            if step % 5 == 0:
                told.append(
                    Evaluated(
                        tick, step, branch, "valid", {"accuracy": 1 - loss / 10, "loss": loss}
                    )
                )

    def done(command, step, branch="main"):
        told.append(Applied(tick, step, branch, command, None, 1, 1, STATE))

    steps(1, 20, 2.0)
    told.append(Saved(tick, 20, "main", "<warm>", 1.0))
    done(tl.SetLR("head", 1.0), 20)
    steps(21, 30, 50.0)
    done(Rewind(20), 20)
    steps(21, 25, 2.0)
    done(Branch("bold"), 25, "bold")
    told.append(Branched(tick, 25, "bold", "main", False))
    steps(26, 32, 2.5, "bold")
    done(Rewind(25, branch="main"), 25)
    steps(26, 40, 2.0)
    done(tl.SetLR("head", 1e-2), 40)
    told.append(Branched(tick, 40, "twin", "main", True))
    steps(41, 60, 1.0)
    steps(41, 60, 2.0, "twin", twin=True)
    return story_of(told, step=60, total=100)


def story_of(told, step, total):
    now = {"status": "running", "step": step, "tick": step, "total": total}
    return SimpleNamespace(paths=Paths(told), now=lambda: now)


def test_the_picture_shows_curve_marks_and_outcome():
    run = make_run(steps=60)
    run.at(20, tl.Unfreeze("body", lr=1e-3))
    run.at(30, tl.Unfreeze("body"))
    run.at(40, tl.SetLR("head", 3e-4))
    run.run()
    story = Story(run)
    story.read()
    svg = drawn(story)
    assert any(text.startswith("finished after 60 of 60 steps") for text in texts(svg))
    assert "1  step 20: unfroze body at lr 0.001" in texts(svg)
    assert "2  step 40: lr of head set to 3e-4" in texts(svg)
    marks = [node for node in svg.iter(f"{SVG}path") if node.get("stroke-dasharray")]
    assert len(marks) == 2, "two were applied, one was refused"
    (width,) = {float(node.get("d")[1:].split()[0]) for node in marks[:1]}
    assert width == pytest.approx(52 + (720 - 52 - 14) * 20 / 60, abs=0.1)
    assert "given up" not in texts(svg)
    assert len(still(story)) < 30_000


def test_every_timeline_is_told_apart(storied):
    svg = drawn(storied)
    looks = [(colour, dash) for colour, dash, _ in lines(svg)]
    assert ("#a3417c", "6 3.5") in looks and ("#6b7680", "1 3") in looks
    assert ("#6b7680", None) in looks and ("#0072b2", None) in looks
    said = texts(svg)
    for key in ("main (now)", "bold", "twin: without", "given up", "<warm>"):
        assert key in said, key
    assert said[0] == (
        "running after 60 of 100 steps · validation accuracy 90.0% · without it, in the twin, 80.0%"
    )
    assert "1  step 20: lr of head set to 1 (given up)" in said
    assert "2  step 30: rewound to 20" in said


def test_what_was_given_up_does_not_set_the_scale(storied):
    svg = drawn(storied)
    top = course_of(storied.paths).top
    assert 2.0 < top < 2.7, "of what is alive"
    now = [points for colour, _, points in lines(svg) if colour == "#0072b2"][-1]
    assert now[0][1] == pytest.approx(TOP + HEIGHT * (1 - 2 / top), abs=0.1)


def test_the_picture_of_a_run_that_explodes_still_shows_how_it_began():
    calls = []

    def exploding(logits, target):
        calls.extend([1] if logits.requires_grad else [])
        return logits.square().mean() * 0 + (2.0 if len(calls) <= 20 else 1e30)

    run = make_run(steps=40, loss=exploding, eval_every=40)
    run.run()
    story = Story(run)
    story.read()
    for _, _, points in lines(drawn(story))[:2]:  # each step, and smoothed
        heights = [y for _, y in points]
        assert heights[0] == pytest.approx(TOP + HEIGHT * (1 - 2 / (5 * 1.05)), abs=0.1), "2 of 5"
        assert heights[-1] == pytest.approx(TOP - HEIGHT / 5, abs=0.1), "just above the frame"


def test_a_loss_that_is_not_a_number_leaves_a_gap():
    events = [StepDone(i, i, "main", float("nan") if 10 <= i < 20 else 1.0) for i in range(1, 31)]
    gap = lines(drawn(story_of(events, step=30, total=30)))
    curves = [points for colour, _, points in gap if colour == "#0072b2"]
    assert [len(points) for points in curves] == [9, 11, 9, 11]


def test_before_the_first_step_there_is_a_frame():
    assert lines(drawn(story_of([], step=0, total=100))) == []
