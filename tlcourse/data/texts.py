"""Texts as the encoder minilm reads them: rows of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def tokens(texts: Sequence[str], size: int) -> Tensor:
    """(N, size) int64: each text's tokens from minilm's tokenizer, truncated or padded with 0.

    Word pieces of BERT's uncased vocabulary, [CLS] first and [SEP] last.
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
    # The library beneath transformers: it imports in a tenth of the time, without torch.
    from tokenizers import Tokenizer

    from tlcourse.supply import fetch

    return Tokenizer.from_file(str(fetch("minilm") / "tokenizer.json"))
