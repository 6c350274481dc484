"""pocket-resnet: the project's own small backbone (0.3 M parameters), for a CPU and a minute.

A ResNet (He et al. 2016) of four basic blocks for images from 32 pixels, pre-trained on printed
characters of many scripts, digits left out; see docs/models/pocket-resnet.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.models.classifier import ImageClassifier, fold, new_head, seeded

WIDTHS = (16, 32, 64, 128)
PARTS = {
    "stem": ("stem",),
    "stage1": ("stage1",),
    "stage2": ("stage2",),
    "stage3": ("stage3",),
    "stage4": ("stage4",),
}


class Block(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.around = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.around(x))


class PocketResNet(nn.Module):
    """Normalised images (B, 3, H, W), H and W from 32, to features (B, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(),
        )
        self.stage1 = Block(WIDTHS[0], WIDTHS[0], 1)
        self.stage2 = Block(WIDTHS[0], WIDTHS[1], 2)
        self.stage3 = Block(WIDTHS[1], WIDTHS[2], 2)
        self.stage4 = Block(WIDTHS[2], WIDTHS[3], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return x.mean((2, 3))


def build(
    labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    """Over `labels` with a new head; from scratch the backbone is drawn by `seed`."""
    with seeded(fold(seed, "body")):
        body = PocketResNet()
    if pretrained:
        from tlcourse.supply import fetch

        load_weights(body, fetch("pocket-resnet") / "pocket-resnet.safetensors")
    return ImageClassifier(
        body,
        new_head(WIDTHS[-1], len(labels), seed),
        parts=PARTS,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=labels,
        recipe=recipe,
    )


def load_weights(body: nn.Module, path: Path) -> None:
    """The shipped float16 weights. ModelError, before anything is changed, if they do not fit."""
    from safetensors.torch import load_file

    stored, own = load_file(path), body.state_dict()
    # The batch counter only matters to BatchNorms without momentum and is not shipped.
    wanted = {key for key in own if not key.endswith("num_batches_tracked")}
    wrong = sorted(wanted ^ set(stored))
    wrong += [key for key in wanted & set(stored) if stored[key].shape != own[key].shape]
    if wrong:
        raise ModelError(
            f"{path.name} does not fit pocket-resnet: {wrong[0]} is missing, unknown or of another"
            f" shape. Install tlcourse again."
        )
    body.load_state_dict({key: value.float() for key, value in stored.items()}, strict=False)
