"""What the browser draws is what the engine did: the story's real messages, fed to the real view."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.session.conftest import numbers  # noqa: F401  (a fixture)
from tests.session.hands import DETOURS, HANDS, trained
from tlcourse.plots.timelines import course_of
from tlcourse.session.commands import STEERING
from tlcourse.ui.cockpit.story import Story

VIEW = Path(__file__).with_name("drawn_lines.mjs")
pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="there is no node")


def message(content, losses, seq=0):
    """As it is sent: a copy of what the story says now."""
    buffers = [base64.b64encode(part).decode() for part in losses]
    return json.loads(json.dumps({"content": {**content, "seq": seq}, "buffers": buffers}))


def told(run, size=7):
    """As a live view hears it, `size` events at a time after the first; as one that comes late does; and
    as a notebook keeps it."""
    everything, part = run.events, type("Part", (), {"__getattr__": lambda _, n: getattr(run, n)})()
    part.events = everything.head(size)
    story = Story(part)
    story.read()
    live = [message(*story.snapshot())]
    for at in range(size, len(everything), size):
        part.events += everything[at : at + size]
        live.append(message(*story.read(), seq=len(live)))
    late = Story(run)
    late.read()
    return {"live": live, "late": message(*late.snapshot()), "saved": late.compact()}


def drawn(runs):
    """What the view makes of each run; one node for all of them."""
    cases = json.dumps([told(run) for run in runs], allow_nan=False)
    done = subprocess.run(["node", VIEW], input=cases, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(run, pictures):
    course, live = course_of(run.events), pictures["live"]
    assert live == pictures["late"], "late or live, a view ends in the same picture"
    assert [(line["name"], line["role"]) for line in live["lines"]] == [
        (line.name, line.role) for line in course.lines
    ]
    for kind in ("live", "saved"):
        for line, real in zip(pictures[kind]["lines"], course.lines, strict=True):
            assert line["steps"] == real.steps.tolist()
            for mine, its in (("losses", real.losses), ("smooth", real.smooth)):
                near = 1e-5 if kind == "live" else 1e-3
                assert np.asarray(line[mine], float) == pytest.approx(its, rel=near, nan_ok=True)
            start = None if line["start"] is None else tuple(line["start"])
            assert start == (real.start and pytest.approx(real.start, rel=1e-3))
            valid = {e.step: e.accuracy for e in real.evaluations if e.split == "valid"}
            assert line["evals"] == [list(pair) for pair in sorted(valid.items())]
    assert live["top"] == pytest.approx(course.top, rel=1e-5)
    assert live["hands"] == [role for _, role in course.hands]
    undone = [
        role == "gone" and isinstance(event.command, STEERING) for event, role in course.hands
    ]
    assert sum(live["gone"]) == sum(undone)
    ends = {line.name: line.step for line in run.timelines}
    assert {lane["name"]: lane["tip"] for lane in live["lanes"]} == ends
    present = live["lines"][0]
    assert present["steps"] == list(range(1, run.step + 1))
    assert present["losses"] == pytest.approx(run.result.losses.tolist(), rel=1e-6)


@pytest.mark.parametrize("hand", DETOURS.values(), ids=DETOURS)
def test_a_way_back_to_what_was_given_up_is_drawn_whole(numbers, hand):  # noqa: F811
    run = trained(numbers, hand)
    check(run, *drawn([run]))


@settings(max_examples=10)
@given(HANDS)
def test_the_browser_draws_what_the_engine_did(numbers, hand):  # noqa: F811
    run = trained(numbers, hand)
    check(run, *drawn([run]))


@pytest.mark.release
@settings(max_examples=1000)
@given(HANDS)
def test_the_browser_draws_what_the_engine_did_a_thousand_times(numbers, hand):  # noqa: F811
    run = trained(numbers, hand)
    check(run, *drawn([run]))
