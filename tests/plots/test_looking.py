"""Figures to look into things: clouds of features, filters and maps, texts, single predictions."""

import numpy as np
import pytest
import torch

import tlcourse as tl
from tests.plots.overlap import unreadable, words
from tlcourse import plots
from tlcourse.data import Split
from tlcourse.errors import DataError, ModelError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((60, 12)) + np.eye(3).repeat(20, 0).repeat(4, 1), np.arange(3).repeat(20)
DOMAINS = np.tile(["line-a", "line-b"], 30)
NAMES = ["scratch", "a hole whose name is as long as that of a queen or longer", "stain"]


def split_of(x, y, texts=()):
    return Split(torch.as_tensor(x), torch.as_tensor(y), tuple(map(str, range(len(y)))), texts)


def drawn(picture):
    """Every point in the cloud; the large ones are the means."""
    groups = [c for c in picture.figure.axes[0].collections if c.get_sizes()[0] < 30]
    return np.concatenate([np.asarray(group.get_offsets()) for group in groups])


def said(picture):
    return [text for text, *_ in words(picture)]


def test_a_cloud_is_the_plane_of_the_map():
    picture = plots.cloud(X, Y, classes=NAMES)
    flat = plots.feature_map(split_of(X, Y), NAMES, method="pca").figure.axes[0]
    expected = np.concatenate([np.asarray(group.get_offsets()) for group in flat.collections])
    assert np.allclose(drawn(picture), expected)
    assert unreadable(picture) == []


def test_a_cloud_tells_classes_by_colour_and_domains_by_being_hollow():
    picture = plots.cloud(X, Y, classes=NAMES, domains=DOMAINS, title="Two lines")
    groups = [c for c in picture.figure.axes[0].collections if c.get_sizes()[0] < 30]
    assert len(groups) == 6
    hollow = [len(group.get_facecolor()) == 0 for group in groups]
    assert hollow == [False] * 3 + [True] * 3
    assert len({tuple(g.get_facecolor()[0]) for g in groups[:3]}) == 3
    assert {"line-a", "line-b", "scratch", "Two lines"} <= set(said(picture))
    assert unreadable(picture) == [] and "from line-a and line-b; the middles" in picture.alt


def test_a_cloud_of_two_splits_is_the_same_as_of_rows_with_domains():
    parts = {
        name: split_of(X[DOMAINS == name], Y[DOMAINS == name]) for name in ("line-a", "line-b")
    }
    one, two = plots.cloud(parts, classes=NAMES), plots.cloud(X, Y, classes=NAMES, domains=DOMAINS)
    assert one.alt == two.alt
    assert np.allclose(np.sort(drawn(one), 0), np.sort(drawn(two), 0))


def test_successive_clouds_keep_their_axes():
    first = plots.cloud(X, Y, domains=DOMAINS)
    later = X + 0.05 * RNG.standard_normal(X.shape)
    second = plots.cloud(later, Y, domains=DOMAINS, projection=first.projection)
    one, two = first.figure.axes[0], second.figure.axes[0]
    assert one.get_xlim() == two.get_xlim() and one.get_ylim() == two.get_ylim()
    assert np.array_equal(first.projection.directions, second.projection.directions)
    with pytest.raises(DataError, match="12 features, not 5"):
        plots.cloud(X[:, :5], Y, projection=first.projection)


def test_the_window_grows_if_something_would_leave_it():
    near = plots.cloud(X + 5)
    far = plots.cloud(X, projection=near.projection)
    for axis, of in enumerate(("get_xlim", "get_ylim")):
        was, low, high = (getattr(near.figure.axes[0], of)(), *getattr(far.figure.axes[0], of)())
        assert (
            low < drawn(far)[:, axis].min() < was[0] and was[1] < drawn(far)[:, axis].max() < high
        )


def test_many_classes_and_no_labels_are_drawn_as_well():
    many = plots.cloud(
        X, np.arange(60) % 30, classes=[f"class {n}" for n in range(30)], domains=DOMAINS
    )
    assert unreadable(many) == [] and any(text.endswith(" more") for text in said(many))
    assert unreadable(plots.cloud(X, domains=DOMAINS)) == []
    with pytest.raises(DataError, match="3 y do not fit 60 rows"):
        plots.cloud(X, [0, 1, 2])
    with pytest.raises(DataError, match=r"\(N, D\), not \(2, 12\)"):
        plots.cloud(X[:2])


@pytest.fixture(scope="module")
def glyphs():
    return tl.load_model("pocket-glyphs", classes=("a", "b"))


def test_every_filter_is_shown_and_grey_is_nought(glyphs):
    picture = plots.filters(glyphs)
    weights = glyphs.body.stem[0].weight.detach().numpy()
    shown = [np.asarray(axes.images[0].get_array()) for axes in picture.figure.axes if axes.images]
    assert len(shown) == len(weights)
    scaled = weights / np.abs(weights).max((1, 2, 3), keepdims=True) / 2 + 0.5
    for image in shown:
        assert any(np.allclose(image, one.transpose(1, 2, 0), atol=1e-6) for one in scaled)
    assert "16 filters of body.stem.0" in picture.alt
    with pytest.raises(ModelError, match="no convolution over the three colours"):
        plots.filters(torch.nn.Linear(3, 3))


def test_activations_are_what_the_groups_put_out(glyphs):
    x = torch.from_numpy(RNG.integers(0, 255, (3, 32, 32), dtype=np.uint8))
    glyphs.train()
    before = {name: value.clone() for name, value in glyphs.state_dict().items()}
    picture = plots.activations(glyphs, x, "stage1", channels=3)
    assert glyphs.training and glyphs.body.stem[1].training
    assert all(torch.equal(value, before[name]) for name, value in glyphs.state_dict().items())
    glyphs.eval()
    with torch.no_grad():
        stem = glyphs.body.stem((x[None] / 255 - glyphs.mean) / glyphs.std)
        maps = glyphs.body.stage1(stem)[0].numpy()
    shown = [axes.images[0].get_array() for axes in picture.figure.axes[1:] if axes.images]
    best = np.argsort(-maps[:, 1:-1, 1:-1].std((1, 2)), kind="stable")[:3]
    assert all(np.allclose(one, maps[at], atol=1e-5) for one, at in zip(shown, best, strict=True))
    assert {f"channel {at}" for at in best} <= set(said(picture)) and unreadable(picture) == []


def test_an_early_a_middle_and_a_late_group_are_looked_at(glyphs):
    x = torch.rand(3, 32, 32)
    assert {"stem", "stage2", "stage4"} <= set(said(plots.activations(glyphs, x)))
    vit = tl.load_model("pocket-vit", classes=("a", "b"))
    assert {"stem", "block4"} <= set(said(plots.activations(vit, torch.rand(3, 64, 64))))
    with pytest.raises(ModelError, match="'head'. There are maps of: stem, stage1"):
        plots.activations(glyphs, x, "head")
    with pytest.raises(DataError, match=r"\(3, H, W\), not \(1, 3, 32, 32\)"):
        plots.activations(glyphs, x[None])


def test_a_sheet_of_texts_shows_each_class_with_its_own():
    texts = (
        *(f"text number {n} which costs $5 and $6 _at least_ and is 長" for n in range(9)),
        "x " * 999,
    )
    split = split_of(np.zeros((10, 4), np.int64), np.arange(10) % 3, texts)
    picture = plots.texts(split, NAMES, 4)
    found = " ".join(said(picture))
    assert unreadable(picture) == []
    assert "text number 3 which costs $5 and $6" in found and "…" in found and "長" not in found
    assert "10 texts of the classes scratch" in picture.alt
    assert "text number 1 " not in " ".join(said(plots.texts(split, NAMES, only=["scratch"])))
    with pytest.raises(DataError, match="No class 'dent'. There are: scratch"):
        plots.texts(split, NAMES, only=["dent"])
    with pytest.raises(DataError, match="has no texts"):
        plots.texts(split_of(X, Y), NAMES)


def shares(n, classes):
    return torch.from_numpy(RNG.dirichlet(np.ones(classes), n))


def bars_of(picture):
    """Widths and tops of the bars, backgrounds left out."""
    return [(b.get_width(), b.get_y()) for b in picture.figure.axes[0].patches[1::2]]


def test_predictions_are_bars_that_are_all_that_moves():
    items = [f"a text that goes on for a while, number {n}, and on, and on " * 3 for n in range(4)]
    one, two = (plots.predictions(items, shares(4, 3), NAMES, truth=[0, 1, 2, 0]) for _ in range(2))
    assert unreadable(one) == unreadable(two) == []
    assert [y for _, y in bars_of(one)] == [y for _, y in bars_of(two)]
    assert {t.replace("✓ ", "") for t in said(one) if "%" not in t} == {
        t.replace("✓ ", "") for t in said(two) if "%" not in t
    }
    tops = [(t, low) for t, _, low, _, _ in words(one) if t.startswith(("a text", "✓"))]
    assert tops == [(t, low) for t, _, low, _, _ in words(two) if t.startswith(("a text", "✓"))]


def test_a_bar_is_as_long_as_its_share_and_the_right_class_is_always_listed():
    values = torch.tensor([[0.5, 0.2, 0.1, 0.08, 0.06, 0.04, 0.02]])
    classes = [f"class {n}" for n in range(7)]
    picture = plots.predictions(["text"], values, classes, truth=[6], top=3)
    widths = [width for width, _ in bars_of(picture)]
    full = picture.figure.axes[0].patches[0].get_width()
    assert widths == pytest.approx([0.5 * full, 0.2 * full, 0.02 * full])
    assert "✓ class 6" in said(picture)
    listed = plots.predictions(["text"], values, classes, listed=["class 3", "class 0"])
    assert [t for t in said(listed) if "class" in t or "others" in t] == [
        "class 3", "class 0", "all others"
    ]  # fmt: skip
    assert [width for width, _ in bars_of(listed)] == pytest.approx(
        [0.08 * full, 0.5 * full, 0.42 * full]
    )


def test_predictions_of_pictures_show_them():
    x = torch.rand(3, 3, 32, 32)
    picture = plots.predictions(x, shares(3, 9), [f"class {n}" for n in range(9)], title="Three")
    shown = [np.asarray(image.get_array()) for image in picture.figure.axes[0].images]
    assert all(np.allclose(a, b.permute(1, 2, 0)) for a, b in zip(shown, x, strict=True))
    assert unreadable(picture) == []


def test_what_are_no_predictions_is_refused():
    with pytest.raises(DataError, match=r"2 × 3, not \(2, 4\)"):
        plots.predictions(["a", "b"], shares(2, 4), NAMES)
    with pytest.raises(DataError, match="softmax"):
        plots.predictions(["a"], torch.tensor([[2.0, 1.0, 0.0]]), NAMES)
    with pytest.raises(DataError, match="a list of one or more texts"):
        plots.predictions("a text", shares(6, 3), NAMES)
    with pytest.raises(DataError, match="1 true labels do not fit 2"):
        plots.predictions(["a", "b"], shares(2, 3), NAMES, truth=[0])
