import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import tlcourse as tl
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods import features, fingerprint, nearest, reuse


def test_features_are_what_the_head_sees_in_eval_mode(model, digits):
    cached = features(model, digits, batch_size=7)
    model.eval()
    with torch.no_grad():
        by_hand = model.features(digits.test.x.float() / 255)
    assert cached.test.x.shape == (len(digits.test), 64)
    assert cached.test.x.dtype == torch.float32
    torch.testing.assert_close(cached.test.x, by_hand, rtol=1e-4, atol=1e-5)
    assert cached.test.ids == digits.test.ids
    assert torch.equal(cached.train.y, digits.train.y)


def test_the_head_says_the_same_on_cached_features(model, digits):
    cached = features(model, digits)
    model.eval()
    with torch.no_grad():
        slow, fast = model(digits.test.x.float() / 255), model.head(cached.test.x)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_a_model_is_left_exactly_as_it_was(model, digits):
    model.train()
    model.deep[1].eval()  # a frozen BatchNorm in a model that trains
    flags = {name: module.training for name, module in model.named_modules()}
    layout = [p.stride() for p in model.parameters()]
    before, random = fingerprint(model), torch.get_rng_state()
    features(model, digits)
    assert fingerprint(model) == before
    assert {name: module.training for name, module in model.named_modules()} == flags
    assert [p.stride() for p in model.parameters()] == layout
    assert torch.equal(torch.get_rng_state(), random)


def test_flags_come_back_even_if_the_model_fails(model, digits):
    model.features = lambda x: 1 / 0
    model.train()
    with pytest.raises(ZeroDivisionError):
        features(model, digits)
    assert all(module.training for module in model.modules())


def test_a_head_can_be_trained_on_features(model, digits):
    x = features(model, digits).train.x
    model.head(x).sum().backward()
    assert model.head.weight.grad.abs().sum() > 0


def test_a_split_gives_a_split(model, digits):
    split = features(model, digits.valid)
    assert type(split) is type(digits.valid)
    assert torch.equal(split.x, features(model, digits).valid.x)


def test_bytes_and_floats_of_the_same_picture_agree(model, digits):
    from dataclasses import replace

    floats = replace(digits.valid, x=digits.valid.x.float() / 255)
    torch.testing.assert_close(features(model, floats).x, features(model, digits.valid).x)


def test_the_recipe_tells_where_features_come_from(model, digits):
    recipe = features(model, digits).recipe
    assert recipe["features_of"] == digits.recipe
    assert recipe["model"] == model.recipe
    with torch.no_grad():
        model.head.weight.add_(1)  # another head: the same features
        assert features(model, digits).recipe == recipe
        model.stem[0].weight.add_(1)  # another backbone of the same recipe: others
        assert features(model, digits).recipe["weights"] != recipe["weights"]


def test_reuse_looks_up_what_would_be_computed(model):
    everything = features(model, tl.load_data("digits"))
    few = tl.load_data("digits", labels_per_class=3, seed=5)
    looked_up, computed = reuse(everything, few), features(model, few)
    assert looked_up.train.ids == few.train.ids
    for name in ("train", "valid", "test"):
        found, expected = getattr(looked_up, name).x, getattr(computed, name).x
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert looked_up.recipe == computed.recipe


def test_reuse_refuses_what_was_never_cached(model, digits):
    other = tl.load_data("digits", labels_per_class=10, seed=1)
    with pytest.raises(DataError, match="train.*no cached features"):
        reuse(features(model, digits), other)


def test_neighbours_are_those_of_a_brute_force_search(pixels):
    k = 4
    found = nearest(pixels, pixels.test, k=k)
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(pixels.train.x.numpy())
    distance, expected = search.kneighbors(pixels.test.x.numpy())
    distinct = (np.diff(distance, axis=1) > 1e-6).all(axis=1)  # ties may come in either order
    assert distinct.sum() > 400
    assert np.array_equal(found.numpy()[distinct], expected[distinct])


def test_a_row_of_the_gallery_is_its_own_nearest(pixels):
    assert nearest(pixels, pixels.train.x[17], k=3).shape == (3,)
    assert nearest(pixels, 5 * pixels.train.x[17], k=1).tolist() == [17]  # length does not matter


@pytest.mark.parametrize("k", [0, 101])
def test_neighbours_beyond_the_gallery_are_refused(pixels, k):
    with pytest.raises(CommandError, match="choose k from 1 to 100"):
        nearest(pixels, pixels.test, k=k)


def test_wrong_inputs_are_named(model, digits, pixels):
    with pytest.raises(DataError, match="features already"):
        features(model, pixels)
    with pytest.raises(ModelError, match="has no features"):
        features(torch.nn.Linear(2, 2), digits)
    with pytest.raises(CommandError, match="batch_size is a .*number .*, not 0"):
        features(model, digits, batch_size=0)
    with pytest.raises(DataError, match="call features"):
        nearest(digits, digits.test)
    with pytest.raises(DataError, match="the same model"):
        nearest(pixels, torch.ones(3))
