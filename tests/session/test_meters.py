"""Meters are read between the steps and change nothing."""

import random

import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.session import Evaluated, Metered, StepDone, Warned
from tlcourse.session.record.lines import event_of, row_of

from .conftest import Net, mlp, of


def steered(data, **more):
    """With everything that a meter might disturb: dropout, BatchNorm, augmentation, a twin, a rewind."""
    run = tl.Session(Net(), data, steps=40, lr=1e-2, eval_every=10, augment=0.5, seed=3, **more)
    run.at(10, tl.Twin())
    run.at(10, tl.SetLR("all", 3e-2))
    run.at(25, tl.Evaluate("valid"))
    run.at(30, tl.Rewind(15))
    return run


def dice(model):
    """Draws from every global generator, and computes with the model."""
    assert not model.training and not torch.is_grad_enabled()
    random.random()
    np.random.rand(3)
    return float(model(torch.rand(4, 3, 12, 12)).mean())


def test_a_run_with_meters_is_bit_for_bit_the_run_without(pictures):
    states = []
    for meters in (None, {"dice": dice, "old task": pictures.test}):
        random.seed(1), np.random.seed(1)
        run = steered(pictures, meters=meters)
        run.run()
        weights = torch.cat([p.flatten() for p in run.model.parameters()])
        modes = [module.training for module in run.model.modules()]
        drawn = random.random(), float(np.random.rand()), float(torch.rand(1))
        record = run.record
        states.append((record.commands, record.outcome, weights.tolist(), modes, drawn))
    assert states[0] == states[1] and run.record.outcome["steps"] == 40 + 20 + 15


def test_a_meter_is_read_at_the_start_with_every_evaluation_on_request_and_at_the_end(numbers):
    run = tl.Session(
        mlp(), numbers, steps=20, eval_every=8, meters={"weight": lambda m: m.head.weight.sum()}
    )
    run.at(5, tl.Evaluate("test"))
    result = run.run()
    assert [step for step, _ in result.meters["weight"]] == [0, 5, 8, 16, 20]
    assert result.meters["weight"][-1][1] == float(run.model.head.weight.detach().sum())
    first, *_ = run.events
    assert isinstance(first, Metered) and (first.tick, first.branch) == (0, "main")
    for told in of(Metered, run.events)[1:]:
        before = run.events[run.events.index(told) - 1]
        assert isinstance(before, Evaluated) and before.step == told.step


def test_a_split_of_other_data_is_a_meter(pictures):
    run = steered(pictures, meters={"old task": pictures.valid})
    result = run.run()
    measured = {e.tick: e.accuracy for e in of(Evaluated, run.events) if e.split == "valid"}
    assert measured[10] and all(
        e.value == measured[e.tick]
        for e in of(Metered, run.events)
        if e.tick in measured and e.branch == "main" and e.tick != 10
    )
    assert result.meters["old task"][-1] == (40, result.valid_accuracy)


def test_twins_are_metered_and_what_was_given_up_is_left_out(pictures):
    run = steered(pictures, meters={"norm": lambda m: sum(p.norm() for p in m.parameters())})
    result = run.run()
    main, twin = (result.timelines[name].meters["norm"] for name in ("main", "twin"))
    assert [step for step, _ in main] == [0, 10, 20, 30, 40]
    assert [step for step, _ in twin] == [0, 10, 20, 25, 30]
    assert main[:2] == twin[:2] and main[2] != twin[2]
    assert result.meters["norm"] == main


@pytest.mark.parametrize(
    "meter, says",
    [
        (lambda m: 1 / 0, "ZeroDivisionError: division by zero."),
        (lambda m: float("nan"), "it returned nan, which is no finite number."),
        (lambda m: torch.inf, "it returned inf, which is no finite number."),
        (lambda m: "0.3", "it returned '0.3', which is no number."),
        (
            lambda m: m(torch.rand(2, 5)),
            "mat1 and mat2 shapes cannot be multiplied (2x5 and 8x16).",
        ),
        (lambda m: None, "it returned None, which is no number."),
    ],
)
def test_a_meter_that_fails_is_told_of_once_and_rests(numbers, meter, says):
    run = tl.Session(
        mlp(), numbers, steps=20, eval_every=5, meters={"lame": meter, "good": lambda m: 1}
    )
    result = run.run()
    (told,) = of(Warned, run.events)
    assert told.text.startswith("The meter 'lame' rests from here on: ") and says in told.text
    assert result.meters["lame"] == [] and len(result.meters["good"]) == 5
    assert len(of(StepDone, run.events)) == 20


@pytest.mark.parametrize(
    "meters, says",
    [
        ({"old task": 0.7}, "'old task' is a function of the model that returns a number.*not 0.7"),
        ({"": len}, "one line of 1 to 40 letters, not ''"),
        ({3: len}, "one line of 1 to 40 letters, not 3"),
        ({"x" * 41: len}, "one line of 1 to 40 letters"),
        ({"valid": len}, "cannot be named 'valid'"),
        (len, "mapping from a name to a function"),
    ],
)
def test_what_is_no_meter_is_refused_before_anything_changes(numbers, meters, says):
    model = mlp()
    model.body.requires_grad_(False)
    with pytest.raises(CommandError, match=says):
        tl.Session(model, numbers, meters=meters)
    assert not model.body[0].weight.requires_grad


def test_a_record_holds_what_was_read_and_replays_without_it_or_with_another(pictures):
    run = steered(pictures, meters={"dice": dice})
    run.run()
    record = tl.Record.read("\n".join(run.record.lines()), "r.jsonl")
    assert of(Metered, record.events) == of(Metered, run.events) != []
    again = tl.replay(record, model=Net(), data=pictures)
    assert again.exact and not of(Metered, again.run.events)
    other = tl.replay(run.record, model=Net(), data=pictures, meters={"one": lambda m: 1})
    assert other.exact and other.run.result.meters["one"][-1] == (40, 1.0)


def test_a_run_that_went_on_after_its_end_replays_whatever_was_metered(pictures):
    run = steered(pictures, meters={"dice": dice})
    run.run()
    run.send(tl.Rewind(30))
    run.run()
    assert tl.replay(run.record, model=Net(), data=pictures).exact
    assert [step for step, _ in run.result.meters["dice"]] == [0, 10, 20, 30, 40]


def test_a_resumed_run_keeps_its_series_and_can_be_given_meters(pictures, tmp_path):
    whole = steered(pictures).run()
    saved = {"autosave": tmp_path, "autosave_s": 0, "meters": {"dice": dice}}
    run = steered(pictures, **saved)
    run.at(35, tl.Stop())
    run.run()
    again = tl.resume(tmp_path, model=Net(), data=pictures, meters={"one": lambda m: 1})
    series = again.result.meters
    assert series["dice"] == run.result.meters["dice"] and series["one"] == []
    again.send(tl.Rewind(20))
    result = again.run()
    assert result.losses.tolist() == whole.losses.tolist()
    assert [step for step, _ in result.meters["one"]] == [30, 40]


def test_a_reading_survives_json():
    told = Metered(3, 2, "main", "old task", 0.5)
    assert event_of(row_of(told)) == told
