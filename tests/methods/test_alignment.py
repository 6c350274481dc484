from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError, DataError
from tlcourse.methods import alignment, coral, features, mmd, recolour
from tlcourse.methods.extra_batches import ExtraBatches, features_of_both
from tlcourse.session import Batch, StepDone


def cloud(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_coral_is_the_distance_of_numpys_covariances():
    a, b = cloud(40, 6), cloud(25, 6, 1) @ cloud(6, 6, 2)
    gap = np.cov(a.numpy().T) - np.cov(b.numpy().T)
    assert coral(a, b).item() == pytest.approx((gap**2).sum() / (4 * 36), rel=1e-12)


def test_coral_of_a_scaled_cloud_has_a_closed_form():
    a = cloud(50, 4)
    squared = np.square(np.cov(a.numpy().T)).sum()
    assert coral(a, a).item() == 0.0
    assert coral(a, a + 7).item() == pytest.approx(0.0, abs=1e-20)  # it does not see the mean
    assert coral(a, 3 * a).item() == pytest.approx((9 - 1) ** 2 * squared / (4 * 16), rel=1e-12)


def by_double_loop(a, b, bandwidths, biased):
    """Gretton et al. 2012, eq. 3 and 5, summand by summand."""
    points = [*a.tolist(), *b.tolist()]
    gaps = [
        np.square(np.subtract(p, q)).sum() for i, p in enumerate(points) for q in points[i + 1 :]
    ]
    median = sorted(gaps)[(len(gaps) - 1) // 2]

    def kernel(p, q):
        square = np.square(np.subtract(p, q)).sum()
        return np.mean([np.exp(-square / (2 * w * w * median)) for w in bandwidths])

    def mean(left, right, same):
        values = [
            kernel(p, q)
            for i, p in enumerate(left.tolist())
            for j, q in enumerate(right.tolist())
            if biased or not same or i != j
        ]
        return np.mean(values)

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("bandwidths", [(1.0,), (0.5, 1.0, 3.0)])
def test_mmd_is_the_double_sum_of_the_paper(biased, bandwidths):
    a, b = cloud(9, 3), 0.5 * cloud(12, 3, 1) + 1
    expected = by_double_loop(a, b, bandwidths, biased)
    assert mmd(a, b, bandwidths=bandwidths, biased=biased).item() == pytest.approx(
        expected, rel=1e-9
    )
    far = mmd(a + 1e6, b + 1e6, bandwidths=bandwidths, biased=biased)  # only differences count
    assert far.item() == pytest.approx(expected, rel=1e-6)


def test_unbiased_mmd_is_around_zero_where_biased_is_above():
    pairs = [(cloud(20, 2, 2 * n), cloud(20, 2, 2 * n + 1)) for n in range(200)]
    unbiased = np.array([mmd(a, b).item() for a, b in pairs])
    biased = np.array([mmd(a, b, biased=True).item() for a, b in pairs])
    standard_error = unbiased.std(ddof=1) / np.sqrt(len(pairs))
    assert abs(unbiased.mean()) < 3 * standard_error
    assert unbiased.min() < 0 < biased.min()
    assert biased.mean() > 10 * standard_error


def test_mmd_sees_what_coral_does_not():
    a = cloud(200, 3)
    b = torch.sign(cloud(200, 3, 1))  # the corners of a cube: same mean, same covariance
    shifted = a + 1
    assert coral(a, b) < 0.01 and coral(a, shifted) < 1e-12
    assert mmd(a, b) > 0.02 and mmd(a, shifted) > 0.1
    assert abs(mmd(a, cloud(200, 3, 2))) < 0.01


def test_equal_points_have_no_distance_and_no_nan():
    a = torch.ones(5, 2, requires_grad=True)
    value = mmd(a, torch.ones(4, 2), biased=True)
    value.backward()
    assert value.item() == 0.0 and torch.equal(a.grad, torch.zeros(5, 2))


def test_following_the_gradient_moves_the_clouds_together():
    a, b = cloud(64, 3), 2 * cloud(64, 3, 1) + 1
    for distance, rate in ((coral, 30.0), (mmd, 50.0)):
        points, before = a.clone().requires_grad_(), distance(a, b).item()
        for _ in range(60):
            (slope,) = torch.autograd.grad(distance(points, b), points)
            points.data -= rate * slope
        assert distance(points, b).item() < 0.1 * before


def test_recoloured_features_have_the_targets_mean_and_covariance():
    a, b = cloud(80, 5) + 3, cloud(60, 5, 1) @ cloud(5, 5, 2)
    moved = recolour(a, b, ridge=0.0)
    np.testing.assert_allclose(np.cov(moved.numpy().T), np.cov(b.numpy().T), atol=1e-10)
    np.testing.assert_allclose(moved.mean(0), b.mean(0), atol=1e-12)


def test_recolouring_follows_the_papers_formula():
    from scipy.linalg import fractional_matrix_power as power

    a, b = cloud(80, 5), cloud(60, 5, 1) @ cloud(5, 5, 2)
    a, b = ((x - x.mean(0)) / x.std(0) for x in (a, b))  # standardised, as there
    there, here = (np.cov(x.numpy().T) + np.eye(5) for x in (a, b))
    expected = a.numpy() @ power(there, -0.5) @ power(here, 0.5)
    np.testing.assert_allclose(recolour(a, b), expected, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.1, 1.0])
def test_a_scaled_and_shifted_cloud_is_undone_whatever_the_ridge(ridge):
    a = cloud(80, 5)
    torch.testing.assert_close(recolour(a, 3 * a + 2, ridge=ridge), 3 * a + 2)


def test_fewer_examples_than_features_need_a_ridge():
    a, b = cloud(10, 30), cloud(12, 30, 1)
    with pytest.raises(DataError, match="give a ridge"):
        recolour(a, b, ridge=0.0)
    assert recolour(a, b, ridge=0.1).isfinite().all()


def test_of_data_all_splits_move_by_the_training_splits_map(pixels):
    other = replace(pixels.test, x=100 - pixels.test.x)
    moved = recolour(pixels, other)
    together = torch.cat([pixels.train.x, pixels.valid.x])
    assert torch.equal(moved.train.x, recolour(pixels.train, other).x)
    assert moved.valid.x.shape == pixels.valid.x.shape and moved.valid.ids == pixels.valid.ids
    assert not torch.equal(moved.valid.x, recolour(pixels.valid, other).x)
    assert (
        moved.train.x.dtype == together.dtype and pixels.train.x.max() > 200
    )  # the given one stays


def test_draws_are_a_pure_function_of_seed_and_step(digits):
    def drawn(step, seed=0):
        x, y = digits.train.x[:8].float() / 255, digits.train.y[:8]
        return ExtraBatches(digits.test, seed=seed).matching(Batch(x, y, torch.zeros(8, 10), step))

    (x, y), (again, _) = drawn(5), drawn(5)
    assert torch.equal(x, again) and x.shape == (8, 3, 32, 32) and 0 <= x.min() < x.max() <= 1
    assert not torch.equal(x, drawn(6)[0]) and not torch.equal(x, drawn(5, seed=1)[0])
    row = (digits.test.x.float() / 255 == x[0]).flatten(1).all(1)
    assert row.sum() == 1 and digits.test.y[row] == y[0]
    epoch = torch.cat([drawn(step)[1] for step in range(500 // 8)])
    assert (torch.bincount(epoch) - torch.bincount(digits.test.y)).abs().max() <= 4  # 4 left out


def test_both_domains_go_through_batchnorm_together(model, digits):
    a, b = (x.float() / 255 for x in (digits.train.x[:6], digits.test.x[:9]))
    source, target = features_of_both(model.eval(), a, b)
    torch.testing.assert_close(source, model.features(a))
    torch.testing.assert_close(target, model.features(b))
    model.train()
    model.deep[3].p = 0.0
    source, target = features_of_both(model, a, b)
    torch.testing.assert_close(torch.cat([source, target]), model.features(torch.cat([a, b])))
    assert not torch.allclose(source, model.features(a), atol=1e-3)


@pytest.fixture
def inverted(digits):
    return replace(digits.valid, x=255 - digits.valid.x)


def test_a_run_with_alignment_repeats_itself_through_a_change_of_weight(model, digits, inverted):
    def session(model, **recipe):
        return tl.Session(
            model,
            digits,
            steps=8,
            terms={"coral": alignment(inverted)},
            weights={"coral": 0.0},
            **recipe,
        )

    start = deepcopy(model)
    run = session(model, augment=0.3)
    run.at(3, tl.SetWeight("coral", 100.0))
    run.run()
    told = [event.terms for event in run.events if isinstance(event, StepDone)]
    assert told[2] is None and told[3]["coral"] > 0
    for seed in (0, 1):  # another draw of the target is another run
        terms = {"coral": alignment(inverted, seed=seed)}
        again = tl.replay(run.record, model=deepcopy(start), data=digits, terms=terms)
        assert again.exact == (seed == 0)


def test_a_rewound_run_meets_the_same_examples_of_the_target_again(model, digits, inverted):
    run = tl.Session(model, digits, steps=8, terms={"mmd": alignment(inverted, mmd)})
    run.at(6, tl.Rewind(2))
    run.run()
    told = {}
    for event in run.events:
        if isinstance(event, StepDone):
            told.setdefault(event.step, []).append((event.loss, event.terms["mmd"]))
    assert [len(told[step]) for step in range(1, 9)] == [1, 1, 2, 2, 2, 2, 1, 1]
    assert all(len(set(pair)) == 1 for pair in told.values())


def test_alignment_brings_the_clouds_together(model, digits, inverted):
    def gap():
        a, b = features(model, digits.train).x, features(model, inverted).x
        return mmd(a, b).item()

    start = deepcopy(model.state_dict())
    gaps = {}
    for weight in (0.0, 2.0):
        model.load_state_dict(start)
        terms = {"mmd": alignment(inverted, mmd)}
        tl.Session(model, digits, steps=40, terms=terms, weights={"mmd": weight}).run()
        gaps[weight] = gap()
    assert gaps[2.0] < 0.5 * gaps[0.0]


def test_what_cannot_be_aligned_is_named(digits):
    with pytest.raises(DataError, match=r"source holds \(1, 3\)"):
        coral(torch.zeros(1, 3), torch.zeros(4, 3))
    with pytest.raises(DataError, match="3 features of the source and 4"):
        mmd(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(CommandError, match="bandwidths=.*above 0"):
        mmd(torch.zeros(2, 3), torch.zeros(2, 3), bandwidths=(0.0,))
    with pytest.raises(CommandError, match="ridge is a .*number .*, not -1"):
        recolour(torch.zeros(2, 3), torch.zeros(2, 3), ridge=-1)
    with pytest.raises(DataError, match="empty"):
        alignment(replace(digits.test, x=digits.test.x[:0], y=digits.test.y[:0], ids=()))
    with pytest.raises(CommandError, match="batch_size is a .*number .*, not 0"):
        alignment(digits.test, batch_size=0)
    with pytest.raises(CommandError, match="augment is a .*number .*, not 2"):
        alignment(digits.test, augment=2)
