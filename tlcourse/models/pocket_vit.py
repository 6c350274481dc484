"""pocket-vit: the project's own small vision transformer (1.7 M parameters), for LoRA on attention.

A ViT (Dosovitskiy et al. 2021) of four blocks over patches of 16 × 16 pixels, cut out by four
convolutions instead of one (Xiao et al. 2021, "Early Convolutions Help Transformers See Better"),
because 45,000 photos are few for a transformer. See docs/models/pocket-vit.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tlcourse.models.classifier import ImageClassifier, new_head
from tlcourse.rng import initial_seed, seeded

WIDTH, BLOCKS, HEADS = 192, 4, 6
SIDE, PATCH = 64, 16  # pixels: what it was trained on, and what becomes one token
STEM = (24, 48, 96, WIDTH)
PARTS = {
    "stem": ("patch_embed", "pos_embed"),
    **{f"block{n + 1}": (f"blocks.{n}",) for n in range(BLOCKS)},
    "norm": ("fc_norm",),
}


class Patches(nn.Module):
    """Images (B, 3, H, W) to tokens (B, H/16, W/16, width), as timm's transformer asks for them."""

    def __init__(self, img_size: int, patch_size: int, embed_dim: int, **_: Any) -> None:
        super().__init__()
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size // patch_size,) * 2
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *STEM), STEM, strict=False):
            layers += [
                nn.Conv2d(inputs, outputs, 3, 2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(STEM[-1], embed_dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).permute(0, 2, 3, 1)


def body(seed: int) -> nn.Module:
    """Normalised images (B, 3, H, W), sides multiples of 16, to features (B, 192); drawn by `seed`.

    The token positions are learnt on 4 × 4 and interpolated to other sizes.
    """
    from timm.models.vision_transformer import VisionTransformer

    with seeded(initial_seed(seed, "body")):
        return VisionTransformer(
            img_size=SIDE,
            patch_size=PATCH,
            embed_dim=WIDTH,
            depth=BLOCKS,
            num_heads=HEADS,
            mlp_ratio=3,
            num_classes=0,
            class_token=False,
            global_pool="avg",
            dynamic_img_size=True,
            embed_layer=Patches,
        )


def classifier(
    labels: tuple[str, ...], *, seed: int, recipe: dict[str, Any], weights: Path | None = None
) -> ImageClassifier:
    """Over `labels` with a new head; drawn by `seed`, or with the stored weights of a body."""
    from tlcourse.models.pocket import load_weights

    made = body(seed)
    if weights:
        load_weights(made, weights)
    return ImageClassifier(
        made,
        new_head(WIDTH, len(labels), seed),
        parts=PARTS,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        classes=labels,
        recipe=recipe,
    )


def build(
    labels: tuple[str, ...], *, pretrained: bool, seed: int, recipe: dict[str, Any]
) -> ImageClassifier:
    from tlcourse.supply import fetch

    weights = fetch("pocket-vit") / "pocket-vit.safetensors" if pretrained else None
    return classifier(labels, seed=seed, recipe=recipe, weights=weights)
