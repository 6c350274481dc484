"""Pre-train a small backbone on 45,000 small photos, with MobileNetV2 as teacher.

    python pretraining/pocket_photos.py tiny-imagenet-64px.tar.gz --out pocket-resnet.safetensors
    python pretraining/pocket_photos.py tiny-imagenet-64px.tar.gz --vit --out pocket-vit.safetensors

The network learns three things about each photo: its label (200 classes), the teacher's 1000
probabilities, and, through a linear map, the direction of the teacher's centred features. Only the
body is kept. `photo_source.py` unpacks the photos and computes the teacher's outputs once, into the
folder of --out.

A checkpoint is written beside `--out` every two minutes; the same command continues from it. Steps
are pure functions of (seed, step), but other thread counts or processors give other bits. The rate warms
up, stays, and decays to zero over the last --fade steps. Photos have 48 px until the last --sharp
steps, which use all 64. Both are counted from the end, so the three options may change when a run
continues, as long as neither ending has begun.
"""

import argparse
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from photo_source import Photos, prepare
from pocket_glyphs import save
from torch import Tensor, nn

from tlcourse.files import replacing
from tlcourse.models import pocket, pocket_vit
from tlcourse.models.mobilenet import WIDTH
from tlcourse.rng import initial_seed, seeded

SMALL, FULL = 48, 64
WARM_UP, AVERAGE = 300, 0.999
CHECKPOINT_EVERY_S = 120


@dataclass(frozen=True)
class Task:
    """The three losses: labels by the model's own head, the teacher's outputs by two more layers."""

    model: nn.Module  # an ImageClassifier over the labels
    extra: nn.ModuleDict  # "feature": to the teacher's width; "class": to its 1000 classes
    exact: bool = False  # float32 throughout, if bfloat16 is not faster

    def loss(
        self, x: Tensor, y: Tensor, teacher_features: Tensor, teacher_logits: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss of a batch, with the teacher's centred features and logits; and the accuracy."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=not self.exact):
            features = self.model.features(x)
            logits = self.model.head(features)
            toward, guess = self.extra["feature"](features), self.extra["class"](features)
        label = F.cross_entropy(logits.float(), y, label_smoothing=0.1)
        feature = 1 - F.cosine_similarity(toward.float(), teacher_features, dim=1).mean()
        likeness = F.cross_entropy(guess.float(), teacher_logits.softmax(1))
        right = (logits.argmax(1) == y).float().mean()
        return label + likeness + 5 * feature, right

    def parameters(self) -> list[nn.Parameter]:
        return [*self.model.parameters(), *self.extra.parameters()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="tiny-imagenet-64px.tar.gz")
    parser.add_argument("--vit", action="store_true", help="the transformer, not the ResNet")
    parser.add_argument("--small", type=int, default=SMALL, help="pixels before --sharp")
    parser.add_argument("--out", type=Path, required=True, help="where the weights go, float16")
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--sharp", type=int, default=2_000)
    parser.add_argument("--fade", type=int, default=2_500)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--mirror", action="store_true", help="use the teacher's output for mirror images too"
    )
    parser.add_argument("--pause-file", type=Path, help="while this file exists, wait")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    photos = prepare(
        options.archive, options.out.parent, lambda: pause(options), mirror=options.mirror
    )
    model = student(len(photos.classes), options)
    width = model.head.in_features
    with seeded(initial_seed(options.seed, "extra")):
        extra = nn.ModuleDict({"feature": nn.Linear(width, WIDTH), "class": nn.Linear(width, 1000)})
    averaged = train(Task(model, extra, exact=options.vit), photos, options)
    print(f"{accuracy(averaged, photos):.1%} of {len(photos.valid)} photos never seen")
    save(averaged, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


def student(classes: int, options) -> nn.Module:
    """As `load_model` makes it, from scratch."""
    name, family = ("pocket-vit", pocket_vit) if options.vit else ("pocket-resnet", pocket)
    model = family.classifier(
        tuple(map(str, range(classes))), seed=options.seed, recipe={"name": name}
    )
    return model.to(memory_format=torch.channels_last)


def train(task: Task, photos: Photos, options) -> nn.Module:
    """The model with its weights averaged over about the last thousand steps."""
    decayed = [p for p in task.parameters() if p.ndim > 1]
    plain = [p for p in task.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=options.lr,
        fused=True,
    )
    averaged = deepcopy(task.model).eval().requires_grad_(False)
    kept = {"model": task.model, "extra": task.extra, "averaged": averaged, "optimizer": optimizer}
    checkpoint = options.out.with_suffix(".checkpoint")
    start = restore(checkpoint, kept, options)
    began = saved = time.monotonic()
    smooth = share = None
    task.model.train()
    for step in range(start, options.steps):
        pause(options)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, options)
        loss, right = task.loss(*batch(photos, step, options))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average(averaged, task.model, step)
        smooth = loss.detach() if smooth is None else smooth.lerp(loss.detach(), 0.02)
        share = right if share is None else share.lerp(right, 0.02)
        now, done = time.monotonic(), step + 1
        if done % 100 == 0:
            left = (now - began) / (done - start) * (options.steps - done)
            print(
                f"step {done}/{options.steps}  loss {smooth:.3f}  right {share:.1%}  {left:.0f} s left",
                flush=True,
            )
        if done % 2000 == 0:
            print(f"  {accuracy(averaged, photos):.1%} of the photos held out", flush=True)
        if now - saved > CHECKPOINT_EVERY_S:
            keep(checkpoint, kept, done, options)
            saved = now
    return averaged


def rate(step: int, options) -> float:
    return options.lr * min((step + 1) / WARM_UP, (options.steps - step) / options.fade, 1)


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, step: int) -> None:
    """Weights and BatchNorm statistics, over about 1,000 steps (fewer at the beginning)."""
    weight = max(1 - AVERAGE, 9 / (step + 10))
    for mean, now in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, weight)


def batch(photos: Photos, step: int, options) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Photos, cropped, recoloured, half of them mirrored; labels; the teacher's features and logits.

    An epoch is a permutation; every batch is a pure function of (seed, step).
    """
    rows, position = len(photos.train), step * options.batch_size
    order = torch.Generator().manual_seed(initial_seed(options.seed, f"epoch {position // rows}"))
    # The few photos after an epoch's last whole batch are skipped until the next permutation.
    index = torch.randperm(rows, generator=order)[position % rows :][: options.batch_size]
    drawn = torch.Generator().manual_seed(initial_seed(options.seed, f"step {step}"))
    mirrored = torch.rand(len(index), generator=drawn) < 0.5
    size = FULL if step >= options.steps - options.sharp else options.small
    x = recoloured(moved(photos.train.pictures(index), mirrored, size, drawn), drawn)
    features, logits = photos.teacher(index, mirrored)
    return x.contiguous(memory_format=torch.channels_last), photos.train.y[index], features, logits


def moved(x: Tensor, mirrored: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Crops of 65 to 100 % of each side, anywhere, at size × size; mirrored where requested."""
    side = 1 - 0.35 * torch.rand(len(x), 2, generator=generator).mul(
        torch.rand(len(x), 1, generator=generator)
    )
    shift = (1 - side) * (2 * torch.rand(len(x), 2, generator=generator) - 1)
    sign = torch.where(mirrored, -1.0, 1.0)
    zero = torch.zeros(len(x))
    rows = torch.stack([side[:, 0] * sign, zero, shift[:, 0], zero, side[:, 1], shift[:, 1]], 1)
    grid = F.affine_grid(rows.view(-1, 2, 3), [len(x), 3, size, size], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def recoloured(x: Tensor, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation by up to 30 %; results stay in [0, 1]."""
    light, contrast, colour = 0.7 + 0.6 * torch.rand(3, len(x), 1, 1, 1, generator=generator)
    grey = x.mean(1, keepdim=True)
    middle = grey.mean((2, 3), keepdim=True)
    x = grey + (x - grey) * colour
    return ((middle + (x - middle) * contrast) * light).clamp(0, 1)


@torch.inference_mode()
def accuracy(model: nn.Module, photos: Photos) -> float:
    hits = 0
    for index in torch.arange(len(photos.valid)).split(100):
        x = photos.valid.pictures(index).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16):
            hits += (model(x).argmax(1) == photos.valid.y[index]).sum().item()
    return hits / len(photos.valid)


def pause(options) -> None:
    while options.pause_file and options.pause_file.exists():
        time.sleep(2)


def settings(options) -> dict:
    return {key: getattr(options, key) for key in ("batch_size", "lr", "seed", "mirror")}


def plan(options) -> dict:
    return {key: getattr(options, key) for key in ("steps", "sharp", "fade")}


def ending(schedule: dict) -> int:
    """The first step that depends on when training ends."""
    return schedule["steps"] - max(schedule["sharp"], schedule["fade"])


def keep(path: Path, kept: dict, step: int, options) -> None:
    """Write a checkpoint, whole or not at all."""
    state = {name: part.state_dict() for name, part in kept.items()}
    state |= {"step": step, "plan": plan(options), "settings": settings(options)}
    with replacing(path) as file:
        torch.save(state, file)


def restore(path: Path, kept: dict, options) -> int:
    """The step to resume at; 0 without a checkpoint."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    early = state["step"] <= min(ending(state["plan"]), ending(plan(options)))
    if state["settings"] != settings(options) or not (state["plan"] == plan(options) or early):
        raise SystemExit(
            f"{path} was made with {state['settings'] | state['plan']}, is at step {state['step']}"
            f" and cannot continue with {settings(options) | plan(options)}: use the former, or"
            f" remove the file to start again."
        )
    for name, part in kept.items():
        part.load_state_dict(state[name])
    print(f"continues from step {state['step']}", flush=True)
    return state["step"]


if __name__ == "__main__":
    main()
