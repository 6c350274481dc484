"""Texts as the encoder minilm reads them: rows of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def tokens(texts: Sequence[str], size: int) -> Tensor:
    """(N, size) int64: each text's tokens by minilm's tokenizer, cut off or padded at the end with 0.

    The word pieces of BERT's uncased vocabulary, [CLS] first and [SEP] last.
    """
    import numpy as np
    import torch

    tokenizer = _tokenizer()
    tokenizer.enable_truncation(size)
    tokenizer.enable_padding(length=size)
    rows = [found.ids for found in tokenizer.encode_batch(list(texts))]
    return torch.from_numpy(np.array(rows, np.int64).reshape(len(rows), size))


@cache
def _tokenizer() -> Any:
    # The library below transformers: it starts in a tenth of the time, and no torch is needed.
    from tokenizers import Tokenizer

    from tlcourse.supply import fetch

    return Tokenizer.from_file(str(fetch("minilm") / "tokenizer.json"))
