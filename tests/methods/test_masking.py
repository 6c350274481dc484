from dataclasses import replace

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.domain_adaptation.masked_words import covered_loss, masked_words, with_words
from tlcourse.session import Batch

UNKNOWN = 10.326  # ln 30522: every word of the table as likely as another


@pytest.fixture(scope="module")
def texts():
    found = tl.load_data("tickets", domain="clinic").valid
    return replace(found, x=found.x[:12], y=found.y[:12], ids=found.ids[:12], texts=())


@pytest.fixture(scope="module")
def model():
    return with_words(tl.load_model("minilm", classes=("a", "b")))


def at(step: int) -> Batch:
    x, y = torch.zeros(4, 8, dtype=torch.long), torch.zeros(4, dtype=torch.long)
    return Batch(x, y, torch.zeros(4, 2), step)


def test_a_covered_word_is_hidden_from_the_model_and_asked_of_it(texts, model):
    """The loss, computed by hand: cover, read, look up in the table of words."""
    asked = []

    def body(input_ids, attention_mask):
        asked.append(input_ids)
        return real(input_ids=input_ids, attention_mask=attention_mask)

    real = model.model.body.forward
    model.model.body.forward = body
    try:
        with torch.no_grad():
            model.eval()
            loss = masked_words(texts, batch_size=12, share=0.3)(model, at(0)).item()
    finally:
        model.model.body.forward = real
    (seen,) = asked
    covered = seen == model.tokenizer.mask_token_id
    special = (model.tokenizer.cls_token_id, model.tokenizer.sep_token_id)
    assert all((seen == token).sum() == 12 for token in special)  # never covered
    words = (seen != 0).sum() - 24
    assert 0.15 < covered.sum() / words < 0.45
    # Which text is which: by what was left open.
    hidden = torch.cat(
        [
            next(
                row[: seen.shape[1]][hole]
                for row in texts.x
                if torch.equal(row[: seen.shape[1]][~hole], line[~hole])
            )
            for line, hole in zip(seen, covered, strict=True)
        ]
    )
    with torch.no_grad():
        states = real(input_ids=seen, attention_mask=(seen != 0).long()).last_hidden_state
        scores = model.words(states[covered]) @ model.body.get_input_embeddings().weight.T
    by_hand = -scores.log_softmax(1)[torch.arange(len(hidden)), hidden].mean().item()
    assert loss == pytest.approx(by_hand, rel=1e-5)


def test_what_is_covered_is_a_function_of_seed_and_step(texts, model):
    model.eval()
    with torch.no_grad():
        one, again, later, other = (
            masked_words(texts, batch_size=4, seed=seed)(model, at(step)).item()
            for seed, step in ((0, 3), (0, 3), (0, 4), (1, 3))
        )
    assert one == again and len({one, later, other}) == 3
    assert covered_loss(model, texts) == covered_loss(model, texts)


def test_a_few_steps_of_practice_make_its_words_likelier(texts):
    few = replace(texts, y=torch.arange(12) % 2)
    data = replace(tl.load_data("tickets"), train=few, valid=None, test=None, classes=("a", "b"))
    model = with_words(tl.load_model("minilm", classes=data.classes))
    before = covered_loss(model, texts)
    frozen = [
        name for name in model.groups if name.startswith(("embed", "layer")) and name != "layer5"
    ]
    tl.Session(
        model, data, steps=6, lr={"backbone": 1e-4, "words": 1e-3, "head": 1e-3}, freeze=frozen,
        batch_size=4, terms={"words": masked_words(texts, batch_size=6)},
    ).run()  # fmt: skip
    assert before == pytest.approx(
        UNKNOWN, abs=1
    )  # an encoder of sentences was never asked for words
    assert covered_loss(model, texts) < before - 0.5


def test_wrong_uses_are_refused(texts, model):
    with pytest.raises(ModelError, match="does not read texts"):
        with_words(tl.load_model("pocket-glyphs", classes=("a", "b")))
    with pytest.raises(ModelError, match="already"):
        with_words(model)
    with pytest.raises(ModelError, match="with_words"):
        masked_words(texts)(model.model, at(0))
    with pytest.raises(CommandError, match="above 0 and below 1"):
        masked_words(texts, share=1.0)
    with pytest.raises(DataError, match="token ids"):
        masked_words(tl.load_data("digits").test)
