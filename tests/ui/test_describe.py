"""The board of descriptions, by plain calls and by what a view would send; the encoder counts words."""

import pytest
import torch
from torch import nn

import tlcourse as tl
from tlcourse.data import Data, Split
from tlcourse.errors import CommandError, DataError

WORDS = ("cancel", "stop", "order", "broken", "cracked", "money", "bill", "where")


class Counter(nn.Module):
    """A text encoder of eight numbers: how often each word is there."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.read = []

    def tokens(self, texts):
        self.read += texts
        return torch.tensor([[text.lower().count(word) for word in WORDS] for text in texts])

    def features(self, x):
        return x.float() * self.scale + 0.01


TEXTS = ["cancel the order", "stop it", "it is broken", "cracked", "a bill", "my money", "where?"]
Y = torch.tensor([0, 0, 1, 1, 2, 2, 3])


@pytest.fixture
def encoder():
    return Counter()


@pytest.fixture
def data(encoder):
    x = encoder.features(encoder.tokens(TEXTS)).detach()
    encoder.read.clear()
    split = Split(x, Y, tuple("abcdefg"), texts=tuple(TEXTS))
    return Data("toy", "toy", split, split, split, ("cancel", "broken", "payment", "status"))


@pytest.fixture
def board(encoder, data):
    return tl.Descriptions(encoder, data, {"broken": "cracked", "cancel": "cancel stop"})


def test_only_described_classes_and_their_examples_take_part(board, data):
    assert board.classes == ("broken", "cancel")
    assert board.state["count"] == 4 and board.state["chance"] == 0.5
    assert board.accuracy == board.measure(data.test) == board.first
    rows = {row["name"]: row for row in board.state["classes"]}
    assert sum(row["right"] for row in rows.values()) / 4 == board.accuracy
    assert [sum(row) for row in board.state["matrix"]] == [2, 2]


def test_an_edit_embeds_that_description_alone_and_counts(board, encoder):
    first = board.edit("broken", "where")
    encoder.read.clear()
    better = board.edit("broken", "  broken \n\n cracked ")
    assert encoder.read == ["broken", "cracked"]
    assert better > first
    assert board.said == {"broken": ("broken", "cracked"), "cancel": "cancel stop"}
    assert [(e.name, e.before, e.after) for e in board.edits][1] == ("broken", first, better)
    assert board.state["before"] == first and board.state["accuracy"] == better
    moved = [one for one in board.state["examples"] if one["was"]]
    assert moved and all(one["likeliest"][0][0] != one["was"] for one in moved)
    assert board.edit("broken", "broken\ncracked") == better and len(board.edits) == 2
    assert board.reset() == board.first and board.edits == []


def test_temperature_changes_how_sure_and_not_what(board):
    def told():
        return [one["likeliest"][0] for one in board.state["examples"]]

    cold = told()
    board.warm(1.0)
    assert [name for name, _ in told()] == [name for name, _ in cold]
    assert max(p for _, p in told()) < max(p for _, p in cold)


def test_what_a_view_sends_is_answered_also_where_it_is_refused(board):
    answers = []
    board.send = lambda content, *_: answers.append(content)
    board._hear(None, {"type": "edit", "id": "1", "name": "cancel", "text": "stop\ncancel"}, [])
    board._hear(None, {"type": "edit", "id": "2", "name": "cancel", "text": " \n "}, [])
    board._hear(None, {"type": "temperature", "id": "3", "value": "hot"}, [])
    board._hear(None, {"type": "reset", "id": "4"}, [])
    board._hear(None, {"type": "unheard of", "id": "5"}, [])
    assert [one["id"] for one in answers] == ["1", "2", "3", "4"]
    assert answers[0]["note"] is None and answers[0]["state"]["edits"] == 1
    assert "the last one stays" in answers[1]["note"]["reason"]
    assert answers[1]["state"]["accuracy"] == answers[0]["state"]["accuracy"]
    assert "between 0.005 and 1" in answers[2]["note"]["reason"]
    assert answers[3]["state"]["edits"] == 0


def test_without_a_browser_it_is_a_table_whose_numbers_are_marked(board):
    board.edit("broken", "<b>cracked</b>")
    bundle, _ = board._repr_mimebundle_()
    assert "&lt;b&gt;cracked" in bundle["text/html"] and "<b>cracked" not in bundle["text/html"]
    assert f"<data>{board.accuracy:.1%}</data>" in bundle["text/html"]
    assert bundle["text/plain"] == "Descriptions of 2 classes, on 4 texts"
    assert "⟨" in repr(board.history()) and "broken" in repr(board.history())


def test_what_cannot_be_is_said(encoder, data):
    said = {"broken": "cracked", "cancel": "cancel"}
    with pytest.raises(DataError, match="no class 'refund'. It has: cancel"):
        tl.Descriptions(encoder, data, said | {"refund": "money"})
    with pytest.raises(CommandError, match="No split 'exam'"):
        tl.Descriptions(encoder, data, said, split="exam")
    with pytest.raises(CommandError, match="temperature=0"):
        tl.Descriptions(encoder, data, said, temperature=0)
    with pytest.raises(DataError, match="There are: broken, cancel"):
        tl.Descriptions(encoder, data, said).edit("status", "where")
