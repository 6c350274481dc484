"""MobileNetV1 (Howard et al. 2017) at half and quarter width, with ImageNet weights in 1.4 and 0.5 MB.

Coral's 8-bit files, de-quantised as MobileNetV2's is (`mobilenet`). They are what a small and a
smaller pre-trained backbone look like: nothing but pairs of depthwise and pointwise convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.models import coral
from tlcourse.models.classifier import ImageClassifier, new_head
from tlcourse.models.mobilenet import (
    LABELS,
    load_folded,
    read_labels,
    read_statistics,
    set_statistics,
)
from tlcourse.rng import initial_seed, seeded


@dataclass(frozen=True)
class Size:
    """A width, as a part of the paper's 1.0, and the file that has its weights."""

    width: float
    weights: str
    pixels: int  # of a side in pre-training

    @property
    def features(self) -> int:
        return int(1024 * self.width)


SIZES = {
    "mobilenetv1-050": Size(0.5, "mobilenet_v1_0.5_160_quant.tflite", 160),
    "mobilenetv1-025": Size(0.25, "mobilenet_v1_0.25_128_quant.tflite", 128),
}
# Pairs of convolutions by resolution, 1/2, 1/4, 1/8, 1/16 and 1/32 of the image; channels at width 1.
PAIRS = {
    "stem": (64,),
    "stage1": (128, 128),
    "stage2": (256, 256),
    "stage3": (512, 512, 512, 512, 512, 512),
    "stage4": (1024, 1024),
}


def build(
    labels: tuple[str, ...] | str, *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    """Over `labels` with a new head, or "imagenet" with the head that came with the weights."""
    name = recipe["name"]
    size = SIZES[name]
    with seeded(initial_seed(seed, "body")):
        body = MobileNetV1(size.width)
    imagenet = labels == "imagenet"
    head = new_head(size.features, 1000 if imagenet else len(labels), seed)
    if pretrained:
        from tlcourse.supply import fetch

        folder = fetch(name)
        *convolutions, classifier = coral.read_layers(folder / size.weights)
        load_folded(body, convolutions)
        set_statistics(body, *read_statistics(statistics(name)))
        if imagenet:
            labels = read_labels(folder / LABELS)
            with torch.no_grad():  # row 0 is "background"
                head.weight.copy_(torch.from_numpy(classifier.weight[1:, :, 0, 0]))
                head.bias.copy_(torch.from_numpy(classifier.bias[1:]))
    return ImageClassifier(
        body,
        head,
        parts={name: (name,) for name in PAIRS},
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=labels,
        recipe=recipe,
    )


def statistics(name: str) -> Path:
    """Where the BatchNorm statistics lie that are shipped for `name`."""
    return Path(__file__).parent / "weights" / f"{name}-batchnorm.safetensors"


class MobileNetV1(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] to features (B, 1024 · width)."""

    def __init__(self, width: float) -> None:
        super().__init__()
        before = int(32 * width)
        for name, channels in PAIRS.items():
            layers = [_unit(3, before, kernel=3, stride=2)] if name == "stem" else []
            for at, after in enumerate(int(wide * width) for wide in channels):
                stride = 2 if at == 0 and name != "stem" else 1
                layers += [
                    _unit(before, before, kernel=3, stride=stride, groups=before),
                    _unit(before, after, kernel=1),
                ]
                before = after
            self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.children():
            x = stage(x)
        return x.mean((2, 3))


def _unit(before: int, after: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    from timm.layers import create_conv2d

    # TensorFlow pads at the right and bottom; see `mobilenet`.
    conv = create_conv2d(
        before, after, kernel, stride=stride, padding="same", groups=groups, bias=False
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU6(inplace=True))
