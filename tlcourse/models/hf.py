"""Image models and text encoders of the Hugging Face hub, in this course's shape.

They are loaded from the store's folder by transformers, which is not allowed to ask the hub; weights
are safetensors, nothing is unpickled, and no code from a repository runs.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.models.classifier import ImageClassifier, new_head
from tlcourse.models.layers import parts_of
from tlcourse.models.stored import folder_of, loaded, made, weight_files, weights_of
from tlcourse.models.text import TextClassifier
from tlcourse.rng import initial_seed, seeded
from tlcourse.schema import NUMBER, Field, check, list_of, read_json

COLOURS = Field("a list of three numbers", lambda v: list_of(NUMBER).fits(v) and len(v) == 3)


class Tower(nn.Module):
    """A vision model of transformers as one function: normalised images (B, 3, H, W) to (B, D)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        takes = inspect.signature(net.forward).parameters
        self.interpolates = "interpolate_pos_encoding" in takes

    def forward(self, x: Tensor) -> Tensor:
        """What the model itself pools, where it was trained with it; else its first token."""
        how = {"interpolate_pos_encoding": True} if self.interpolates else {}
        out = self.net(pixel_values=x, **how)
        pooled = getattr(out, "pooler_output", None)
        return out.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)


def build(
    name: str, labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier | TextClassifier:
    """`hf/name` over `labels` with a new head; from scratch its encoder is drawn by `seed`."""
    from transformers import AutoConfig
    from transformers.utils import logging

    source = f"hf/{name}"
    folder = folder_of(source)
    config = loaded(AutoConfig, folder)
    maker, config = _maker(source, folder, config)
    loud = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        body = _body(maker, config, folder, source, pretrained, seed)
    finally:
        if loud:
            logging.enable_progress_bar()
    if _sees(config):
        return _image(body, folder, config, labels, seed, recipe)
    return _text(body, folder, labels, seed, recipe)


def _maker(source: str, folder: Path, config: Any) -> tuple[Any, Any]:
    """The class that makes the encoder, and the configuration of that encoder alone."""
    import transformers as hf

    kind = type(config)
    if (own := getattr(config, "vision_config", None)) and hasattr(config, "text_config"):
        if type(own) in hf.MODEL_MAPPING:  # two towers: the one for pictures
            return hf.AutoModel, own
    if kind in hf.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING and kind in hf.MODEL_MAPPING:
        return hf.AutoModel, config
    if kind in hf.MODEL_FOR_TEXT_ENCODING_MAPPING:
        return hf.AutoModelForTextEncoding, config
    reads = kind in hf.MODEL_FOR_MASKED_LM_MAPPING or kind in hf.MODEL_FOR_CAUSAL_LM_MAPPING
    if reads and not config.is_encoder_decoder:
        return hf.AutoModel, config
    raise ModelError(
        f"{source!r} ({config.model_type}) is neither an image model nor a text encoder, so it has no"
        f" features for a head. Its files are in {folder}: load them by transformers' own class."
    )


def _sees(config: Any) -> bool:
    return hasattr(config, "image_size") or hasattr(config, "num_channels")


def _body(
    maker: Any, config: Any, folder: Path, source: str, pretrained: bool, seed: int
) -> nn.Module:
    with seeded(initial_seed(seed, "body")):
        if not pretrained:
            body = made(maker, config, folder, dtype=torch.float32)
            poolers = _untrained_poolers(body, folder)
        else:
            weights_of(folder, source)
            body, report = loaded(
                maker,
                folder,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            poolers = (
                {"pooler"}
                if any(k.startswith("pooler.") for k in report["missing_keys"])
                else set()
            )
            lost = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
            if lost := sorted(lost) + sorted(map(str, report["mismatched_keys"])):
                raise ModelError(
                    f"The weights in {folder} do not fit {source!r}: {lost[0]} is missing or of another"
                    f" shape. Another version of transformers may be needed."
                )
    if hasattr(body, "pooler") and (poolers or not _sees(config)):
        body.pooler = None  # was never trained, or (of texts) is not what features are made of
    return body.train()


def _untrained_poolers(body: nn.Module, folder: Path) -> set[str]:
    """From scratch as with weights: a pooler that the files lack is left out."""
    from safetensors import safe_open

    if not any(key.startswith("pooler.") for key in body.state_dict()):
        return set()
    if not (paths := weight_files(folder)):
        return set()
    for path in paths:
        with safe_open(path, "pt") as stored:
            if any(key.startswith("pooler.") or ".pooler." in key for key in stored.keys()):
                return set()
    return {"pooler"}


def _text(
    body: nn.Module, folder: Path, labels: tuple[str, ...], seed: int, recipe: dict[str, Any]
) -> TextClassifier:
    from transformers import AutoTokenizer

    tokenizer = loaded(AutoTokenizer, folder)
    tokenizer.padding_side = "right"  # positions count from a text's first token
    if tokenizer.pad_token is None:  # language models have none; the mask leaves them out anyway
        tokenizer.pad_token = tokenizer.eos_token
    width = body.config.hidden_size
    return TextClassifier(
        body,
        new_head(width, len(labels), seed),
        tokenizer,
        parts=parts_of(body),
        classes=labels,
        recipe=recipe,
    )


def _image(
    body: nn.Module,
    folder: Path,
    config: Any,
    labels: tuple[str, ...],
    seed: int,
    recipe: dict[str, Any],
) -> ImageClassifier:
    where = f"{folder} has no preprocessor_config.json that says how images are normalised"
    try:
        text = (folder / "preprocessor_config.json").read_bytes()
    except OSError as error:
        raise ModelError(f"{where}. Pin the model with that file.") from error
    said = read_json(text, ModelError, where)
    check(said, {"image_mean": COLOURS, "image_std": COLOURS}, ModelError, where)
    mean, std = said["image_mean"], said["image_std"]
    tower = Tower(body)
    width = getattr(config, "hidden_size", None) or config.hidden_sizes[-1]
    return ImageClassifier(
        tower,
        new_head(width, len(labels), seed),
        parts={name: [f"net.{path}" for path in paths] for name, paths in parts_of(body).items()},
        mean=mean,
        std=std,
        classes=labels,
        recipe=recipe,
    )
