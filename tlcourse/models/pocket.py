"""The project's own small ResNets, for a CPU and a minute: pocket-resnet and pocket-glyphs.

ResNets (He et al. 2016) of four basic blocks for images from 32 pixels. pocket-resnet (1.4 M parameters)
learnt from photos, pocket-glyphs (0.3 M) from printed characters of many scripts, digits left
out; see docs/models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.models.classifier import ImageClassifier, new_head
from tlcourse.rng import initial_seed, seeded

# name: the stem's channels, and those of the four stages; the last is the number of features
WIDTHS = {"pocket-resnet": (24, 24, 48, 96, 320), "pocket-glyphs": (16, 16, 32, 64, 128)}
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
    """Normalised images (B, 3, H, W), H and W from 32, to features (B, the last of `widths`)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.stage1 = Block(widths[0], widths[1], 1)
        self.stage2 = Block(widths[1], widths[2], 2)
        self.stage3 = Block(widths[2], widths[3], 2)
        self.stage4 = Block(widths[3], widths[4], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        return x.mean((2, 3))


def build(
    labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    """The one that `recipe` names, over `labels` with a new head; from scratch drawn by `seed`."""
    name = recipe["name"]
    weights = None
    if pretrained:
        from tlcourse.supply import fetch

        weights = fetch(name) / f"{name}.safetensors"
    return classifier(labels, seed=seed, recipe=recipe, weights=weights)


def classifier(
    labels: tuple[str, ...], *, seed: int, recipe: dict[str, Any], weights: Path | None = None
) -> ImageClassifier:
    """Drawn by `seed`, or with a body's stored weights."""
    widths = WIDTHS[recipe["name"]]
    with seeded(initial_seed(seed, "body")):
        body = PocketResNet(widths)
    if weights:
        load_weights(body, weights)
    return ImageClassifier(
        body,
        new_head(widths[-1], len(labels), seed),
        parts=PARTS,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=labels,
        recipe=recipe,
    )


def load_weights(body: nn.Module, path: Path) -> None:
    """A body's shipped float16 weights. ModelError, before anything is changed, if they do not fit."""
    from safetensors.torch import load_file

    stored, own = load_file(path), body.state_dict()
    # The batch counter only matters to BatchNorms without momentum and is not shipped.
    wanted = {key for key in own if not key.endswith("num_batches_tracked")}
    wrong = sorted(wanted ^ set(stored))
    wrong += [key for key in wanted & set(stored) if stored[key].shape != own[key].shape]
    if wrong:
        raise ModelError(
            f"{path.name} does not fit {path.stem}: {wrong[0]} is missing, unknown or of another"
            f" shape. Install tlcourse again."
        )
    body.load_state_dict({key: value.float() for key, value in stored.items()}, strict=False)
