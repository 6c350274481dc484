"""What the rendered production lines are: the same for ever, with flaws where they are said to be."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
import torch

from tlcourse.data import domains, load_data
from tlcourse.data.render.surface import defects
from tlcourse.data.render.surface import light as lamps
from tlcourse.data.render.surface import render as renderer
from tlcourse.data.render.surface.defects import Part
from tlcourse.data.render.surface.fields import Dice, cloud
from tlcourse.data.render.surface.lines import CLASSES, LINES, MATERIALS
from tlcourse.data.render.surface.materials import Surface
from tlcourse.data.render.surface.render import BATCH, EACH, composition, render
from tlcourse.data.sources import surfaces
from tlcourse.errors import DataError

FLAWS = CLASSES[1:]


@pytest.fixture(scope="module")
def batches():
    return {line: [render(line, number, 64) for number in range(3)] for line in LINES}


def test_a_batch_is_a_function_of_its_line_number_and_seed(batches):
    first = batches["line-a"][0]
    torch.rand(3)  # the global generator has no say
    again = render("line-a", 0, 64)
    assert torch.equal(again.x, first.x) and torch.equal(again.masks, first.masks)
    others = (render("line-a", 0, 64, seed=1), batches["line-a"][1], batches["line-b"][0])
    for other in others:
        assert (other.x.float() - first.x.float()).abs().mean() > 10


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    render("line-b", 0, 48)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_draw_what_one_draws_and_are_given_back(batches, monkeypatch):
    monkeypatch.setattr(surfaces, "BATCHES", 3)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        source = surfaces.read(64, "line-b")
        with ThreadPoolExecutor(1) as new:  # a new thread has as many as the last that was told
            assert torch.get_num_threads() == new.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(source.x, torch.cat([batch.x for batch in batches["line-b"]]))


@pytest.mark.parametrize("line", LINES)
def test_the_material_says_nothing_of_the_class(line):
    y, material = composition(LINES[line])
    assert len(y) == BATCH == EACH * len(CLASSES) and sum(LINES[line].mix) == EACH
    table = torch.zeros(len(CLASSES), len(MATERIALS), dtype=torch.long)
    table.index_put_((y, material), torch.tensor(1), accumulate=True)
    assert (table == torch.tensor(LINES[line].mix)).all() and (table > 0).all()


def test_every_flaw_has_a_mask_and_good_parts_have_none(batches):
    for batch in (batch for line in batches.values() for batch in line):
        area = batch.masks.float().mean((1, 2))
        assert (area[batch.y == 0] == 0).all()
        assert (area[batch.y > 0] > 0.003).all() and (area < 0.5).all()


@pytest.mark.parametrize("line", LINES)
def test_a_flaw_is_in_its_mask_and_nowhere_else(line, monkeypatch):
    """The same scenes without their flaws differ inside the masks, and little outside of them."""
    silent = replace(LINES[line], noise=(0.0, 0.0))  # noise goes with the light
    monkeypatch.setattr(renderer, "LINES", {line: silent})
    flawed = render(line, 0, 64)
    with monkeypatch.context() as patch:
        patch.setattr(defects.Flaw, "onto", lambda *_: None)
        whole = render(line, 0, 64)
    change = (flawed.x.float() - whole.x.float()).abs().mean(1)
    for label, name in enumerate(CLASSES):
        rows = flawed.y == label
        if name == "good":
            assert change[rows].max() == 0
            continue
        inside = flawed.masks[rows].bool()
        # What lies within two pixels of a mask is its edge; a dent mirrors things from afar.
        near = torch.nn.functional.max_pool2d(inside.float()[:, None], 5, 1, 2)[:, 0].bool()
        assert change[rows][inside].mean() > 3 * change[rows][~near].mean(), name
        assert change[rows][inside].mean() > 6, name


def test_the_side_of_a_groove_that_is_bright_changes_with_the_lamp():
    """Shading is physics: turned by half a circle, the lamp swaps a dent's bright and dark sides."""
    axis = torch.linspace(-1, 1, 81)
    u, v = axis[None, None, :].expand(1, 81, 81), axis[None, :, None].expand(1, 81, 81)
    hollow = -0.1 * torch.exp(-8 * (u.square() + v.square()))
    zero = torch.zeros(1, 1, 1)
    surface = Surface(
        height=hollow, albedo=torch.full((1, 3, 81, 81), 0.5), shine=zero.expand(1, 81, 81),
        along=zero + 0.5, across=zero + 0.5, grain=zero, metal=zero,
    )  # fmt: skip
    sides = []
    for x in (-3.0, 3.0):
        place = torch.tensor([x, 0.0, 2.0]).view(1, 3, 1, 1)
        light = lamps.Light(place, torch.ones(1, 3, 1, 1), zero, torch.zeros(1, 4, 1, 1))
        seen = lamps.shade(surface, light, axis)[0, 0, 40]
        sides.append(float(seen[30] - seen[50]))
    left, right = sides
    # Of a hollow, the side away from the lamp is turned towards it.
    assert left < -0.1 and right > 0.1 and left == pytest.approx(-right, rel=1e-3)


def test_a_stain_has_no_relief_and_a_dent_next_to_no_colour():
    axis = torch.linspace(-1, 1, 64)
    u, v = (x.expand(8, 64, 64) for x in (axis[None, None, :], axis[None, :, None]))
    part = Part(u, v, axis, torch.arange(8) % 4, torch.zeros(8, 1, 1))
    severity = torch.ones(8, 1, 1)
    stain = defects.stain(Dice("test"), part, severity)
    dent = defects.dent(Dice("test"), part, severity)
    assert stain.height == 0.0 and stain.tint.max() < 1
    assert dent.height.amin((1, 2)).max() < -0.04 and dent.tint.min() > 0.8


def test_a_scene_is_the_same_scene_at_every_size():
    small, large = render("line-a", 0, 48), render("line-a", 0, 96)
    halved = torch.nn.functional.avg_pool2d(large.x.float(), 2)
    apart = (halved - small.x.float()).abs().mean((1, 2, 3))
    stranger = (halved.roll(1, 0) - small.x.float()).abs().mean((1, 2, 3))
    assert apart.max() < 12 < stranger.median()
    masks = torch.nn.functional.avg_pool2d(large.masks.float(), 2)
    assert (masks - small.masks.float()).abs().mean() < 0.02


def test_even_a_tiny_picture_has_its_flaw_in_a_mask():
    batch = render("line-b", 4, 8)
    assert ((batch.masks.flatten(1).sum(1) > 0) == (batch.y > 0)).all()


def test_clouds_are_about_as_strong_as_said():
    field = cloud(Dice("test"), 64, torch.linspace(-1, 1, 64), 6)
    assert field.mean().abs() < 0.1 and 0.8 < field.std() < 1.2


def test_boxes_hold_their_masks():
    masks = torch.zeros(3, 10, 12, dtype=torch.uint8)
    masks[0, 2:5, 3:9] = 1
    masks[2, 9, 11] = masks[2, 0, 10] = 1
    first, none, last = surfaces.boxes_of(masks, torch.tensor([2, 0, 6]))
    assert first.tolist() == [[3, 2, 9, 5, 1]] and none.shape == (0, 5)
    assert last.tolist() == [[10, 0, 12, 10, 5]]


def test_the_two_lines_look_different():
    """One lamp is warm, the other cold."""
    a, b = (torch.cat([render(line, number, 64).x for number in range(2)]) for line in LINES)
    warmth = [(x[:, 0].float() - x[:, 2].float()).mean() for x in (a, b)]
    assert warmth[1] - warmth[0] > 20


def test_load_data_gives_splits_with_masks_and_boxes():
    data = load_data("surfaces", labels_per_class=10, seed=1)
    assert repr(data) == "surfaces: 7 classes · 70 train, 280 valid, 840 test · 3×64×64"
    assert data.classes == CLASSES and data.things == FLAWS and data.recipe["domain"] == "line-a"
    for split in (data.train, data.valid, data.test):
        assert split.masks.shape == (len(split), 64, 64) and len(split.boxes) == len(split)
        for label, mask, box in zip(split.y.tolist(), split.masks, split.boxes, strict=True):
            assert len(box) == (label > 0)
            if label:
                left, top, right, bottom, thing = box[0].int().tolist()
                assert thing == label - 1 and 0 <= left < right <= 64 and 0 <= top < bottom <= 64
                assert mask.sum() == mask[top:bottom, left:right].sum() > 0


def test_the_test_set_never_changes():
    # Hashes of the ids, written down at the first release: published figures depend on them.
    ids = "\n".join(load_data("surfaces", labels_per_class=1).test.ids)
    assert sha256(ids.encode()).hexdigest()[:16] == "8c43544856318b1c"


def test_wrong_sizes_and_lines_are_refused():
    assert domains("surfaces") == tuple(LINES)
    with pytest.raises(DataError, match="size=257 is not possible: .* up to 256"):
        load_data("surfaces", size=257)
    with pytest.raises(DataError, match="no domain 'line-z'. There are: line-a, line-b"):
        load_data("surfaces", domain="line-z")
