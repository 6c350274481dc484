"""The small ResNet that `pocket_photos.py` trains: pocket-resnet's blocks, wider.

One basic block a stage, like `tlcourse.models.pocket`, with the same names of parameters, so that
moving that model to these weights is a change of widths.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from tlcourse.models.classifier import ImageClassifier, fold, new_head, seeded
from tlcourse.models.pocket import PARTS, Block, load_weights

STEM, WIDTHS = 24, (24, 48, 96, 320)


class PhotoResNet(nn.Module):
    """Normalised images (B, 3, H, W), H and W from 32, to features (B, 320)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, 2, padding=1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU()
        )
        self.stage1 = Block(STEM, WIDTHS[0], 1)
        self.stage2 = Block(WIDTHS[0], WIDTHS[1], 2)
        self.stage3 = Block(WIDTHS[1], WIDTHS[2], 2)
        self.stage4 = Block(WIDTHS[2], WIDTHS[3], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return x.mean((2, 3))


def classifier(classes: int, *, seed: int = 0, weights: Path | None = None) -> ImageClassifier:
    """Drawn by `seed`, or with the stored weights of a body and a new head."""
    with seeded(fold(seed, "body")):
        body = PhotoResNet()
    if weights:
        load_weights(body, weights)
    model = ImageClassifier(
        body,
        new_head(WIDTHS[-1], classes, seed),
        parts=PARTS,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=tuple(map(str, range(classes))),
        recipe={"name": "pocket-resnet-photos", "seed": seed, "pretrained": bool(weights)},
    )
    return model.to(memory_format=torch.channels_last)
