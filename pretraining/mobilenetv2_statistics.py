"""Measure the BatchNorm statistics that `tlcourse.models.mobilenet` and `mobilenetv1` ship.

    python pretraining/mobilenetv2_statistics.py PHOTOS [--model NAME] [--out FILE.safetensors]

The 8-bit file carries its BatchNorms folded away, so the running statistics of the original
training are lost. This runs photos of PHOTOS/**/*.jpg, centre squares at the resolution of the
pre-training (224 px), through the folded network, and writes the mean and variance of every
BatchNorm's input: 17,056 channels, float16, 68 kB.

The shipped file was measured on the 315 photos of PACS' photo domain (7 classes × 45, the members
that this project pins). Why those: they are sharp, and they are not Caltech-101, so that "frozen
but in train mode drifts" is shown on data that the statistics do not come from, as with any real
checkpoint. How alike the features of 48 photos of caltech24 are in train and in eval mode (mean
cosine, at 128 and 224 px):

    0.63  0.77   these statistics
    0.53  0.68   ImageNet's 64-pixel thumbnails, enlarged to 224 px
    0.79  0.95   Caltech-101's own photos: would hide the drift
    0.01   –     the folded network as it comes: no statistics at all

Blur is why the thumbnails were rejected: it moves the variances of the early layers more (median
|log ratio| 0.28 to 0.46) than another set of photos does (0.09 to 0.20).
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from tlcourse.data.sources.photos import decode
from tlcourse.models import coral, mobilenet, mobilenetv1
from tlcourse.supply import fetch

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument(
        "--model", choices=("mobilenetv2", *mobilenetv1.SIZES), default="mobilenetv2"
    )
    parser.add_argument("--out", type=Path, help="default: where the package keeps it")
    options = parser.parse_args()
    files = sorted(options.photos.glob("**/*.jpg"))
    if not files:
        parser.error(f"no .jpg lies under {options.photos}")

    body, size, shipped = folded_body(options.model)
    moments = input_moments(body, batches(files, size))
    from safetensors.torch import save_file

    means, variances = zip(*moments, strict=True)
    save_file(
        {
            "mean": torch.cat(means).half(),
            "variance": torch.cat(variances).half(),
            "channels": torch.tensor([len(mean) for mean in means]),
        },
        options.out or shipped,
    )
    print(f"{len(files)} photos, {len(means)} BatchNorms, {sum(map(len, means))} channels")


def folded_body(name: str) -> tuple[nn.Module, int, Path]:
    """The network as in its file, the size of its pre-training, and the path of its statistics."""
    if name == "mobilenetv2":
        import timm

        body = timm.create_model("mobilenetv2_100", pad_type="same", num_classes=0)
        weights, size, shipped = mobilenet.WEIGHTS, 224, mobilenet.STATISTICS
    else:
        kind = mobilenetv1.SIZES[name]
        body = mobilenetv1.MobileNetV1(kind.width)
        weights, size, shipped = kind.weights, kind.pixels, mobilenetv1.statistics(name)
    mobilenet.load_folded(body, coral.read_layers(fetch(name) / weights)[:-1])
    return body.eval(), size, shipped


def batches(files: list[Path], size: int) -> Iterator[Tensor]:
    for start in range(0, len(files), BATCH):
        photos = [torch.tensor(decode(file, size)) for file in files[start : start + BATCH]]
        yield (torch.stack(photos).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        print(f"\r{min(start + BATCH, len(files))}/{len(files)}", end=" ", flush=True)


@torch.inference_mode()
def input_moments(body: nn.Module, images: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(mean, variance) per channel of each BatchNorm's input, over all images and positions."""
    norms = mobilenet.batch_norms(body)
    sums = [[0, 0, 0] for _ in norms]

    def watch(total: list):
        def hook(_, inputs: tuple[Tensor]) -> None:
            z = inputs[0].double()
            total[0] += z.sum((0, 2, 3))
            total[1] += z.square().sum((0, 2, 3))
            total[2] += z.numel() // z.shape[1]

        return hook

    hooks = [
        norm.register_forward_pre_hook(watch(total))
        for norm, total in zip(norms, sums, strict=True)
    ]
    for batch in images:
        body(batch)
    for hook in hooks:
        hook.remove()
    return [(s / n, (q / n - (s / n) ** 2).clamp(min=0)) for s, q, n in sums]


if __name__ == "__main__":
    main()
