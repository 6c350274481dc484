"""Text encoders with a linear head, and the one of them that is always at hand: minilm.

minilm turns sentences into 384 numbers (all-MiniLM-L6-v2, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.models.classifier import Parts, new_head, views
from tlcourse.models.layers import parts_of
from tlcourse.models.stored import loaded, tensors_of
from tlcourse.rng import initial_seed, seeded

LONGEST = 256  # tokens; what minilm was trained with, and enough for what the course reads

Texts = Sequence[str] | Mapping[str, Tensor] | Tensor
"""Texts, their tokens, or only the tokens' ids: (B, T) int64, padded with the tokenizer's pad token."""


class TextClassifier(nn.Module):
    """Texts, or their tokens, to logits (B, classes)."""

    def __init__(
        self,
        body: nn.Module,
        head: nn.Linear,
        tokenizer: Any,
        *,
        parts: Parts,
        classes: tuple[str, ...],
        recipe: dict[str, Any],
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.tokenizer = tokenizer
        self.parts = {name: tuple(paths) for name, paths in parts.items()}
        self.classes = classes
        self.recipe = recipe

    @property
    def groups(self) -> dict[str, nn.Module]:
        """name -> module, input to output, "head" last; together every parameter once."""
        return {**views(self.body, self.parts), "head": self.head}

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """input_ids and attention_mask, (B, T) int64, padded to the longest text, cut at 256."""
        if isinstance(texts, str):
            raise ModelError("texts is one string. Give a list of them, also for a single one.")
        found = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        device = self.head.weight.device
        return {key: found[key].to(device) for key in ("input_ids", "attention_mask")}

    def features(self, x: Texts) -> Tensor:
        """(B, D), what the head sees: the mean over the tokens of each text, padding left out."""
        if isinstance(x, Tensor):
            inputs = {"input_ids": x, "attention_mask": (x != self.tokenizer.pad_token_id).long()}
        else:
            inputs = dict(x) if isinstance(x, Mapping) else self.tokens(x)
        states = self.body(**inputs).last_hidden_state
        mask = inputs["attention_mask"][:, :, None].to(states.dtype)
        return (states * mask).sum(1) / mask.sum(1).clamp(min=1)

    def forward(self, x: Texts) -> Tensor:
        return self.head(self.features(x))


def build(
    labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> TextClassifier:
    """Over `labels` with a new head; from scratch the encoder is drawn by `seed`."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from tlcourse.supply import fetch

    folder = fetch("minilm")
    with seeded(initial_seed(seed, "body")):
        # The pooler is left out: its weights were never trained, nothing here reads them.
        body = BertModel(loaded(BertConfig, folder), add_pooling_layer=False)
    if pretrained:
        load_weights(body, folder / "model.safetensors")
    return TextClassifier(
        body.train(),
        new_head(body.config.hidden_size, len(labels), seed),
        loaded(AutoTokenizer, folder),
        parts=parts_of(body),
        classes=labels,
        recipe=recipe,
    )


def load_weights(body: nn.Module, path: Path) -> None:
    """Strictly, besides the pooler. ModelError if names or shapes do not fit."""
    stored = {k: v for k, v in tensors_of(path).items() if not k.startswith("pooler.")}
    own = body.state_dict()
    # Old checkpoints also hold the positions 0 … 511, which the model computes.
    stored.pop("embeddings.position_ids", None)
    wrong = sorted(set(own) ^ set(stored))
    wrong += [key for key in own.keys() & stored if own[key].shape != stored[key].shape]
    if wrong:
        raise ModelError(
            f"{path.name} does not fit minilm: {wrong[0]} is missing, unknown or of another shape."
            f" Fetch the model again."
        )
    with torch.no_grad():
        body.load_state_dict(stored)
