import numpy as np
import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods import (
    contrastive,
    describe,
    describe_by,
    embed,
    features,
    head_apart,
    zero_shot,
)


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, 4, 6)), rng.normal(size=(20, 6))


def test_prediction_is_the_softmax_of_cosines_by_numpy():
    described, rows = arrays()
    classes = dict(zip("abc", described, strict=True))
    found = zero_shot(describe_by(classes), temperature=0.2)

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    cosines = unit(rows) @ unit(unit(described).mean(1)).T
    p = np.exp(cosines / 0.2)
    p /= p.sum(1, keepdims=True)
    x = torch.from_numpy(rows).float()
    np.testing.assert_allclose(found.predict_proba(x), p, atol=1e-5)
    assert found.predict(x).tolist() == cosines.argmax(1).tolist()
    assert found.classes == ("a", "b", "c")


def test_temperature_changes_how_sure_and_not_what():
    described, rows = arrays(1)
    by = describe_by(dict(zip("abc", described, strict=True)))
    x = torch.from_numpy(rows).float()
    cold, hot = zero_shot(by, temperature=0.01), zero_shot(by, temperature=10.0)
    assert torch.equal(cold.predict(x), hot.predict(x))
    assert cold.predict_proba(x).amax(1).mean() > 0.9
    torch.testing.assert_close(
        hot.predict_proba(x), torch.full((20, 3), 1 / 3).double(), atol=0.1, rtol=0
    )


def test_the_length_of_a_vector_says_nothing():
    described, rows = arrays(2)
    x = torch.from_numpy(rows).float()
    plain = zero_shot(describe_by(dict(zip("abc", described, strict=True))))
    described[1, 2] *= 50
    longer = zero_shot(describe_by(dict(zip("abc", described, strict=True))))
    torch.testing.assert_close(
        plain.predict_proba(x), longer.predict_proba(7 * x), atol=1e-5, rtol=0
    )


def test_what_describes_nothing_is_refused(model):
    with pytest.raises(DataError, match="two or more"):
        describe_by({"a": torch.ones(3)})
    with pytest.raises(DataError, match="one encoder"):
        describe_by({"a": torch.ones(3), "b": torch.ones(4)})
    with pytest.raises(CommandError, match="temperature is a .*number .*, not 0"):
        zero_shot(describe_by({"a": torch.ones(3), "b": torch.ones(3)}), temperature=0)
    with pytest.raises(ModelError, match="does not read texts"):
        embed(model, ["hello"])
    with pytest.raises(DataError, match="'b' has no description"):
        describe(model, {"a": "x", "b": []})


SAID = {
    "lost card": ["my card is gone", "I have lost my card"],
    "exchange rate": "what rate do you give for foreign currency?",
    "change PIN": "how do I choose a new PIN?",
}
ASKED = [
    "Where is my card? I cannot find it",
    "dollars to euros, how much?",
    "a different PIN please",
]


@pytest.fixture(scope="module")
def minilm():
    return tl.load_model("minilm", classes=list(SAID))


@pytest.mark.public
def test_descriptions_alone_sort_what_customers_ask(minilm):
    described = describe(minilm, SAID)
    assert zero_shot(described).predict(embed(minilm, ASKED)).tolist() == [0, 1, 2]
    assert described.texts["change PIN"] == ("how do I choose a new PIN?",)


@pytest.mark.public
def test_an_edited_description_is_embedded_alone_and_counts(minilm, monkeypatch):
    described = describe(minilm, SAID)
    asked, tokens = [], type(minilm).tokens
    monkeypatch.setattr(
        type(minilm), "tokens", lambda self, texts: asked.extend(texts) or tokens(self, texts)
    )
    edited = describe(minilm, SAID | {"change PIN": "something about the weather"}, known=described)
    assert asked == ["something about the weather"]
    assert torch.equal(edited.vectors[:2], described.vectors[:2])
    whole = describe(minilm, dict(edited.texts))
    torch.testing.assert_close(whole.vectors, edited.vectors, atol=1e-5, rtol=0)
    sure = [zero_shot(d).predict_proba(embed(minilm, ASKED))[2, 2] for d in (described, edited)]
    assert sure[1] < sure[0]


@pytest.mark.public
def test_features_of_tokens_are_the_embeddings_of_their_texts(minilm):
    from dataclasses import replace

    from tlcourse.data import Split
    from tlcourse.data.texts import tokens

    split = Split(tokens(ASKED, 48), torch.arange(3), ("a", "b", "c"))
    found = features(minilm, split)
    torch.testing.assert_close(found.x, embed(minilm, ASKED), atol=1e-5, rtol=0)
    lone = features(minilm, replace(split, x=split.x[1:2], y=split.y[1:2], ids=("b",)))
    torch.testing.assert_close(lone.x[0], found.x[1], atol=1e-5, rtol=0)


@pytest.mark.public
def test_minilm_is_fine_tuned_by_pairs_of_few_texts(minilm):
    from copy import deepcopy

    from tlcourse.data import Data, Split
    from tlcourse.data.texts import tokens

    texts = [text for _ in range(2) for text in ("too slow", "slow", "very fast", "fast")]
    y = torch.tensor([0, 0, 1, 1] * 2)
    split = Split(tokens(texts, 16), y, tuple("abcdefgh"))
    data = Data("pace", "pace", split, split, split, classes=("slow", "fast"))
    model = tl.load_model("minilm", classes=data.classes)
    before = deepcopy(features(model, split).x)
    terms = {"pairs": contrastive(split, pairs=4)}
    tl.Session(head_apart(model), data, steps=4, batch_size=4, lr=1e-4, terms=terms).run()
    after = features(model, split).x

    def gap(x):
        cosine = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=-1)
        same = y[:, None] == y[None]
        return (cosine[same].mean() - cosine[~same].mean()).item()

    assert gap(after) > gap(before) + 0.1
    learned = features(model, data)
    assert tl.probe(learned).accuracy(learned.test) == 1.0
