"""The photos that `pocket_photos.py` trains on, and MobileNetV2's outputs for them.

`prepare` unpacks the archive (train/WNID/*.webp, val/WNID/*.webp, all 64 px) into one array, and
runs the teacher once over every training photo (and its mirror image, if wanted), enlarged to 128
px: at 96 px a nearest class mean of its features is right for 37.6 % of photos held out, at 128 px
for 44.8 %. Both stay on disk as memory maps, 550 MB of pictures and 115 MB of features for each
side, and are made only once; the teacher goes on where it stopped.
"""

import io
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEACHER_SIZE, BATCH = 128, 64


@dataclass(frozen=True)
class Part:
    images: np.ndarray  # (N, 64, 64, 3) uint8, on disk
    y: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.y)

    def pictures(self, index: Tensor) -> Tensor:
        """(B, 3, 64, 64) in [0, 1]."""
        return torch.from_numpy(self.images[index.numpy()]).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Photos:
    train: Part
    valid: Part
    classes: tuple[str, ...]
    seen: tuple[np.ndarray, ...]  # (N, 1280) float16: the teacher's features; of the mirror images
    middle: Tensor  # (1280,) their mean
    head: nn.Linear  # from the teacher's features to its 1000 logits

    @torch.no_grad()
    def teacher(self, index: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Centred features (B, 1280) and logits (B, 1000) for training photos.

        Without features of mirror images those of the photos stand in for them.
        """
        rows = torch.from_numpy(self.seen[0][index.numpy()])
        if len(self.seen) > 1:
            other = torch.from_numpy(self.seen[1][index.numpy()])
            rows = torch.where(mirrored[:, None], other, rows)
        features = rows.float()
        return features - self.middle, self.head(features)


def prepare(
    archive: Path, folder: Path, wait: Callable[[], None], *, mirror: bool = False
) -> Photos:
    """Everything, from `folder` if it is there. `wait` is called between the teacher's batches."""
    from tlcourse.models import load_model

    folder.mkdir(parents=True, exist_ok=True)
    classes, train, valid = unpack(archive, folder)
    teacher = load_model("mobilenetv2", classes="imagenet").eval().requires_grad_(False)
    names = ("photos", "mirrored") if mirror else ("photos",)
    seen = tuple(ask(teacher, train, folder / f"teacher-{name}.npy", wait) for name in names)
    middle = torch.from_numpy(seen[0].mean(0, dtype=np.float32))
    return Photos(train, valid, classes, seen, middle, teacher.head)


def unpack(archive: Path, folder: Path) -> tuple[tuple[str, ...], Part, Part]:
    """Photos in the order of their names; labels by the order of the class codes."""
    from PIL import Image

    done = folder / "labels.npz"
    if not done.exists():
        decoded: dict[str, np.ndarray] = {}
        with tarfile.open(archive) as members:
            for member in members:
                if member.isfile() and member.name.endswith(".webp"):
                    picture = Image.open(io.BytesIO(members.extractfile(member).read()))
                    decoded[member.name.removeprefix("./")] = np.asarray(picture.convert("RGB"))
        names = {
            part: sorted(n for n in decoded if n.startswith(part)) for part in ("train", "val")
        }
        codes = sorted({name.split("/")[1] for name in decoded})
        labels = {}
        for part, members in names.items():
            np.save(folder / f"{part}.npy", np.stack([decoded[name] for name in members]))
            labels[part] = np.array([codes.index(name.split("/")[1]) for name in members])
        np.savez(done, codes=np.array(codes), **labels)
    stored = np.load(done)
    parts = [
        Part(np.load(folder / f"{part}.npy", mmap_mode="r"), torch.from_numpy(stored[part]))
        for part in ("train", "val")
    ]
    return tuple(stored["codes"].tolist()), *parts


@torch.inference_mode()
def ask(teacher: nn.Module, train: Part, path: Path, wait: Callable[[], None]) -> np.ndarray:
    """The teacher's features of every photo, mirrored if the file name says so: (N, 1280) float16."""
    counter = path.with_suffix(".done")
    if not path.exists():
        counter.write_text("0")
    start = int(counter.read_text())
    seen = np.lib.format.open_memmap(
        path, "r+" if path.exists() else "w+", dtype=np.float16, shape=(len(train), 1280)
    )
    teacher = teacher.to(memory_format=torch.channels_last)
    began, size = time.monotonic(), (TEACHER_SIZE, TEACHER_SIZE)
    for first in range(start, len(train), BATCH):
        wait()
        index = torch.arange(first, min(first + BATCH, len(train)))
        x = train.pictures(index)
        x = x.flip(3) if "mirrored" in path.name else x
        x = F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)
        # bfloat16 is 2 to 3 times as fast if the processor supports it.
        with torch.autocast(x.device.type, torch.bfloat16):
            features = teacher.features(x.contiguous(memory_format=torch.channels_last))
        done = first + len(index)
        seen[first:done] = features.float().numpy()
        if first // BATCH % 20 == 19 or done == len(train):
            seen.flush()
            counter.write_text(str(done))
            left = (time.monotonic() - began) / (done - start) * (len(train) - done)
            print(f"{path.stem} {done}/{len(train)}  {left:.0f} s left", flush=True)
    return np.load(path, mmap_mode="r")
