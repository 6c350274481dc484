"""A figure shows what it was given: its artists are asked for their data."""

import ast
import base64
import io
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tlcourse as tl
from tlcourse import plots
from tlcourse.data.tasks import part
from tlcourse.errors import CommandError, DataError
from tlcourse.measure import confusion, interval
from tlcourse.methods import nearest
from tlcourse.plots.timelines import MARKED, course_of
from tlcourse.session.commands import Branch, Rewind
from tlcourse.session.events import Applied, Branched, Evaluated, StepDone
from tlcourse.session.state import GroupState, RunState

STATE = RunState((GroupState("head", 1, True, 1e-3, 0),))


@pytest.fixture(scope="module")
def digits():
    return tl.load_data("digits", labels_per_class=5, seed=0)


@pytest.fixture(scope="module")
def flat(digits):
    return replace(
        digits,
        train=replace(digits.train, x=digits.train.x.flatten(1).float()),
        test=replace(digits.test, x=digits.test.x.flatten(1).float()),
    )


@pytest.fixture(scope="module")
def run(flat):
    model = nn.Sequential()
    model.body, model.head = nn.Linear(flat.train.x.shape[1], 16), nn.Linear(16, 10)
    scaled = {
        name: replace(getattr(flat, name), x=getattr(flat, name).x.flatten(1).float() / 255)
        for name in ("train", "valid", "test")
    }
    session = tl.Session(
        model, replace(flat, **scaled), steps=40, eval_every=10, freeze="body", lr=1e-2
    )
    session.at(10, tl.Unfreeze("body", lr=1e-3))
    session.at(25, tl.SetLR("head", 1e-4))
    session.at(26, tl.Evaluate())
    session.run()
    return session


def images(picture):
    return [np.asarray(axes.images[0].get_array()) for axes in picture.figure.axes if axes.images]


def captions(picture):
    return [axes.get_title() for axes in picture.figure.axes if axes.images]


def as_shown(x):
    return x.permute(1, 2, 0).numpy()


def test_photos_begin_with_one_of_every_class(digits):
    picture = plots.photos(digits.train, digits.classes, rows=2, per_row=10)
    assert captions(picture) == [*digits.classes, *digits.classes]
    first = {c: digits.train.x[digits.train.y == c][0] for c in range(10)}
    for label, shown in enumerate(images(picture)[:10]):
        assert np.array_equal(shown, as_shown(first[label]))


def test_neighbours_are_shown_nearest_first_and_marked_in_words(digits, flat):
    queries = [3, 77]
    picture = plots.neighbours(flat, digits, queries, k=4)
    found = nearest(flat, flat.test.x[queries], k=4)
    for row, query in enumerate(queries):
        shown, said = images(picture)[5 * row :][:5], captions(picture)[5 * row :][:5]
        assert np.array_equal(shown[0], as_shown(digits.test.x[query]))
        for place, index in enumerate(found[row].tolist(), 1):
            assert np.array_equal(shown[place], as_shown(digits.train.x[index]))
            is_same = digits.train.y[index] == digits.test.y[query]
            assert (
                said[place] == f"{'✓' if is_same else '✗'} {digits.classes[digits.train.y[index]]}"
            )


def test_mistakes_show_only_mistakes_the_surest_first(digits):
    said = digits.test.y.clone()
    said[[5, 9, 30]] = (said[[5, 9, 30]] + 1) % 10
    sureness = torch.full((len(said),), 0.99)
    sureness[[5, 9, 30]] = torch.tensor([0.3, 0.9, 0.6])
    picture = plots.mistakes(digits.test, said, digits.classes, n=2, sureness=sureness)
    assert all(
        np.array_equal(shown, as_shown(digits.test.x[index]))
        for shown, index in zip(images(picture), [9, 30], strict=True)
    )
    said_9, is_9 = digits.classes[said[9]], digits.classes[digits.test.y[9]]
    assert captions(picture)[0] == f"✗ said {said_9}\nis {is_9}\n90 % sure"
    assert "2 of 3 mistakes" in picture.alt


def test_no_mistakes_is_said(digits):
    picture = plots.mistakes(digits.test, digits.test.y, digits.classes)
    assert not images(picture) and "none among 500" in picture.alt


def test_curves_draw_the_events(run):
    picture = plots.curves(run)
    loss, accuracy = picture.figure.axes
    raw, smooth = loss.lines[:2]
    assert np.array_equal(raw.get_ydata(), run.result.losses)
    assert smooth.get_ydata()[0] == pytest.approx(run.result.losses[0])
    aged = 0.75 ** np.arange(40)[::-1]  # 40 steps: each one back counts three quarters
    assert smooth.get_ydata()[-1] == pytest.approx((aged * run.result.losses).sum() / aged.sum())
    steps, values = run.result.curve("valid")
    assert np.array_equal(accuracy.lines[0].get_xdata(), steps)
    assert np.array_equal(accuracy.lines[0].get_ydata(), values)
    assert [line.get_xdata()[0] for line in loss.lines[2:]] == [10, 25]  # Evaluate changes nothing
    assert "step 10: body unfrozen, learning rate 0.001" in picture.alt
    assert "step 25: learning rate of head set to 0.0001" in picture.alt


def _smoothed(losses):
    return course_of(steps_of(losses)).lines[0].smooth


def test_a_smoothed_loss_never_looks_ahead_and_has_no_kink():
    losses = np.r_[np.ones(50), np.zeros(50)]
    assert _smoothed(losses)[:50] == pytest.approx(1)
    after = _smoothed(losses)[50:]
    assert after[0] == pytest.approx(0.75, abs=0.01)
    assert after[1:] / after[:-1] == pytest.approx(np.full(49, 0.75), abs=0.01)


@pytest.mark.parametrize("length", [1, 3, 400, 5000])
def test_a_constant_loss_is_smoothed_to_itself(length):
    assert _smoothed(np.full(length, 0.7)) == pytest.approx(0.7)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_no_number_leaves_a_gap_and_no_more(wrong):
    losses = np.linspace(2, 1, 100)
    smoothed = _smoothed(np.insert(losses, 40, wrong))
    assert np.isnan(smoothed[40])
    assert np.delete(smoothed, 40) == pytest.approx(_smoothed(losses))


def test_one_explosion_leaves_the_scale_and_the_rest_stays_readable():
    losses = np.linspace(3, 1, 200)
    losses[100], losses[120] = 1e30, np.nan
    picture = plots.curves(steps_of(losses))
    axes = picture.figure.axes[0]
    assert 3 <= axes.get_ylim()[1] <= 8
    smooth = axes.lines[1].get_ydata()
    assert smooth[100] > axes.get_ylim()[1] * 0.5, "the explosion is seen"
    assert smooth[140:] == pytest.approx(losses[140:], abs=0.1)
    (note,) = axes.texts
    assert note.get_text() == "↑ off this scale: up to 1e+30\nnot a number at 1 step"
    assert "off the scale" in picture.alt
    assert picture.png()


def test_a_calm_loss_is_shown_whole_and_without_a_note():
    for losses in (np.full(50, 0.5), np.geomspace(3, 0.001, 400), np.full(5, 1e4), np.zeros(3)):
        axes = plots.curves(steps_of(losses)).figure.axes[0]
        assert axes.get_ylim()[1] > losses.max()
        assert not axes.texts


def test_a_run_that_ends_in_an_explosion_does_not_flatten_its_start():
    losses = np.r_[np.linspace(3, 1, 100), np.geomspace(1, 1e12, 100), np.full(50, np.nan)]
    axes = plots.curves({"wild": steps_of(losses), "calm": steps_of(losses[:90])}).figure.axes[0]
    assert 3 <= axes.get_ylim()[1] <= 16
    assert "1e+12 (wild)" in axes.texts[0].get_text()


def steps_of(losses):
    return [StepDone(step, step, "main", float(loss)) for step, loss in enumerate(losses, 1)]


@pytest.fixture(scope="module")
def storied():
    """A rewind from 30 to 20, a branch at 25 that is left for main at 28, a twin since 40."""
    told, tick = [], 0

    def steps(first, last, loss, branch="main", *, alone=False, measured=None):
        nonlocal tick
        for step in range(first, last + 1):
            tick += not alone
            told.append(StepDone(tick, step, branch, loss(step)))
            if measured and step % 5 == 0:
                told.append(
                    Evaluated(
                        tick, step, branch, "valid", {"accuracy": measured(step), "loss": 1.0}
                    )
                )

    def done(command, step, branch="main"):
        told.append(Applied(tick, step, branch, command, None, 1, 1, STATE))

    steps(1, 30, lambda s: 1.0 if s <= 20 else 9.0, measured=lambda s: 0.5 if s <= 20 else 0.1)
    done(tl.SetLR("head", 1.0), 30)
    done(Rewind(20), 20)
    steps(21, 28, lambda s: 1.0, measured=lambda s: 0.6)
    done(Branch("bold", at=25), 25, "bold")
    told.append(Branched(tick, 25, "bold", "main", False))
    steps(26, 32, lambda s: 2.0, "bold", measured=lambda s: 0.3)
    done(Rewind(28, branch="main"), 28)
    steps(29, 40, lambda s: 1.0, measured=lambda s: 0.7)
    done(tl.SetLR("head", 1e-2), 40)
    told.append(Branched(tick, 40, "twin", "main", True))
    steps(41, 60, lambda s: 0.5, measured=lambda s: 0.9)
    steps(41, 60, lambda s: 1.0, "twin", alone=True, measured=lambda s: 0.7)
    return told


def test_every_step_belongs_to_one_line(storied):
    course = course_of(storied)
    assert course.now == "main" and course.rewinds == ((30, 20, "main"), (32, 28, "main"))
    lines = [(line.name, line.role, list(line.steps)) for line in course.lines]
    assert lines == [
        ("main", "now", list(range(1, 61))),
        ("main", "gone", list(range(21, 31))),
        ("bold", "other", list(range(26, 33))),
        ("twin", "twin", list(range(41, 61))),
    ]
    assert sum(len(steps) for *_, steps in lines) == sum(type(e) is StepDone for e in storied)
    measured = {
        (line.name, line.role): [e.accuracy for e in line.evaluations] for line in course.lines
    }
    assert measured["main", "gone"] == [0.1, 0.1]
    assert measured["main", "now"] == [0.5] * 4 + [0.6] + [0.7] * 3 + [0.9] * 4
    assert measured["bold", "other"] == [0.3] and measured["twin", "twin"] == [0.7] * 4
    assert [role for _, role in course.hands] == ["gone", "now", "other", "now", "now"]


def test_the_present_line_is_the_branch_that_trained_last_with_its_past(storied):
    inside = course_of(storied[: 1 + max(i for i, e in enumerate(storied) if e.branch == "bold")])
    assert [(line.name, line.role, len(line.steps)) for line in inside.lines] == [
        ("bold", "now", 32), ("main", "gone", 10), ("main", "other", 3)
    ]  # fmt: skip
    assert inside.lines[0].losses[25:].tolist() == [2.0] * 7


def test_figures_and_the_cockpit_mark_the_same_commands():
    from tlcourse.plots.curves import _WORDS

    assert set(_WORDS) == set(MARKED)


def test_smoothed_curves_go_on_from_where_they_leave(storied):
    now, gone, bold, twin = course_of(storied).lines
    assert now.smooth[:40] == pytest.approx(1.0), "what was given up left no trace"
    assert twin.smooth == pytest.approx(1.0) and twin.start == (40.0, pytest.approx(1.0))
    assert gone.start[0] == 20 and bold.start[0] == 25
    assert bold.smooth[0] == pytest.approx(1.25, abs=1e-3), (
        "a quarter of the new, three of what was"
    )


def test_curves_show_the_ways_that_were_not_gone(storied):
    picture = plots.curves(storied)
    loss, accuracy = picture.figure.axes
    drawn = [line for line in loss.lines if len(line.get_xdata()) > 2]
    assert list(drawn[1].get_xdata()) == list(range(1, 61))
    assert [line.get_xdata()[0] for line in drawn[2:]] == [20, 25, 40]
    texts = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert texts == ["this run", "given up", "bold", "without (twin)"]
    assert "in the twin without" in picture.alt and "beside bold" in picture.alt
    assert loss.get_ylim()[1] < 5, "what was given up does not set the scale"
    listing = picture.figure._supxlabel.get_text()
    assert "1  step 30: learning rate of head set to 1  (given up)" in listing
    assert "2  step 30: rewound to step 20\n" in listing
    assert "3  step 25: branch bold begun at 25  (on another timeline)" in listing


def test_runs_are_told_apart_by_name(run):
    picture = plots.curves({"one": run, "two": run.events[:200]})
    legend = picture.figure.axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]


def test_label_efficiency_draws_means_and_bounds():
    many = interval([0.94, 0.95, 0.96])
    picture = plots.label_efficiency({"frozen": {10: many, 1: [0.7, 0.8]}, "scratch": {10: 0.5}})
    axes = picture.figure.axes[0]
    frozen, scratch = axes.containers
    assert frozen.lines[0].get_xdata().tolist() == [1, 10]
    assert frozen.lines[0].get_ydata().tolist() == pytest.approx([0.75, 0.95])
    low, high = frozen.lines[2][0].get_segments()[1][:, 1]
    assert (low, high) == pytest.approx((many.low, many.high))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10"]
    assert many.text in picture.alt and "⟨" not in picture.alt


def test_fewer_names_than_labels_are_refused_in_one_sentence(digits, flat):
    few = digits.classes[:3]
    drawings = (
        lambda: plots.photos(digits.train, few),
        lambda: plots.mistakes(digits.test, np.zeros(len(digits.test), int), few),
        lambda: plots.feature_map(flat.test, few, method="pca"),
        lambda: plots.cloud(flat.test, classes=few),
    )
    for draw in drawings:
        with pytest.raises(
            DataError, match="^3 class names for labels from 0 to 9: give the names"
        ):
            draw()
    threes = part(digits, few)
    assert plots.photos(threes.train, few).figure.axes  # no more labels than names


def test_bars_are_as_long_as_their_means_and_say_them():
    measured = {
        "cached": interval([0.04, 0.05], unit="seconds"),
        "anew": interval([7, 8], unit="seconds"),
    }
    axes = plots.bars(measured).figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.045, 7.5])
    assert [note.get_text() for note in axes.texts] == [value.text for value in measured.values()]
    assert all(bar.get_facecolor() == bar.get_edgecolor() for bar in axes.patches)
    with pytest.raises(DataError, match="percent, seconds"):
        plots.bars({**measured, "accuracy": 0.9})


def test_a_bare_number_is_a_hollow_bar_beside_what_was_measured():
    measured = interval([0.9, 0.92])
    guess, outcome = plots.bars({"guess": 0.8, "outcome": measured}).figure.axes[0].patches
    assert guess.get_hatch() and not outcome.get_hatch()
    assert guess.get_facecolor() != guess.get_edgecolor() == outcome.get_facecolor()


def test_confusion_writes_every_count_in_its_cell():
    matrix = confusion([0, 1, 1, 2, 2, 2], [0, 1, 0, 2, 2, 1], 3)
    axes = plots.confusion(matrix, ["a", "b", "c"]).figure.axes[0]
    written = {tuple(text.get_position())[::-1]: int(text.get_text()) for text in axes.texts}
    assert written == {(r, c): matrix[r, c] for r, c in np.argwhere(matrix).tolist()}
    with pytest.raises(DataError, match="2 × 2"):
        plots.confusion(matrix, ["a", "b"])


def test_a_map_keeps_every_point_and_the_pca_is_a_projection(digits, flat):
    axes = plots.feature_map(flat.train, digits.classes, method="pca").figure.axes[0]
    drawn = np.concatenate([np.asarray(group.get_offsets()) for group in axes.collections])
    rows = nn.functional.normalize(flat.train.x, dim=1).double()
    rows = rows - rows.mean(0)
    order = torch.argsort(flat.train.y, stable=True)
    _, values, _ = torch.linalg.svd(rows, full_matrices=False)
    assert drawn.shape == (len(flat.train), 2)
    assert np.square(drawn).sum(0) == pytest.approx(values[:2].square().numpy(), rel=1e-3)
    inner = rows[order] @ rows[order].T  # projection never lengthens
    assert (np.square(drawn).sum(1) <= inner.diagonal().numpy() + 1e-9).all()
    assert [note.get_text() for note in axes.texts] == list(digits.classes)
    assert axes.get_xlabel().startswith("PCA: ")


def test_names_on_a_map_do_not_lie_on_each_other():
    from tlcourse.plots.projections import _apart

    points = np.array([[0.0, 0.0], [620.0, 440.0]])  # one unit is one pixel
    places = np.array([[100.0, 50.0], [110.0, 52.0], [105.0, 55.0], [400.0, 51.0]])
    moved = _apart(places, ["helicopter", "airplanes", "ibis", "ketch"], points)
    assert np.array_equal(moved[[0, 3]], places[[0, 3]])  # the lowest, and the one far away
    assert np.diff(np.sort(moved[:3, 1])).min() >= 16


def test_a_picture_is_a_png_at_twice_its_size_on_opaque_paper(tmp_path):
    picture = plots.bars({"one": 0.5})
    data, metadata = picture._repr_mimebundle_()
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    size = metadata["image/png"]
    assert image.size == (2 * size["width"], 2 * size["height"])
    assert image.convert("RGBA").getchannel("A").getextrema() == (255, 255)
    assert data["text/plain"].startswith("Comparison: one ⟨50.0 %") and "⟨" not in size["alt"]
    assert Image.open(picture.save(tmp_path / "bars.png")).format == "PNG"


def test_photos_travel_as_jpeg(digits):
    data, metadata = plots.photos(digits.train, digits.classes)._repr_mimebundle_()
    assert set(data) == {"image/jpeg", "text/plain"} and set(metadata) == {"image/jpeg"}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"]))).format == "JPEG"


def test_nothing_imports_pyplot():
    for source in Path(plots.__file__).parent.glob("*.py"):
        assert "pyplot" not in {
            part
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(n.name for n in node.names)]
            for part in name.split(".")
        }


def test_the_users_own_style_changes_nothing_and_stays(run):
    plain = plots.curves(run).png()
    with matplotlib.rc_context({"axes.facecolor": "black", "axes.linewidth": 9}):
        mine = dict(matplotlib.rcParams)
        assert plots.curves(run).png() == plain
        assert dict(matplotlib.rcParams) == mine


def test_what_cannot_be_drawn_is_refused(digits, flat):
    with pytest.raises(DataError, match="no steps"):
        plots.curves([])
    with pytest.raises(DataError, match=r"images \(N, 3, H, W\)"):
        plots.photos(flat.train, digits.classes)
    for sheet in ({"rows": 0}, {"per_row": 0}):
        with pytest.raises(DataError, match="show nothing: give 1 or more"):
            plots.photos(digits.train, digits.classes, **sheet)
    with pytest.raises(DataError, match="0 to 499"):
        plots.neighbours(flat, digits, [500])
    with pytest.raises(DataError, match="other train photos"):
        plots.neighbours(flat, tl.load_data("digits", labels_per_class=5, seed=1), [0])
    with pytest.raises(CommandError, match="'umap'.*tsne, pca"):
        plots.feature_map(flat.train, digits.classes, method="umap")
    with pytest.raises(DataError, match="do not fit"):
        plots.mistakes(digits.test, [1, 2], digits.classes)
