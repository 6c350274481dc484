"""Contract over every command: JSON both ways, and refusal with the choices of what is wrong."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.session import from_json, kinds
from tlcourse.session.commands import Command

names = st.sampled_from(["head", "backbone", "stage4", "all"])
rates = st.floats(min_value=1e-9, max_value=1e3)
names_of_moments = st.sampled_from(["warm", "head only", "try-2", "a_b", "Übung 3", "v1.0+lora"])
ARGUMENTS = {
    "group": names,
    "lr": rates,
    "stats": st.booleans(),
    "strength": st.floats(0, 1),
    "split": st.sampled_from(["train", "valid", "test"]),
    "rank": st.integers(1, 256),
    "alpha": st.none() | st.floats(0.1, 64),
    "layers": st.sampled_from([None, "query,value", "fc"]),
    "name": names_of_moments,
    "adapter": names_of_moments,
    "value": st.floats(0, 10),
    "head": st.sampled_from(["linear", "mlp"]),
    "term": names_of_moments,
    "to": st.integers(0, 10_000) | names_of_moments,
    "at": st.none() | st.integers(0, 10_000) | names_of_moments,
    "branch": st.none() | names_of_moments,
    "on": st.booleans(),
}
commands = st.sampled_from(list(kinds().values())).flatmap(
    lambda cls: st.builds(cls, **{f.name: ARGUMENTS[f.name] for f in fields(cls)})
)


@given(commands)
def test_every_command_survives_json(command):
    command.check()
    assert from_json(json.loads(json.dumps(command.to_json()))) == command


@pytest.mark.parametrize("kind", kinds())
def test_every_command_says_what_it_does(kind):
    cls = kinds()[kind]
    assert issubclass(cls, Command) and cls.kind == kind
    assert cls.__doc__ and not cls.__doc__.startswith(cls.__name__ + "(")


@pytest.mark.parametrize("kind", kinds())
def test_every_command_refuses_arguments_it_does_not_take(kind):
    with pytest.raises(CommandError, match="has no colour"):
        from_json({"kind": kind, "colour": "red"})


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"kind": "explode"}, "Commands are: set_lr, freeze"),
        ({}, "No command None"),
        ({"kind": ["freeze"]}, "Commands are"),
        ("freeze", "object with a kind"),
        ({"kind": "set_lr", "group": "head"}, "also needs lr"),
        ({"kind": "set_lr", "group": "head", "lr": -1}, "above 0"),
        ({"kind": "set_lr", "group": "head", "lr": "fast"}, "above 0"),
        ({"kind": "set_lr", "group": "head", "lr": True}, "above 0"),
        ({"kind": "set_lr", "group": "head", "lr": float("nan")}, "above 0"),
        ({"kind": "unfreeze", "group": "head", "lr": 0}, "above 0"),
        ({"kind": "freeze", "group": ""}, "named by a string"),
        ({"kind": "freeze", "group": 3}, "named by a string"),
        ({"kind": "freeze", "group": "head", "stats": 1}, "True or False"),
        ({"kind": "augment", "strength": 1.5}, "from 0 .* to 1"),
        ({"kind": "evaluate", "split": "exam"}, "train, valid, test"),
        ({"kind": "add_lora", "rank": 0}, "from 1 to 256"),
        ({"kind": "add_lora", "rank": 4.5}, "from 1 to 256"),
        ({"kind": "add_lora", "alpha": -1}, "alpha is a number above 0"),
        ({"kind": "add_lora", "lr": 0}, "above 0"),
        ({"kind": "add_lora", "layers": " "}, "endings of layer names"),
        ({"kind": "add_lora", "name": "a/b"}, "short name"),
        ({"kind": "set_scale", "adapter": "lora"}, "also needs value"),
        ({"kind": "set_scale", "adapter": "lora", "value": 11}, "from -10 to 10"),
        ({"kind": "swap_head", "head": "tree"}, "linear, mlp"),
        ({"kind": "set_weight", "term": "l2", "value": -1}, "from 0 on"),
        ({"kind": "save"}, "also needs name"),
        ({"kind": "save", "name": ""}, "short name"),
        ({"kind": "rewind", "to": -1}, "from 0 on or to a bookmark"),
        ({"kind": "rewind", "to": 1.5}, "from 0 on or to a bookmark"),
        ({"kind": "rewind", "to": True}, "from 0 on or to a bookmark"),
        ({"kind": "branch", "name": "x" * 60}, "short name"),
        ({"kind": "twin", "on": 1}, "True or False"),
    ],
)
def test_a_wrong_message_is_refused_with_the_choices(message, says):
    with pytest.raises(CommandError, match=says):
        from_json(message)


def test_send_refuses_at_once_what_can_be_seen_to_be_wrong(run):
    with pytest.raises(CommandError, match="body, head.*Did you mean 'head'"):
        run.send(tl.Freeze("haed"))
    with pytest.raises(CommandError, match="above 0"):
        run.send(tl.SetLR("head", -1e-3))
    with pytest.raises(CommandError, match="not a command"):
        run.send("freeze")
    with pytest.raises(CommandError, match="run has 60 steps"):
        run.at(60, tl.Stop())
    with pytest.raises(CommandError, match="whole number"):
        run.at(-1, tl.Stop())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"lr": -1}, "above 0, not -1"),
        ({"lr": {"head": 1e-3}}, "no rate for body"),
        ({"lr": {"haed": 1e-3, "all": 1}}, "Did you mean 'head'"),
        ({"freeze": "all"}, "would freeze everything"),
        ({"freeze": ["body", "head"]}, "would freeze everything"),
        ({"freeze": "tail"}, "No parameter group 'tail'"),
        ({"steps": 0}, "steps is a whole number from 1"),
        ({"batch_size": 2.5}, "batch_size is a whole number"),
        ({"optimizer": "magic"}, "adamw, sgd"),
        ({"augment": 2}, "from 0"),
        ({"augment": 0.5}, "nothing to augment"),
        ({"eval_every": 0}, "eval_every"),
        ({"device": "abacus"}, "abacus"),
        ({"pace": 0}, "steps a second"),
    ],
)
def test_a_session_refuses_what_cannot_run(numbers, arguments, says):
    from .conftest import mlp

    model = mlp()
    with pytest.raises(CommandError, match=says):
        tl.Session(model, numbers, **arguments)
    assert all(p.requires_grad for p in model.parameters())


def test_arguments_in_the_wrong_order_are_named(numbers):
    from .conftest import mlp

    with pytest.raises(
        CommandError, match="a torch module and a tlcourse Data.*Data and Sequential"
    ):
        tl.Session(numbers, mlp())


def test_a_model_for_other_classes_is_refused_before_it_trains(numbers):
    from .conftest import mlp

    model = mlp()
    model.classes = ("a", "b", "c")
    with pytest.raises(CommandError, match="3 classes apart and the data has 2"):
        tl.Session(model, numbers)
