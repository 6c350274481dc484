import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tlcourse.errors import DataError
from tlcourse.measure import accuracy, confusion, interval, paired

shares = st.lists(st.floats(0, 1), min_size=2, max_size=12)


@given(shares, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_an_interval_is_students_t(values, confidence):
    ours = interval(values, confidence=confidence)
    mean, error = np.mean(values), stats.sem(values)
    half = error * stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    assert ours.mean == pytest.approx(mean)
    assert (ours.low, ours.high) == pytest.approx((mean - half, mean + half), abs=1e-9)


@given(shares, st.floats(-0.5, 0.5))
def test_paired_cancels_what_the_seeds_share(values, shift):
    lift = paired(interval([value + shift for value in values]), interval(values))
    assert lift.mean == pytest.approx(shift, abs=1e-9)
    assert lift.half_width == pytest.approx(0, abs=1e-9)
    assert lift.unit == "points"


def test_paired_is_the_paired_t_test():
    a, b = [0.94, 0.95, 0.93, 0.96], [0.91, 0.95, 0.90, 0.92]
    lift = paired(interval(a), interval(b))
    twin = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (lift.low, lift.high) == pytest.approx((twin.low, twin.high))


def test_one_seed_has_no_interval_and_says_so():
    one = interval([0.945])
    assert one.mean == 0.945 and math.isnan(one.low) and math.isnan(one.high)
    assert one.text == "94.5 % (one value, no interval)"


@pytest.mark.parametrize(
    "values, unit, text",
    [
        ([0.941, 0.949], "percent", "94.5 ± 5.1 %"),
        ([0.40, 0.43], "points", "+41.5 ± 19.1 points"),
        ([0.0121, 0.0123], "seconds", "12.2 ± 1.3 ms"),
        ([71.0, 72.0], "seconds", "71.5 ± 6.4 s"),
        ([12.0, 12.4], "ratio", "12.2 ± 2.5 ×"),
        ([-0.03, -0.05], "points", "−4.0 ± 12.7 points"),
    ],
)
def test_an_interval_writes_itself_in_its_unit(values, unit, text):
    assert interval(values, unit=unit).text == text
    assert repr(interval(values, unit=unit)) == f"⟨{text}⟩"


def test_what_is_no_sample_is_refused():
    with pytest.raises(DataError, match="needs values"):
        interval([])
    with pytest.raises(DataError, match="confidence=95"):
        interval([1, 2], confidence=95)
    with pytest.raises(DataError, match="'miles'.*percent, points"):
        interval([1, 2], unit="miles")
    with pytest.raises(DataError, match="3 and 2 values"):
        paired(interval([1, 2, 3]), interval([1, 2]))
    with pytest.raises(DataError, match="percent and seconds"):
        paired(interval([1, 2]), interval([1, 2], unit="seconds"))


labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50)


@given(labels)
def test_confusion_is_scikit_learns_and_its_diagonal_is_the_accuracy(pairs):
    from sklearn.metrics import accuracy_score, confusion_matrix

    said, truth = np.array(pairs).T
    ours = confusion(said, truth, list("abcde"))
    assert np.array_equal(ours, confusion_matrix(truth, said, labels=range(5)))
    assert accuracy(said, truth) == accuracy_score(truth, said)
    assert ours.trace() / len(pairs) == pytest.approx(accuracy(said, truth))


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="argmax"):
        accuracy(np.ones((3, 2)), [1, 2, 3])
    with pytest.raises(DataError, match="needs examples"):
        accuracy([], [])
    with pytest.raises(DataError, match="predicted holds labels 0 to 2.*2 classes"):
        confusion([0, 2], [0, 1], 2)
