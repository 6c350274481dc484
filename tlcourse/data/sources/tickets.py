"""Support tickets in two domains with the same ten intents.

`shop`: customers write to Lindenhof, a web shop for household and garden. `clinic`: doctors, nurses,
secretaries and the laboratory of a hospital write to its IT desk. Written by hand by the authors of
this project, and embedded: nothing is downloaded. docs/data/tickets.md describes them.

    shop = load_data("tickets", domain="shop", labels_per_class=10)
    texts = unlabelled("clinic")               # for continued pre-training
    other = second_readings("shop")            # id -> the other intent that could be meant
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from tlcourse.data.examples import Source
from tlcourse.errors import DataError

DOMAINS = ("shop", "clinic")
TEST, VALID = 30, 10  # tickets per intent
INTENTS = {  # in the order of their labels: what the writer most wants, or what is the matter
    "access": "cannot log in or get in: password, code, locked account, badge",
    "status": "asks where something that was ordered or requested is, and when it comes",
    "change": "wants to change an order, request, booking or record that exists",
    "cancel": "wants to call something off: an order, subscription, appointment or request",
    "broken": "something does not work, or not any more: damage, crash, error message",
    "wrong": "got something other than what was asked for, or not all of it",
    "payment": "about money: bill, charge, refund, voucher, budget, what something costs",
    "howto": "asks how something is done, where it is found, or whether it is possible",
    "privacy": "about personal data: delete, show, correct; data in wrong hands; suspicious mail",
    "complaint": "about service, tone, waiting or a decision; wants to be heard",
}


class Ticket(NamedTuple):
    id: str
    intent: str
    second: str
    text: str


def read(size: int, domain: str = "shop") -> Source:
    """A domain's tickets as minilm's tokens; of each intent, 30 are for testing and 10 for validation.

    At least 53 per intent are for training. `texts` keep their line breaks.
    """
    from tlcourse.data.corpus import Row, source

    return source(
        f"Support tickets, {domain} (written for this course, embedded)",
        [Row(ticket.id, ticket.intent, ticket.text) for ticket in tickets(domain)],
        classes={intent: intent for intent in INTENTS},
        size=size,
        valid=VALID,
        test=TEST,
    )


def second_readings(domain: str = "shop") -> dict[str, str]:
    """For ambiguous tickets: id -> the other possible intent.

    The label is what the writer wants most, in the author's view; nobody else labelled them.
    """
    return {ticket.id: ticket.second for ticket in tickets(domain) if ticket.second}


@cache
def tickets(domain: str = "shop") -> tuple[Ticket, ...]:
    """A domain's labelled tickets as in the file, in no meaningful order."""
    head, *lines = _lines(f"{_known(domain)}.tsv")
    assert tuple(head.split("\t")) == Ticket._fields
    return tuple(Ticket(*_text(line).split("\t")) for line in lines)


@cache
def unlabelled(domain: str = "shop") -> tuple[str, ...]:
    """A domain's unlabelled texts: tickets of any or no intent, answers, notes, instructions.

    None of them is a labelled ticket, but some answer one, so they describe the same events.
    """
    return tuple(_text(line) for line in _lines(f"{_known(domain)}-unlabelled.txt"))


def _text(line: str) -> str:
    return line.replace(" / ", "\n")


def _lines(name: str) -> list[str]:
    from tlcourse.supply import fetch

    return (fetch("tickets") / name).read_text(encoding="utf-8").splitlines()


def _known(domain: str) -> str:
    if domain not in DOMAINS:
        raise DataError(f"tickets has no domain {domain!r}. There are: {', '.join(DOMAINS)}.")
    return domain
