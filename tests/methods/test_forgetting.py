"""What keeps the old task: Fisher information in closed form, springs, rehearsal, and the literature's
numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

import tlcourse as tl
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.forgetting.metrics import (
    average_accuracy,
    average_forgetting,
    backward_transfer,
    forward_transfer,
)
from tlcourse.methods.forgetting.rehearsal import keep_examples, mix, rehearse
from tlcourse.methods.forgetting.weight_penalties import Spring, ewc, fisher_diagonal, l2_sp
from tlcourse.rng import fold_in, permutation
from tlcourse.session import AddLoRA, Applied, Batch, Refused, SetWeight, StepDone, Twin


def regression(seed=0):
    """Softmax regression, whose Fisher information is known."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential()
        model.add_module("head", nn.Linear(64, 10))
    return model


@pytest.fixture(scope="module")
def rows(pixels):
    small = {
        n: replace(getattr(pixels, n), x=getattr(pixels, n).x / 255) for n in ("train", "valid")
    }
    return replace(pixels, **small, test=replace(pixels.test, x=pixels.test.x / 255))


def trained(model, data, **options):
    run = tl.Session(
        model, data, **{"steps": 6, "batch_size": 16, "eval_every": 9, "seed": 2} | options
    )
    run.run()
    assert not [e for e in run.events if isinstance(e, Refused)]
    return run


# -- Fisher ------------------------------------------------------------------------------------


def closed_form(model, x, weigh):
    """Of W and b of softmax regression: mean over examples of weigh(p)[n, c] · x[n, j]²."""
    with torch.no_grad():
        w = weigh(model(x).double().softmax(1))
    return {
        "head.weight": torch.einsum("nc,nj->cj", w, x.double().square()) / len(x),
        "head.bias": w.mean(0),
    }


def close(found, expected, rel=1e-4):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name].double(), value.double(), rtol=rel, atol=1e-9), name


def test_the_fisher_of_softmax_regression_is_p_times_one_minus_p_times_x_squared(rows):
    model = regression()
    expected = closed_form(model, rows.train.x, lambda p: p * (1 - p))
    close(fisher_diagonal(model, rows, labels="all"), expected)


def test_the_empirical_fisher_looks_at_the_true_labels_instead(rows):
    model = regression()
    one_hot = nn.functional.one_hot(rows.train.y, 10)
    expected = closed_form(model, rows.train.x, lambda p: (one_hot - p).square())
    close(fisher_diagonal(model, rows, labels="data"), expected)
    trained(model, rows, steps=100, lr=0.1)  # fits what it has seen
    empirical = fisher_diagonal(model, rows, labels="data")["head.bias"].sum()
    assert empirical < 0.5 * fisher_diagonal(model, rows, labels="all")["head.bias"].sum()


def test_drawn_labels_give_the_same_on_average(rows):
    model = regression()
    exact = fisher_diagonal(model, rows, labels="all")["head.bias"]
    draws = [fisher_diagonal(model, rows, seed=seed)["head.bias"] for seed in range(30)]
    mean, error = torch.stack(draws).mean(0), torch.stack(draws).std(0) / 30**0.5
    assert ((mean - exact).abs() < 4 * error).all()
    assert torch.equal(draws[3], fisher_diagonal(model, rows, seed=3)["head.bias"])
    assert not torch.equal(draws[3], draws[4])


def test_a_networks_fisher_is_that_of_torchs_per_sample_gradients(model, digits):
    model.train()
    for parameter in model.stem.parameters():
        parameter.requires_grad_(False)
    before, flags = tl.methods.fingerprint(model), [m.training for m in model.modules()]
    found = fisher_diagonal(model, digits, labels="data", samples=1000)
    assert tl.methods.fingerprint(model) == before
    assert [m.training for m in model.modules()] == flags
    assert all(p.grad is None for p in model.parameters())
    model.eval()
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights, x, y):
        return nn.functional.cross_entropy(functional_call(model, weights, x[None]), y[None])

    slopes = vmap(grad(loss), (None, 0, 0))(weights, digits.train.x / 255, digits.train.y)
    close(found, {name: g.square().mean(0) for name, g in slopes.items()}, rel=1e-3)


def test_fewer_samples_give_the_mean_over_those(rows):
    model, first = regression(), permutation(fold_in(5, "fisher"), 100)[:7]
    expected = closed_form(model, rows.train.x[first], lambda p: p * (1 - p))
    close(fisher_diagonal(model, rows, labels="all", samples=7, seed=5), expected)


def test_samples_are_chosen_by_the_seed_and_groups_by_name(model, digits):
    few = fisher_diagonal(model, digits, samples=3, group="deep", seed=1)
    names = {f"deep.{name}" for name, _ in model.deep.named_parameters()}
    assert few.keys() == names
    again = fisher_diagonal(model, digits, samples=3, group="backbone", seed=1)
    assert all(torch.equal(few[name], again[name]) for name in names)
    other = fisher_diagonal(model, digits, samples=3, group="deep", seed=2)
    assert not torch.equal(few["deep.0.weight"], other["deep.0.weight"])


# -- springs -----------------------------------------------------------------------------------


def moved_a_little(model, by=0.1):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by)
    return model


def test_ewc_with_a_fisher_of_one_is_l2_sp_and_pulls_by_the_distance(model):
    ones = {n: torch.ones_like(p) for n, p in model.named_parameters() if not n.startswith("head")}
    springs = ewc(model, ones), l2_sp(model, others=0)
    assert [float(spring(model).detach()) for spring in springs] == [0, 0]
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    moved_a_little(model)
    size = sum(p.numel() for p in ones.values())
    assert [float(spring(model).detach()) for spring in springs] == pytest.approx(
        [size * 0.01 / 2] * 2
    )
    springs[1](model).backward()
    for name, p in model.named_parameters():
        expected = p.detach() - before[name] if name in ones else torch.zeros_like(p)
        assert torch.equal(p.grad if p.grad is not None else torch.zeros_like(p), expected)


def test_ewc_pulls_each_weight_by_its_fisher(model, digits):
    fisher = fisher_diagonal(model, digits, samples=20)
    spring = ewc(model, fisher)
    moved_a_little(model, 0.5)
    spring(model).backward()
    for name, p in model.named_parameters():
        assert torch.allclose(p.grad, fisher[name] * 0.5, rtol=1e-4, atol=1e-9)


def test_l2_sp_pulls_what_is_new_towards_zero(model):
    spring = l2_sp(model, others=0.3)
    model.head = nn.Linear(64, 3)
    expected = 0.15 * sum(float(p.detach().square().sum()) for p in model.head.parameters())
    assert float(spring(model).detach()) == pytest.approx(expected, rel=1e-6)


def test_a_spring_to_zero_is_the_optimizers_own_weight_decay(rows):
    zeros = {n: torch.zeros_like(p) for n, p in regression().named_parameters()}
    spring = Spring(zeros, dict.fromkeys(zeros, 1.0))
    sgd = {"optimizer": "sgd", "lr": 0.1, "steps": 20}
    pulled = trained(regression(), rows, **sgd, weight_decay=0.0, terms={"l2": spring},
                     weights={"l2": 0.2})  # fmt: skip
    decayed = trained(regression(), rows, **sgd, weight_decay=0.2)
    for a, b in zip(pulled.model.parameters(), decayed.model.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    assert pulled.events[-2].accuracy == decayed.events[-2].accuracy


def test_a_spring_is_turned_while_the_run_goes_on(model, digits):
    run = tl.Session(model, digits, steps=12, batch_size=16, optimizer="sgd", lr=0.05, weight_decay=0,
                     terms={"old": l2_sp(model)}, weights={"old": 0.0}, eval_every=12)  # fmt: skip
    run.at(6, SetWeight("old", 10.0))
    run.run()
    told = [e.terms["old"] if e.terms else None for e in run.events if isinstance(e, StepDone)]
    assert told[:6] == [None] * 6
    assert told[6] > told[-1] > 0


def test_a_spring_holds_the_twin_and_a_model_under_lora(model, digits):
    run = tl.Session(
        model, digits, steps=6, batch_size=16, terms={"old": l2_sp(model)}, eval_every=6
    )
    for step, command in [
        (1, Twin()),
        (2, AddLoRA("backbone", rank=2)),
        (4, SetWeight("old", 2.0)),
    ]:
        run.at(step, command)
    run.run()
    assert not [e for e in run.events if isinstance(e, Refused)]
    assert [
        e for e in run.events if isinstance(e, StepDone) and e.branch == "twin" and e.terms["old"]
    ]
    assert len([e for e in run.events if isinstance(e, Applied)]) == 3


def test_a_spring_of_another_model_says_so(model, rows):
    with pytest.raises(ModelError, match="This term holds head.weight"):
        ewc(regression(), {"head.weight": torch.ones(10, 64)})(nn.Linear(3, 2))
    with pytest.raises(ModelError, match="no nose.weight"):
        ewc(model, {"nose.weight": torch.ones(1)})
    spring = ewc(model, {"head.weight": torch.ones(10, 64)})
    model.head = nn.Linear(64, 3)
    with pytest.raises(ModelError, match="group='backbone'"):
        spring(model)


# -- rehearsal ------------------------------------------------------------------------------------


def test_rehearsal_is_the_loss_on_old_examples_drawn_by_seed_and_step(model, digits):
    term = rehearse(digits.valid, batch_size=8, seed=4)
    model.eval()
    x = digits.train.x[:5] / 255
    batch = Batch(x, digits.train.y[:5], model(x), step=3)
    old_x, old_y = term.extra.matching(batch)
    assert len(old_y) == 8
    same = (digits.valid.x[:, None] == (old_x * 255).round().byte()[None]).flatten(2).all(2)
    assert same.any(0).all()  # each is an old picture
    assert torch.equal(digits.valid.y[same.float().argmax(0)], old_y)
    assert float(term(model, batch)) == float(nn.functional.cross_entropy(model(old_x), old_y))
    again = rehearse(digits.valid, batch_size=8, seed=4)
    list(map(again.extra.matching, [replace(batch, step=step) for step in (9, 1)]))
    assert torch.equal(again.extra.matching(batch)[0], old_x)
    assert not torch.equal(
        rehearse(digits.valid, batch_size=8, seed=5).extra.matching(batch)[0], old_x
    )


def test_rehearsal_keeps_what_plain_training_forgets(rows):
    low, high = rows.train.y < 5, rows.train.y >= 5
    old = replace(rows, train=rows.train.rows(low.nonzero()[:, 0]))
    new = replace(rows, train=rows.train.rows(high.nonzero()[:, 0]))
    start = regression()
    trained(start, old, steps=100, lr=0.01)

    def remembers(**options):
        model = regression()
        model.load_state_dict(start.state_dict())
        trained(model, new, steps=100, lr=0.01, **options)
        mine = rows.test.y < 5
        with torch.no_grad():
            return float((model(rows.test.x[mine]).argmax(1) == rows.test.y[mine]).float().mean())

    plain = remembers()
    assert remembers(terms={"old": rehearse(keep_examples(old, 3))}) > plain + 0.3


def test_a_memory_holds_as_many_of_each_class_and_grows_by_its_end(digits):
    small, large = keep_examples(digits, 2, seed=1), keep_examples(digits, 4, seed=1)
    assert torch.bincount(small.y).tolist() == [2] * 10
    assert set(small.ids) < set(large.ids) <= set(digits.train.ids)
    assert keep_examples(digits, 2, seed=2).ids != small.ids
    for id, x, y in zip(small.ids, small.x, small.y, strict=True):
        row = digits.train.ids.index(id)
        assert torch.equal(digits.train.x[row], x) and digits.train.y[row] == y
    with pytest.raises(DataError, match="has 10 examples, and 11"):
        keep_examples(digits, 11)


def test_a_mixture_holds_the_share_that_was_asked(digits):
    new = replace(digits, train=keep_examples(digits, 3))
    mixed = mix(new, digits.valid, share=0.25, seed=2)
    assert len(mixed.train) == len(mixed.train.y) == 40
    assert mixed.train.ids[:30] == new.train.ids
    assert set(mixed.train.ids[30:]) < set(digits.valid.ids)
    assert mixed.valid is digits.valid and mixed.classes == digits.classes
    assert mix(new, digits, share=0.25).train.ids[-1].startswith("old/")  # the same ids
    trained(regression_on_pictures(), mixed, steps=2)
    with pytest.raises(DataError, match="at most 0.77"):
        mix(new, digits, share=0.9)
    with pytest.raises(DataError, match="load both in one size"):
        mix(new, replace(digits.valid, x=digits.valid.x[:, :, :5]))
    with pytest.raises(DataError, match="must share their classes"):
        mix(new, replace(digits, classes=("a", "b")))
    with pytest.raises(CommandError, match="to below 1, not 1"):
        mix(new, digits, share=1)


def regression_on_pictures():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model.add_module("head", nn.Linear(12, 10))
    return model


# -- numbers -----------------------------------------------------------------------------------

R = [[0.9, 0.2, 0.1], [0.6, 0.8, 0.3], [0.5, 0.9, 0.7]]


def test_the_literatures_numbers_as_worked_out_by_hand():
    assert average_accuracy(R) == pytest.approx((0.5 + 0.9 + 0.7) / 3)
    assert backward_transfer(R) == pytest.approx(((0.5 - 0.9) + (0.9 - 0.8)) / 2)
    assert forward_transfer(R, [0.1, 0.15, 0.25]) == pytest.approx(
        ((0.2 - 0.15) + (0.3 - 0.25)) / 2
    )
    assert average_forgetting(R) == pytest.approx(((0.9 - 0.5) + (0.8 - 0.9)) / 2)


def test_a_best_before_its_own_training_counts_as_forgotten_too():
    rising = [[0.7, 0.9, 0.0], [0.8, 0.6, 0.0], [0.75, 0.5, 0.7]]
    assert average_forgetting(rising) == pytest.approx(((0.8 - 0.75) + (0.9 - 0.5)) / 2)
    assert backward_transfer(rising) == pytest.approx(((0.75 - 0.7) + (0.5 - 0.6)) / 2)


def test_what_was_never_measured_is_only_missed_where_it_is_needed():
    nan = np.nan
    lower = [[0.9, nan, nan], [0.6, 0.8, nan], [0.5, 0.9, 0.7]]
    assert average_forgetting(lower) == average_forgetting(R)
    assert backward_transfer(lower) == backward_transfer(R)
    with pytest.raises(DataError, match="diagonal above"):
        forward_transfer(lower, [0, 0, 0])
    with pytest.raises(DataError, match="NaN where it is needed"):
        average_forgetting([[nan, 0.1], [0.2, 0.9]])


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: backward_transfer([[0.5]]), "2 or more tasks"),
        (lambda: average_accuracy([[0.5, 0.2]]), r"not \(1, 2\)"),
        (lambda: average_accuracy([[50.0]]), "from 0 to 1; R holds 50"),
        (lambda: forward_transfer(R, [0.1]), "each of the 3 tasks"),
        (lambda: fisher_diagonal(regression(), None, labels="true"), "drawn, all, data"),
        (lambda: l2_sp(regression(), others=-1), "from 0 on, not -1"),
        (lambda: keep_examples(None, 0), "from 1 on, not 0"),
    ],
)
def test_what_cannot_be_is_refused(ask, says):
    with pytest.raises((CommandError, DataError), match=says):
        ask()
