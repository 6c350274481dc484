"""MobileNetV2 (Sandler et al. 2018) with ImageNet weights in 4 MB.

Coral's int8 file, de-quantised into timm's model, with BatchNorms that can be trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlcourse.errors import ModelError
from tlcourse.models import coral
from tlcourse.models.classifier import ImageClassifier, new_head
from tlcourse.rng import initial_seed, seeded

WEIGHTS, LABELS = "tf2_mobilenet_v2_1.0_224_ptq.tflite", "imagenet_labels.txt"
STATISTICS = Path(__file__).parent / "weights" / "mobilenetv2-batchnorm.safetensors"
WIDTH = 1280

# By resolution: 1/2, 1/4, 1/8, 1/16 and 1/32 of the image.
PARTS = {
    "stem": ("conv_stem", "bn1", "blocks.0"),
    "stage1": ("blocks.1",),
    "stage2": ("blocks.2",),
    "stage3": ("blocks.3", "blocks.4"),
    "stage4": ("blocks.5", "blocks.6", "conv_head", "bn2"),
}


def build(
    labels: tuple[str, ...] | str, *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    """Over `labels` with a new head, or "imagenet" with the head that came with the weights."""
    import timm

    with seeded(initial_seed(seed, "body")):
        # TensorFlow pads at the right and bottom: with symmetric padding the weights lose 9 points.
        body = timm.create_model("mobilenetv2_100", pad_type="same", num_classes=0)
    imagenet = labels == "imagenet"
    head = new_head(WIDTH, 1000 if imagenet else len(labels), seed)
    if pretrained:
        from tlcourse.supply import fetch

        folder = fetch("mobilenetv2")
        *convolutions, classifier = coral.read_layers(folder / WEIGHTS)
        load_folded(body, convolutions)
        set_statistics(body, *read_statistics())
        if imagenet:
            labels = read_labels(folder / LABELS)
            with torch.no_grad():  # row 0 is "background"
                head.weight.copy_(torch.from_numpy(classifier.weight[1:, :, 0, 0]))
                head.bias.copy_(torch.from_numpy(classifier.bias[1:]))
    return ImageClassifier(
        body,
        head,
        parts=PARTS,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=labels,
        recipe=recipe,
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """The 1000 class names, "background" dropped. ImageNet has two cranes, a bird and a machine."""
    return tuple(path.read_text(encoding="utf-8").splitlines()[1:])


def load_folded(body: nn.Module, layers: list[coral.Layer]) -> None:
    """Copy convolutions whose BatchNorm was folded into weight and bias.

    Each BatchNorm then only adds the bias: mean 0, variance 1 − ε (so that it divides by exactly
    1), weight 1. ModelError, before anything is changed, if number or shapes do not match.
    """
    convolutions, norms = _convolutions(body), batch_norms(body)
    ours = [tuple(conv.weight.shape) for conv in convolutions]
    theirs = [layer.weight.shape for layer in layers]
    if ours != theirs:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
        what = (
            f"convolution {at} has shape {theirs[at]} where the model has {ours[at]}"
            if at is not None
            else f"it has {len(theirs)} convolutions where the model has {len(ours)}"
        )
        raise ModelError(f"The weights do not fit this MobileNet: {what}. Fetch the model again.")
    with torch.no_grad():
        for conv, norm, layer in zip(convolutions, norms, layers, strict=True):
            conv.weight.copy_(torch.from_numpy(layer.weight))
            norm.bias.copy_(torch.from_numpy(layer.bias))
            norm.weight.fill_(1)
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)


def set_statistics(
    body: nn.Module, means: list[torch.Tensor], variances: list[torch.Tensor]
) -> None:
    """Give every BatchNorm running statistics, with weight and bias that undo the change.

    For a BatchNorm that computes z·g + b now, weight = g·√(variance + ε) and
    bias = b + g·mean leave the function in eval mode as it was, and give train mode (whose batch
    statistics resemble these) something to normalise with.
    """
    with torch.no_grad():
        for norm, mean, variance in zip(batch_norms(body), means, variances, strict=True):
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            offset = norm.bias - norm.running_mean * gain
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_(gain * (norm.running_var + norm.eps).sqrt())
            norm.bias.copy_(offset + gain * norm.running_mean)


def read_statistics(path: Path = STATISTICS) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """(means, variances) of every BatchNorm's input on real photos.

    They are shipped, not computed on the spot, so that a model is the same on every machine and
    needs no photos; `pretraining/mobilenetv2_statistics.py` measures them.
    """
    from safetensors.torch import load_file

    stored = load_file(path)
    sizes = stored["channels"].tolist()
    return (
        list(stored["mean"].float().split(sizes)),
        list(stored["variance"].float().split(sizes)),
    )


def batch_norms(body: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]


def _convolutions(body: nn.Module) -> list[nn.Conv2d]:
    return [module for module in body.modules() if isinstance(module, nn.Conv2d)]
