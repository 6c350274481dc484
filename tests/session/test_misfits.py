"""What does not fit is said at the call, in one sentence that names what is at fault."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim import SGD

import tlcourse as tl
from tlcourse.errors import TLCourseError

from .conftest import mlp


def with_labels(change):
    def made(numbers):
        y = numbers.train.y.clone()
        return replace(numbers, train=replace(numbers.train, y=change(y)))

    return made


def set_to(at, value):
    def change(y):
        y[at] = value
        return y

    return change


def with_ids(change):
    return lambda numbers: replace(
        numbers, train=replace(numbers.train, ids=change(numbers.train.ids))
    )


ONES = torch.ones(200, 1)
ONES[4] = float("nan")
DATA = {
    "a label out of range": (with_labels(set_to(7, 5)), "train: example '7' has label 5"),
    "a negative label": (with_labels(set_to(3, -1)), "train: example '3' has label -1"),
    "in another split": (
        lambda n: replace(n, valid=replace(n.valid, y=n.valid.y + 1)),
        "valid: example '200' has label 2",
    ),
    "float labels": (with_labels(torch.Tensor.float), "whole numbers, not .200,. float32"),
    "bool labels": (with_labels(torch.Tensor.bool), "whole numbers, not .200,. bool"),
    "short labels": (with_labels(torch.Tensor.int), "y is int64, not torch.int32"),
    "listed labels": (with_labels(torch.Tensor.tolist), "a tensor .N,. int64, not a list"),
    "one-hot labels": (with_labels(nn.functional.one_hot), "not .200, 2. int64"),
    "more pictures than labels": (with_labels(lambda y: y[:-3]), "number 197 lacks its label"),
    "a name too few": (with_ids(lambda ids: ids[1:]), "200 examples and 199 ids"),
    "half a surrogate": (with_ids(lambda ids: ("\ud800", *ids[1:])), "the id of example 0"),
    "an empty id": (with_ids(lambda ids: (*ids[:9], "", *ids[10:])), "the id of example 9"),
    "no number": (
        lambda n: replace(n, train=replace(n.train, x=n.train.x / ONES)),
        "'4' holds NaN",
    ),
    "an empty class": (lambda n: replace(n, classes=("", "b")), "class 0 is a line of text"),
    "a class with a surrogate": (lambda n: replace(n, classes=("a", "\udc00")), "class 1 is a line"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_data_that_do_not_fit_are_named(numbers, case):
    made, says = DATA[case]
    with pytest.raises(TLCourseError, match=says) as told:
        tl.Session(mlp(), made(numbers))
    str(told.value).encode()


def no_rate(parameters):
    optimizer = SGD(parameters, lr=0.1)
    optimizer.param_groups[0]["lr"] = None
    return optimizer


CALLS = {
    "a parameter for a model": (
        lambda n: tl.Session(nn.Parameter(torch.zeros(2)), n), "takes a torch module",
    ),
    "a parameter for a group": (
        lambda n: tl.Session(mlp(), n, groups={"a": nn.Parameter(torch.zeros(())), "b": "head"}),
        "not Parameter; a single parameter is named by its path",
    ),
    "a number for a group": (lambda n: tl.Session(mlp(), n, groups={"a": 3}), "not int"),
    "a group without a name": (
        lambda n: tl.Session(mlp(), n, groups={" ": "body", "b": "head"}), "A group's name",
    ),
    "a surrogate for a group": (
        lambda n: tl.Session(mlp(), n, groups={"\udc00": "body"}), "A group's name",
    ),
    "an optimizer without a rate": (
        lambda n: tl.Session(mlp(), n, optimizer=no_rate), "has no rate .lr=None.",
    ),
    "a loop's optimizer without a rate": (
        lambda n: tl.steer([1], model=mlp(), optimizer=no_rate(mlp().parameters())), "has no rate",
    ),
    "a loop without a model": (
        lambda n: tl.steer([1], model=mlp().head.weight, optimizer=SGD(mlp().parameters(), 1)),
        "torch.nn.Module, not a Parameter",
    ),
    "a loop over nothing": (
        lambda n: tl.steer(None, model=mlp(), optimizer=SGD(mlp().parameters(), 1)), "loader is what",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_arguments_that_do_not_fit_are_named(numbers, case):
    call, says = CALLS[case]
    with pytest.raises(TLCourseError, match=says):
        call(numbers)
