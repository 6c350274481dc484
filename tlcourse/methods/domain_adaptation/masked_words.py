"""Continued pre-training on text: predict masked words (Devlin et al. 2019).

An encoder can practise on another domain's texts without labels: some words are masked, and it learns
to predict them (Gururangan et al. 2020, "Don't Stop Pretraining").

    model = with_words(load_model("minilm", classes=classes))
    run = Session(model, data, terms={"words": masked_words(clinic.train)}, freeze="embeddings", …)
    covered_loss(model, clinic.valid)          # nats per masked word; guessing gives ln 30522 = 10.3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks import number
from tlcourse.errors import CommandError, DataError, ModelError
from tlcourse.methods.extra_batches import ExtraBatches
from tlcourse.methods.feature_extraction.features import holds_tokens, padding, trimmed
from tlcourse.methods.wrapped_model import HeadApart
from tlcourse.models.inspection import evaluating
from tlcourse.rng import checked_seed, fold_in

if TYPE_CHECKING:
    from tlcourse.data import Split
    from tlcourse.session import Batch, Term


class WithWords(HeadApart):
    """A text model with one more group, "words": it maps a token's state to the space of the word
    embeddings. The head learns from the features; no gradient flows from the head into the features."""

    def __init__(self, model: nn.Module, words: nn.Module) -> None:
        super().__init__(model)
        self.words = words

    @property
    def groups(self) -> dict[str, nn.Module]:
        *body, (head, module) = super().groups.items()
        return {**dict(body), "words": self.words, head: module}


def with_words(model: nn.Module) -> WithWords:
    """The model, with a layer (D → D, initially the identity) that predicts masked words.

    Groups, features and predictions do not change; `.model` is the model itself. As in `head_apart`, the
    run's own loss trains only the head. Raises ModelError for a model that does not read texts.
    """
    if not hasattr(model, "tokenizer") or not hasattr(model, "body"):
        raise ModelError(
            f"{type(model).__name__} does not read texts, so it has no words to predict: use minilm."
        )
    if "words" in model.groups:
        raise ModelError('This model has a group "words" already; use it as it is.')
    width = model.body.get_input_embeddings().embedding_dim
    words = nn.Linear(width, width)
    with torch.no_grad():
        words.weight.copy_(torch.eye(width))
        words.bias.zero_()
    like = next(model.parameters())
    return WithWords(model, words.to(like.device, like.dtype))


def masked_words(
    texts: Split, *, share: float = 0.15, batch_size: int | None = None, seed: int = 0
) -> Term:
    """A term of a run's loss: cross-entropy in nats of the masked tokens of a domain's texts.

    texts: token ids (N, T) int64; labels are never read. share: of the tokens in each batch, without
    special ones, above 0 and below 1. All of them become the mask token (BERT leaves a tenth unchanged
    and replaces a tenth by random words). Which texts and tokens is a function of (seed, step).
    batch_size: None means the run's own. The model must come from `with_words`.
    """
    _check(texts, share)
    seed = checked_seed(seed, CommandError)
    extra = ExtraBatches(texts, seed=seed, batch_size=batch_size, purpose="words")

    def term(model: nn.Module, batch: Batch) -> Tensor:
        tokens = trimmed(extra.matching(batch)[0], padding(model))
        return _loss(model, tokens, share, fold_in(seed, "covered", batch.step))

    return term


def covered_loss(
    model: nn.Module, texts: Split, *, share: float = 0.15, seed: int = 0, batch_size: int = 32
) -> float:
    """Mean cross-entropy in nats per masked token, in eval mode; always with the same masks."""
    _check(texts, share)
    seed = checked_seed(seed, CommandError)
    x, total = torch.as_tensor(texts.x), 0.0
    starts = range(0, len(x), batch_size)
    with evaluating(model):
        for start in starts:
            tokens = trimmed(x[start : start + batch_size], padding(model))
            total += len(tokens) * float(_loss(model, tokens, share, fold_in(seed, "test", start)))
    return total / len(x)


def _loss(model: nn.Module, tokens: Tensor, share: float, key: int) -> Tensor:
    words = getattr(model, "words", None)
    if words is None:
        raise ModelError(f"{type(model).__name__} cannot predict words: train with_words(model).")
    pad, (first, last) = padding(model), _ends(model)
    open_ = (tokens != pad) & (tokens != first) & (tokens != last)
    generator = torch.Generator().manual_seed(key % (1 << 63))
    covered = (torch.rand(tokens.shape, generator=generator).to(tokens.device) < share) & open_
    if not covered.any():  # very short texts: mask the first word of each
        covered = open_ & (open_.cumsum(1) == 1)
    seen = tokens.masked_fill(covered, model.tokenizer.mask_token_id)
    states = model.body(input_ids=seen, attention_mask=(tokens != pad).long()).last_hidden_state
    table = model.body.get_input_embeddings().weight
    return F.cross_entropy(words(states[covered]) @ table.T, tokens[covered])


def _ends(model: nn.Module) -> tuple[int, int]:
    return model.tokenizer.cls_token_id, model.tokenizer.sep_token_id


def _check(texts: Split, share: float) -> None:
    number(share, "share", CommandError, above=0, below=1)
    if not holds_tokens(torch.as_tensor(texts.x[:1])):
        raise DataError("Words are masked in texts: give token ids (N, T) int64.")
