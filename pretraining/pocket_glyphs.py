"""Pre-train pocket-glyphs on printed characters of many scripts, none of which looks like a digit.

    python pretraining/pocket_glyphs.py --out pocket-glyphs.safetensors

Batches are rendered on the fly and are pure functions of (seed, step). A checkpoint is written
beside `--out` every minute; the same command continues from it. A step takes about 75 ms on one free
core, so the whole run takes 7 minutes, or less on a GPU with --device cuda. Other devices and thread
counts give other bits.

The rate is a one-cycle over --steps, but training ends at --stop, after decaying to zero over the last
--fade steps. The defaults made the shipped weights: planned for 10,000 steps, ended early.
"""

import argparse
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from glyphs import CHARACTERS, distort
from safetensors.torch import save_file
from torch import Tensor, nn

from tlcourse.data.render.ink import FONTS, bank
from tlcourse.files import replacing
from tlcourse.models.classifier import ImageClassifier
from tlcourse.models.load import load_model

HELD_OUT = "DejaVuSerif-Bold"  # a font only for validation
CHECKPOINT_EVERY_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="where the weights go, float16")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--stop", type=int, default=5_400)
    parser.add_argument("--fade", type=int, default=800)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    characters = CHARACTERS.read_text(encoding="utf-8").strip("\n")
    fonts = [name for name in FONTS if name != HELD_OUT]
    ink, labels = (part.to(options.device) for part in bank(characters, fonts))
    print(f"{len(characters)} characters, {len(fonts)} fonts, {len(ink)} drawings", flush=True)

    model = load_model(
        "pocket-glyphs", classes=list(characters), pretrained=False, seed=options.seed
    )
    model = model.to(options.device, memory_format=torch.channels_last)
    train(model, ink, labels, options)
    accuracy = validate(model, *bank(characters, [HELD_OUT]), options)
    print(f"{accuracy:.1%} of {HELD_OUT}, a font never seen, distorted")
    save(model, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


def train(model: ImageClassifier, ink: Tensor, labels: Tensor, options) -> None:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=options.lr,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.lr, total_steps=options.steps, pct_start=0.05
    )
    checkpoint = options.out.with_suffix(".checkpoint")
    start = restore(checkpoint, model, optimizer, schedule, options)
    began = saved = time.monotonic()
    model.train()
    smooth = right = None
    for step in range(start, options.stop):
        x, y = batch(ink, labels, options, step)
        logits = model(x)
        loss = F.cross_entropy(logits, y, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()  # sets the rate anew, so the decay does not accumulate
        for group in optimizer.param_groups:
            group["lr"] *= min((options.stop - step - 1) / options.fade, 1)
        hit = (logits.argmax(1) == y).float().mean()
        smooth = loss.detach() if smooth is None else smooth.lerp(loss.detach(), 0.02)
        right = hit if right is None else right.lerp(hit, 0.02)
        now = time.monotonic()
        if (step + 1) % 100 == 0:
            left = (now - began) / (step + 1 - start) * (options.stop - step - 1)
            print(
                f"step {step + 1}/{options.stop}  loss {smooth:.3f}  right {right:.1%}"
                f"  {left:.0f} s left",
                flush=True,
            )
        if now - saved > CHECKPOINT_EVERY_S:
            keep(checkpoint, model, optimizer, schedule, step + 1, options)
            saved = now


def batch(ink: Tensor, labels: Tensor, options, step: int) -> tuple[Tensor, Tensor]:
    """Classes are drawn equally often, however many fonts have them."""
    generator = torch.Generator(ink.device).manual_seed(options.seed * 1_000_003 + step)
    weights = 1 / labels.bincount()[labels].float()
    index = torch.multinomial(weights, options.batch_size, replacement=True, generator=generator)
    x = distort(ink[index], generator)
    return x.contiguous(memory_format=torch.channels_last), labels[index]


@torch.inference_mode()
def validate(model: nn.Module, ink: Tensor, labels: Tensor, options) -> float:
    """The accuracy, with each drawing distorted in four ways."""
    generator = torch.Generator(options.device).manual_seed(options.seed - 1)
    model.eval()
    ink, labels = ink.to(options.device), labels.to(options.device)
    order = torch.randperm(len(ink), generator=generator, device=options.device)
    hits = [
        (model(distort(ink[order], generator)).argmax(1) == labels[order]).float().mean()
        for _ in range(4)
    ]
    return torch.stack(hits).mean().item()


def settings(options) -> dict:
    return {
        key: getattr(options, key) for key in ("steps", "stop", "fade", "batch_size", "lr", "seed")
    }


def keep(path: Path, model, optimizer, schedule, step: int, options) -> None:
    """Write a checkpoint, whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "step": step,
        "settings": settings(options),
    }
    with replacing(path) as file:
        torch.save(state, file)


def restore(path: Path, model, optimizer, schedule, options) -> int:
    """The step to resume at; 0 without a checkpoint."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location=options.device, weights_only=True)
    if state["settings"] != settings(options):
        raise SystemExit(
            f"{path} was made with {state['settings']}, not {settings(options)}: use those again,"
            f" or remove the file to start again."
        )
    for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
        part.load_state_dict(state[name])
    print(f"continues from step {state['step']}", flush=True)
    return state["step"]


def save(model: ImageClassifier, path: Path) -> None:
    """The body alone, float16, without BatchNorm's batch counters."""
    body = {
        key: value.half().contiguous().cpu()
        for key, value in model.body.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(body, path)


if __name__ == "__main__":
    main()
