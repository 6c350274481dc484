"""The lens: a picture of the model, drawn again while the run goes on and after every command."""

import threading
import time

import pytest
from matplotlib.figure import Figure

import tlcourse as tl
from tlcourse.errors import CommandError, DataError
from tlcourse.plots.style import Picture, sheet, styled
from tlcourse.ui.lens.images import image_of
from tlcourse.ui.lens.watcher import SHARE, Turns

from .conftest import eventually, make_run

pytestmark = pytest.mark.usefixtures("wired")


@pytest.fixture
def runs():
    made = []

    def make(**options):
        made.append(make_run(**options))
        return made[-1]

    yield make
    for run in made:
        if run.status in ("running", "paused"):
            run.send(tl.Stop())
            run.run()


def drawing(run, slow_s=0.0):
    """A small picture, and the steps at which it was drawn."""
    steps = []

    def draw(model):
        assert not model.training
        steps.append(run.step)
        time.sleep(slow_s)
        with styled():
            return Picture(sheet(0.5, width=1), f"weights after {run.step} steps")

    return draw, steps


def states(lens):
    return [data["state"]["seen"] for _, data, _ in list(lens.comm.sent) if "seen" in data["state"]]


def look_on(lens):
    lens.comm.say({"type": "hello"})
    return eventually(lambda: lens.seen["image"] or lens.seen["error"])


def test_it_is_drawn_again_while_the_run_goes_on_and_shows_the_step(runs):
    run = runs(steps=5000, slow_s=0.001)
    draw, steps = drawing(run)
    lens = tl.Lens(run, draw, every=0.1)
    look_on(lens)  # also before the start
    assert steps == [0] and run.status == "ready"
    run.start()
    eventually(lambda: len(steps) > 4)
    assert steps == sorted(set(steps))
    shown = states(lens)[-1]
    assert shown["image"]["source"].startswith("data:image/png;base64,iVBOR")
    assert shown["image"]["alt"] == f"weights after {shown['step']} steps"
    assert (shown["total"], shown["branch"], shown["error"]) == (5000, "main", "")


def test_a_command_is_seen_at_once_and_also_while_the_run_is_paused(runs):
    run = runs(steps=10**5, slow_s=0.001).start()
    draw, steps = drawing(run)
    lens = tl.Lens(run, draw, every=600)
    look_on(lens)
    for number, command in enumerate([tl.SetLR("head", 0.1), tl.Pause(), tl.Unfreeze("body")], 2):
        run.send(command)
        eventually(lambda number=number: len(states(lens)) >= number)
        time.sleep(0.3)
    assert run.status == "paused" and len(steps) == 4 and steps[-1] == run.step
    time.sleep(0.3)
    assert len(steps) == 4  # a run that stands still looks as it did


def test_headless_it_is_drawn_once_and_only_at_the_end(runs):
    run = runs(steps=200, slow_s=0.001)
    draw, steps = drawing(run)
    lens = tl.Lens(run, draw, every=0.01)
    run.start().run()
    eventually(lambda: lens.seen["image"])
    assert steps == [200] and lens.seen["step"] == 200
    assert lens._bundle()[0]["image/png"] and repr(lens) == "Lens on a run of 200 steps"
    assert lens._bundle()[1]["image/png"]["alt"] == "weights after 200 steps"


def test_nothing_is_left_after_the_end_and_a_late_view_has_the_last_picture(runs):
    run = runs(steps=50)
    draw, steps = drawing(run)
    lenses = [tl.Lens(run, draw), tl.Lens(run, draw)]
    run.run()
    eventually(lambda: steps == [50, 50])
    eventually(lambda: not any(t.name == "tlcourse-lens" for t in threading.enumerate()))
    for lens in lenses:
        assert look_on(lens)["alt"] == "weights after 50 steps"
    eventually(lambda: not any(t.name == "tlcourse-lens" for t in threading.enumerate()))
    assert steps == [50, 50]
    run.send(tl.Rewind(20))
    run.run()
    lenses[0]._watcher.wake()  # as after every cell
    eventually(lambda: steps == [50] * 3)


def test_what_draw_raises_is_shown_and_the_run_goes_on(runs):
    run = runs(steps=10**5, slow_s=0.001).start()

    def draw(model):
        raise ValueError("no such layer:  'tail'")

    lens = tl.Lens(run, draw, every=0.05)
    look_on(lens)
    assert lens.seen["error"] == "ValueError: no such layer: 'tail'" and lens.seen["image"] is None
    step = run.step
    eventually(lambda: run.step > step)
    shown = tl.Lens(run, lambda model: 3)
    look_on(shown)
    assert (
        "draw returned a int, which is not a picture; let it return one of tl.plots"
        in (shown.seen["error"])
    )


def test_a_run_under_a_lens_is_bit_for_bit_the_run_without(runs):
    alone = runs(steps=150).run()
    run = runs(steps=150, slow_s=0.002)
    draw, steps = drawing(run)
    look_on(tl.Lens(run, draw, every=0.01))
    assert run.start().run().losses.tolist() == alone.losses.tolist() and len(steps) > 2


def test_drawing_takes_about_a_fifth_of_the_time_at_most():
    """By a clock of our own: a minute of a run whose picture takes 0.3 s, with and without a hand that
    drags a slider in its second ten seconds."""
    for hand in (False, True):
        turns, now, spent, began_at = Turns(every=1.0), 0.0, 0.0, []
        while now < 60:
            if turns.due(now, trained=True, steered=hand and 10 < now < 20):
                turns.took(now, 0.3, held_up=True)
                began_at.append(now)
                spent, now = spent + 0.3, now + 0.3
            now += 0.02
        assert 0.15 < spent / 60 < (SHARE + 0.02 if not hand else 0.3)
        assert all(b - a >= 0.6 - 1e-9 for a, b in zip(began_at, began_at[1:], strict=False))
    turns = Turns(every=1.0)
    turns.took(0.0, 0.01, held_up=True)
    assert not turns.due(0.9, trained=True, steered=False)
    assert turns.due(1.0, trained=True, steered=False)
    turns.took(2.0, 3.0, held_up=False)  # a paused run loses nothing by it
    assert turns.due(5.0, trained=False, steered=True)


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda run: tl.Lens(run, 3), "draw is a function of the model"),
        (lambda run: tl.Lens(run, repr, every=0), "seconds above 0, not 0"),
        (lambda run: tl.Lens("run", repr), "needs a Session .*not 'run'"),
    ],
)
def test_what_is_no_lens_is_refused(make, says):
    with pytest.raises(CommandError, match=says):
        make(make_run())


class Drawn:
    def _repr_svg_(self):
        return "<svg/>"


def test_anything_that_can_be_shown_as_an_image_is_one():
    figure = Figure(figsize=(2, 1))
    axes = figure.add_subplot(title="Weights")
    for drawn in (figure, axes):
        image = image_of(drawn)
        assert (image.kind, image.alt, image.width) == ("image/png", "Weights", 200)
    assert image_of(Drawn()).address() == "data:image/svg+xml;base64,PHN2Zy8+"
    with pytest.raises(DataError, match="draw returned nothing, which is not a picture"):
        image_of(None)
