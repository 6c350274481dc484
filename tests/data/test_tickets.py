"""What the written tickets are: balanced, well-formed, hardly repetitive, and not read by keyword."""

import re
from collections import Counter
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
import torch

from tlcourse.data import domains, load_data
from tlcourse.data.corpus import words_of
from tlcourse.data.sources.tickets import DOMAINS, INTENTS, second_readings, tickets, unlabelled
from tlcourse.errors import DataError

NEAR = 0.6  # of the runs of four characters that two texts have, they share
EVERY = [ticket for domain in DOMAINS for ticket in tickets(domain)]


def nearest(texts, others):
    """For each text the largest Jaccard similarity of character 4-grams to one of the others."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer="char", ngram_range=(4, 4), binary=True, dtype=np.float32)
    grams = counter.fit_transform([words_of(text) for text in [*texts, *others]])
    a, b = grams[: len(texts)], grams[len(texts) :]
    common = (a @ b.T).toarray()
    either = np.asarray(a.sum(1)) + np.asarray(b.sum(1)).T - common
    if texts is others:
        np.fill_diagonal(common, 0)
    return (common / either).max(1)


def test_there_are_as_many_as_the_card_says():
    assert domains("tickets") == DOMAINS == ("shop", "clinic")
    assert {domain: len(tickets(domain)) for domain in DOMAINS} == {"shop": 937, "clinic": 952}
    assert {domain: len(unlabelled(domain)) for domain in DOMAINS} == {"shop": 321, "clinic": 307}
    for domain in DOMAINS:
        counts = Counter(ticket.intent for ticket in tickets(domain))
        assert set(counts) == set(INTENTS) and min(counts.values()) >= 93


def test_every_line_is_well_formed():
    assert len({ticket.id for ticket in EVERY}) == len(EVERY)
    for ticket in EVERY:
        assert re.fullmatch("[sc][0-9]{4}", ticket.id)
        assert ticket.second == "" or ticket.second in set(INTENTS) - {ticket.intent}
    texts = [ticket.text for ticket in EVERY] + [t for d in DOMAINS for t in unlabelled(d)]
    for text in texts:
        assert text == text.strip() and "  " not in text and "\t" not in text and " / " not in text
        assert 1 <= len(text.split()) <= 130 and text.isprintable() or "\n" in text
    assert sum("\n" in text for text in texts) == 22


def test_the_files_are_shuffled():
    """Runs of one intent are as short as chance makes them, and early ids stand everywhere."""
    for domain in DOMAINS:
        every = tickets(domain)
        same = sum(a.intent == b.intent for a, b in pairwise(every))
        assert same < 0.15 * len(every)
        first = np.mean([int(ticket.id[1:]) for ticket in every[:400]]) / len(every)
        assert 0.45 < first < 0.55


def test_hardly_any_two_say_nearly_the_same():
    near = nearest(texts := [ticket.text for ticket in EVERY], texts) > NEAR
    assert near.mean() < 0.02
    # The measure does find them: a ticket with another order's number.
    assert (
        nearest(["Please cancel order LH-40001, thank you."], ["please cancel order LH-40002"])[0]
        > NEAR
    )


def test_no_test_text_is_trained_on_or_read_beforehand():
    for domain in DOMAINS:
        data = load_data("tickets", domain=domain)
        other = load_data("tickets", domain=next(d for d in DOMAINS if d != domain))
        seen = [*data.train.texts, *data.valid.texts, *other.train.texts, *other.valid.texts]
        seen += [text for every in DOMAINS for text in unlabelled(every)]
        assert not {words_of(text) for text in data.test.texts} & {words_of(text) for text in seen}
        assert (nearest(data.test.texts, seen) > NEAR).sum() == 0


def test_load_data_gives_tokens_texts_and_a_fixed_test_set():
    data = load_data("tickets", labels_per_class=10, seed=1)
    assert repr(data) == "tickets: 10 classes · 100 train, 100 valid, 300 test · 48"
    assert data.classes == tuple(INTENTS) and data.recipe["domain"] == "shop"
    by_id = {ticket.id: ticket for ticket in EVERY}
    for split in (data.train, data.valid, data.test):
        assert split.x.dtype == torch.int64 and split.x.shape == (len(split), 48)
        assert set(torch.bincount(split.y).tolist()) == {len(split) // 10}
        for id, text, y in zip(split.ids, split.texts, split.y.tolist(), strict=True):
            assert by_id[id].text == text and by_id[id].intent == data.classes[y]
    short, long = (load_data("tickets", domain="clinic", size=size) for size in (16, 64))
    assert (
        torch.equal(short.test.x[:, :15], long.test.x[:, :15]) and short.test.ids == long.test.ids
    )


def test_few_tickets_are_cut_off():
    for domain in DOMAINS:
        cut = (load_data("tickets", domain=domain).train.x[:, -1] != 0).float().mean()
        assert 0.01 < cut < 0.08


@pytest.mark.parametrize(
    ("domain", "digest"), [("shop", "9589f3e0e8a46de0"), ("clinic", "9e06e07599ea40bb")]
)
def test_the_test_set_never_changes(domain, digest):
    # Hashes of the ids, written down at the first release: published figures depend on them.
    ids = "\n".join(load_data("tickets", domain=domain).test.ids)
    assert sha256(ids.encode()).hexdigest()[:16] == digest


def test_some_can_be_read_in_two_ways():
    for domain in DOMAINS:
        second = second_readings(domain)
        labels = {ticket.id: ticket.intent for ticket in tickets(domain)}
        assert 0.05 < len(second) / len(labels) < 0.15
        assert all(labels[id] != other for id, other in second.items())
    assert second_readings("shop")["s0006"] == "status"  # cannot log in to see where a parcel is


def test_an_unknown_domain_is_refused():
    for ask in (unlabelled, second_readings, tickets):
        with pytest.raises(DataError, match="no domain 'bank'. There are: shop, clinic"):
            ask("bank")


@pytest.mark.slow
@pytest.mark.release
def test_ten_labels_are_hard_for_words_and_easier_for_an_encoder():
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    from tickets_in_labels import encoded, words

    from tlcourse.methods import probe
    from tlcourse.models import load_model

    drawn = {d: load_data("tickets", domain=d, labels_per_class=10) for d in DOMAINS}
    bags = {domain: words(data.train, data.test) for domain, data in drawn.items()}
    assert all(0.3 < bag < 0.65 for bag in bags.values())
    cached = encoded(load_model("minilm", classes=10).eval(), drawn["shop"])
    assert bags["shop"] + 0.08 < probe(cached).accuracy(cached.test) < 0.85
