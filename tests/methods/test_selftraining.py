from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

import tlcourse as tl
from tlcourse.errors import CommandError, DataError
from tlcourse.methods import (
    fingerprint,
    fixmatch,
    probabilities,
    pseudo_labels,
    with_pseudo_labels,
)
from tlcourse.methods.extra_batches import ExtraBatches
from tlcourse.session import Batch

SAID = torch.tensor(
    [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.99, 0.01], [0.7, 0.3]]
)  # confidence .9 .6 .8 .55 .99 .7 of class 0 0 1 1 0 0


def test_a_threshold_believes_what_is_sure_enough():
    found = pseudo_labels(SAID, threshold=0.7)
    assert found.rows.tolist() == [0, 2, 4, 5] and found.y.tolist() == [0, 1, 0, 0]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.8, 0.99, 0.7])
    assert found.counts == (3, 1) and found.share == 4 / 6


def test_a_share_believes_the_surest_of_every_class():
    found = pseudo_labels(SAID, share=0.5)
    assert found.rows.tolist() == [0, 2, 4] and found.counts == (2, 1)
    assert pseudo_labels(SAID, share=0.01).rows.tolist() == [2, 4]  # one of each at least
    assert len(pseudo_labels(SAID, share=1.0).rows) == 6


def test_agreement_is_the_accuracy_of_what_is_believed():
    truth = torch.tensor([0, 1, 0, 1, 0, 0])
    assert pseudo_labels(SAID, threshold=0.7).agreement(truth) == 3 / 4
    nothing = pseudo_labels(SAID, threshold=1.0)
    assert len(nothing.rows) == 0 and nothing.counts == (0, 0)
    assert nothing.agreement(truth) != nothing.agreement(truth)  # NaN
    with pytest.raises(DataError, match="5 labels for 6 examples"):
        nothing.agreement(truth[:5])


def test_probabilities_are_the_softmax_in_eval_mode(model, digits):
    whole = fingerprint(model.train())
    said = probabilities(model, digits.test, batch_size=37)
    assert fingerprint(model) == whole and model.training
    with torch.no_grad():
        expected = model.eval()(digits.test.x.float() / 255).softmax(1)
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-6)


def test_believed_examples_join_with_the_believed_labels(digits):
    every, wrong = slice(None, None, 10), (digits.test.y[::10] + 1) % 10
    target = replace(
        digits.test, x=digits.test.x[every], y=digits.test.y[every], ids=digits.test.ids[every]
    )
    found = pseudo_labels(F.one_hot(wrong, 10).float() * 0.9 + 0.01, threshold=0.5)
    joined = with_pseudo_labels(digits, target, found)
    assert len(joined.train) == 150 and joined.train.ids[100:] == target.ids
    assert torch.equal(joined.train.x[100:], target.x)
    assert torch.equal(joined.train.y[100:], wrong)  # the target's own labels are never looked at
    assert torch.equal(joined.train.y[:100], digits.train.y) and joined.valid is digits.valid


def test_what_cannot_join_is_named(digits):
    nothing = pseudo_labels(torch.full((len(digits.test), 10), 0.1), threshold=0.9)
    with pytest.raises(DataError, match="No example is believed"):
        with_pseudo_labels(digits, digits.test, nothing)
    with pytest.raises(DataError, match="over 6 examples and 2 classes"):
        with_pseudo_labels(digits, digits.test, pseudo_labels(SAID, share=1.0))
    everything = pseudo_labels(torch.full((len(digits.test), 10), 0.1), threshold=0.0)
    small = replace(digits.test, x=digits.test.x[:, :, :16, :16])
    with pytest.raises(DataError, match="load both at the same size"):
        with_pseudo_labels(digits, small, everything)


def test_self_training_helps_where_the_sure_are_right(pixels, digits):
    """Two labels a class, then the believed of the rest: on the digits' own pixels."""
    rows = torch.cat([(digits.train.y == label).nonzero()[:2, 0] for label in range(10)])
    labelled = replace(
        pixels.train,
        x=pixels.train.x[rows],
        y=pixels.train.y[rows],
        ids=tuple(pixels.train.ids[row] for row in rows.tolist()),
    )
    few = replace(pixels, train=labelled)
    learned = tl.probe(few)
    said = learned.predict_proba(pixels.valid)
    found = pseudo_labels(said, share=0.5)
    assert found.agreement(pixels.valid.y) > learned.accuracy(pixels.valid)
    more = tl.probe(with_pseudo_labels(few, pixels.valid, found))
    assert more.accuracy(pixels.test) > learned.accuracy(pixels.test)


def test_fixmatch_is_the_cross_entropy_of_the_sure(model, digits):
    x, y = digits.train.x[:12].float() / 255, digits.train.y[:12]
    batch = Batch(x, y, torch.zeros(12, 10), 4)
    model.eval()
    with torch.no_grad():
        said = model(ExtraBatches(digits.test, seed=2).matching(batch)[0]).softmax(1)
        varied = ExtraBatches(digits.test, seed=2, augment=0.7).matching(batch)[0]
        log_p = model(varied).log_softmax(1)
    confidence, label = said.max(1)
    threshold = confidence.median().item()
    by_hand = sum(-log_p[n, label[n]].item() for n in range(12) if confidence[n] >= threshold) / 12
    term = fixmatch(digits.test, threshold=threshold, strength=0.7, seed=2)
    value = term(model, batch)
    assert value.item() == pytest.approx(by_hand, rel=1e-4) and by_hand > 0
    value.backward()
    assert model.head.weight.grad.abs().sum() > 0
    assert fixmatch(digits.test, threshold=1.0, seed=2)(model, batch).item() == 0.0


def test_wrong_wishes_are_refused(digits, pixels):
    with pytest.raises(CommandError, match="either threshold"):
        pseudo_labels(SAID)
    with pytest.raises(CommandError, match="either threshold"):
        pseudo_labels(SAID, threshold=0.5, share=0.5)
    with pytest.raises(CommandError, match="share is a .*number .*, not 0"):
        pseudo_labels(SAID, share=0)
    with pytest.raises(CommandError, match="threshold is a .*number .*, not 2"):
        fixmatch(digits.test, threshold=2)
    with pytest.raises(DataError, match="augments pictures"):
        fixmatch(pixels.test)
