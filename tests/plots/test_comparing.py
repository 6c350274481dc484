"""Figures that compare: lines over anything, gain against forgetting, tasks against tasks, groups."""

import numpy as np
import pytest

import tlcourse as tl
from tests.plots.overlap import unreadable, words
from tlcourse import plots
from tlcourse.errors import DataError
from tlcourse.measure import interval
from tlcourse.plots.labels import apart, folded, length

LONG = "full fine-tuning of every single weight that there is in it"
RANKS = (1, 2, 4, 8, 16)


def said(picture):
    return [text for text, *_ in words(picture)]


def measured(mean, half=0.01, unit="percent"):
    return interval([mean - half, mean, mean + half], unit=unit)


def test_lines_stand_at_what_was_given_and_are_named_at_their_ends():
    picture = plots.lines(
        {"LoRA": {r: measured(0.7 + r / 100) for r in RANKS}, "head": {1: 0.6, 16: 0.61}},
        x="rank", y="test accuracy", log=True, chance=0.1,
    )  # fmt: skip
    axes = picture.figure.axes[0]
    lora, head = axes.containers
    assert lora.lines[0].get_xdata().tolist() == list(RANKS) and axes.get_xscale() == "log"
    assert lora.lines[0].get_ydata() == pytest.approx([0.7 + r / 100 for r in RANKS])
    assert head.lines[0].get_xdata().tolist() == [1, 16]
    assert {"LoRA", "head", "guessing", "rank", "test accuracy", "80 %"} <= set(said(picture))
    assert "head ⟨61.0 %⟩ at 16" in repr(picture) and "⟨" not in picture.alt


def test_names_of_lines_that_end_together_are_moved_apart():
    many = {f"{LONG} {n}": {r: 0.8 + n / 1000 for r in RANKS} for n in range(5)}
    picture = plots.lines(many, x="rank", log=True, chance=0.8, title="A title " * 20)
    assert unreadable(picture) == []
    middles = {text: (low + high) / 2 for text, _, low, _, high in words(picture)}
    order = [middles[folded(f"{LONG} {n}", 170, bold=True)] for n in range(5)]
    assert order == sorted(order)


def test_lines_go_over_words_in_their_order_and_over_nought():
    depths = ["stem", "stage1", "stage2", "head"]
    picture = plots.lines(
        {"near": dict.fromkeys(reversed(depths), 0.5), "far": dict.fromkeys(depths[:2], 0.4)},
        x="depth",
    )
    assert [t.get_text() for t in picture.figure.axes[0].get_xticklabels()] == depths[::-1]
    weights = plots.lines(
        {"EWC": {0: measured(-0.3, unit="points"), 1: measured(-0.1, unit="points"), 100: -0.01}},
        x="weight", y="kept", log=True,
    )  # fmt: skip
    assert {"0", "1", "100", "kept (points)"} <= set(said(weights))
    assert unreadable(picture) == unreadable(weights) == []


def test_lines_say_what_does_not_fit():
    with pytest.raises(DataError, match="one point or more"):
        plots.lines({"one": {}}, x="rank")
    with pytest.raises(DataError, match="mix words"):
        plots.lines({"one": {1: 0.5, "two": 0.5}}, x="rank")
    with pytest.raises(DataError, match="0 upwards, not -1"):
        plots.lines({"one": {-1: 0.5}}, x="rank", log=True)
    with pytest.raises(DataError, match="percent and seconds"):
        plots.lines({"one": {1: measured(0.5)}}, x="rank", unit="seconds")


def test_long_names_of_bars_wrap_and_numbers_stay_free():
    picture = plots.bars({LONG: measured(0.5), f"{LONG}, twice {LONG}": -0.2, "short": 0.9})
    assert unreadable(picture) == []
    assert any("\n" in name for name in said(picture))
    assert plots.bars({"one": 0.3, "two": measured(0.2, unit="points")}, unit="points").png()


def test_the_plane_has_whiskers_both_ways_and_forgetting_counts_downwards():
    gain, lost = measured(0.3, 0.02, "points"), measured(0.1, 0.04, "points")
    picture = plots.plane({"EWC": (gain, lost), "head": ([0.2, 0.22], 0.0)})
    axes = picture.figure.axes[0]
    assert axes.yaxis_inverted()
    across, down = (bar.get_segments()[0] for bar in axes.containers[0].lines[2])
    assert across[:, 0] == pytest.approx([gain.low, gain.high])
    assert down[:, 1] == pytest.approx([lost.low, lost.high])
    assert {"EWC", "head", "better: learns more, forgets less ↗"} <= set(said(picture))
    assert f"EWC: gained on the new task {gain.text}, lost" in picture.alt
    with pytest.raises(DataError, match="gain, forgetting"):
        plots.plane({"EWC": 0.3})


@pytest.mark.parametrize("seed", range(3))
def test_names_in_the_plane_cover_neither_each_other_nor_a_point(seed):
    rng = np.random.default_rng(seed)
    points = {
        f"method {n} of many": (
            measured(0.3 + 0.03 * rng.standard_normal(), 0.01, "points"),
            measured(0.1 + 0.03 * rng.standard_normal(), 0.01, "points"),
        )
        for n in range(8)
    }
    picture = plots.plane(points, title="Eight methods")
    assert unreadable(picture) == []
    to = picture.figure.axes[0].transData.transform
    spots = [to((gain.mean, lost.mean)) for gain, lost in points.values()]
    for text, left, low, right, high in words(picture):
        if text in points:
            assert not any(left < x < right and low < y < high for x, y in spots), text


def test_heat_writes_every_number_where_it_can_be_read():
    tasks = ["digits", "letters of an unusual alphabet", "line A"]
    matrix = [[0.91, np.nan, np.nan], [0.62, 0.88, np.nan], [measured(0.4), 0.55, 0.9]]
    picture = plots.heat(matrix, [f"after {task}" for task in tasks], tasks, column="tested on")
    assert {"91.0", "40.0", "tested on   (in %)"} <= set(said(picture))
    assert "letters of an\nunusual\nalphabet" in said(picture)
    assert unreadable(picture) == []
    cells = [t for t in picture.figure.axes[0].texts]
    assert len(cells) == 6
    assert {t.get_text(): t.get_color() == "white" for t in cells} == {
        "91.0": True, "62.0": True, "88.0": True, "40.0": False, "55.0": False, "90.0": True
    }  # fmt: skip
    assert "after line A: digits 40.0 %" in picture.alt
    with pytest.raises(DataError, match=r"3 rows and 2 columns do not fit a matrix of \(3, 3\)"):
        plots.heat(matrix, tasks, tasks[:2])


def test_a_large_matrix_says_its_ends_and_stays_readable():
    values = np.random.default_rng(0).uniform(-1, 1, (14, 14))
    names = [f"class number {n}" for n in range(14)]
    picture = plots.heat(values, names, names, unit="number")
    assert unreadable(picture) == []
    at, to = np.unravel_index(values.argmax(), values.shape)
    assert f"the largest is {names[at]}, {names[to]} {values.max():.4g}" in picture.alt


def test_movement_goes_down_from_the_input_and_a_runaway_leaves_the_frame():
    groups = {"stem": 0.0, "stage1": 0.004, "stage2": measured(0.02, 0.001), "head": 1.9}
    picture = plots.movement(groups)
    axes = picture.figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == list(groups)
    assert axes.yaxis_inverted()
    assert [bar.get_width() for bar in axes.patches][:3] == pytest.approx([0, 0.004, 0.02])
    assert axes.patches[3].get_width() < 0.1 and "» 190.0 %" in said(picture)
    assert "did not move" in said(picture) and unreadable(picture) == []


def test_movement_compares_runs_and_reads_a_session():
    picture = plots.movement({"one rate": {"stem": 0.1, "head": 0.2}}, twin={"stem": 0.05})
    assert {"one rate", "without (twin)"} <= set(said(picture)) and unreadable(picture) == []
    data = tl.load_data("digits", labels_per_class=5)
    run = tl.Session(tl.load_model("pocket-glyphs", classes=data.classes), data, steps=3,
                     freeze="stem", lr=1e-3, eval_every=3)  # fmt: skip
    with pytest.raises(DataError, match="run it longer"):
        plots.movement(run)
    run.run()
    norms = [event for event in run.events if event.kind == "norms"]
    picture = plots.movement(run)
    assert "did not move" in said(picture)
    assert [bar.get_width() for bar in picture.figure.axes[0].patches][0] == norms[-1].moved["stem"]


def test_things_are_moved_apart_as_little_as_need_be():
    assert apart([10, 50], [10, 10], 0, 100) == [10, 50]
    assert apart([50, 50], [10, 10], 0, 100) == pytest.approx([45, 55])
    assert apart([99, 98, 1], [10, 10, 10], 0, 100) == pytest.approx([95, 85, 5])
    placed = np.sort(apart([5, 5, 5, 90], [30, 30, 30, 10], 0, 100))
    assert placed == pytest.approx([15, 45, 75, 95])


def test_a_text_is_folded_by_the_width_of_its_letters():
    rows = folded("iiii WWWW " * 10, 100).split("\n")
    assert all(length(row) <= 101 for row in rows) and len(rows) > 3
    assert folded("a" * 200, 100, lines=2).endswith("…")
    assert all(length(row) <= 100 for row in folded("a" * 200, 100).split("\n"))
    assert folded("snake_case\n and 漢", 500) == "snake case and □"
