"""The work that the benchmarks of a session share: models, data, and the loops to compare with.

Every way calls the same loss, which notes the time: a step is the mean distance between two calls,
without the first ones and without whatever comes before and after the training.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tlcourse as tl
from tlcourse.data import Data, Split
from tlcourse.models import groups_of
from tlcourse.session.engine.batches import Batches, to_float
from tlcourse.session.model.edits import plan_lora
from tlcourse.session.recipe import layout_of

BATCH = 32
WARM = 2  # steps that are not counted
LORA = {"rank": 8, "layers": "query,value"}


@dataclass(frozen=True)
class Work:
    """train: how many samples; steps: a whole number of epochs."""

    title: str
    model: Callable[[], nn.Module]
    data: Data
    steps: int
    freeze: str | None = None
    lora: bool = False

    @property
    def epochs(self) -> int:
        return self.steps // (len(self.data.train.y) // BATCH)


class Clock:
    """A loss that notes when it was asked for."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        self.times.append(time.perf_counter())
        return F.cross_entropy(logits, y)

    def step_s(self, steps: int) -> float:
        times = self.times[WARM:steps]
        return (times[-1] - times[0]) / (len(times) - 1)


# -- the work ----------------------------------------------------------------------------------


def work(name: str) -> Work:
    return {"mlp": _mlp, "resnet": _resnet, "head": _head, "lora": _lora}[name]()


def _mlp() -> Work:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1024, 16, generator=g)
    y = (x @ torch.randn(16, 4, generator=g)).argmax(1)

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))

    return Work("MLP, 32 × 16 numbers", model, _data(x, y, 512, 4), 3200)


def _resnet() -> Work:
    data = _pictures(64)
    return Work(
        "resnet10t, 64 px, all trains",
        lambda: tl.load_model("timm/resnet10t", classes=data.classes, pretrained=False),
        data,
        20,
    )


def _head() -> Work:
    data = _pictures(96)
    return Work(
        "MobileNetV2, 96 px, head only",
        lambda: tl.load_model("mobilenetv2", classes=data.classes),
        data,
        20,
        freeze="backbone",
    )


def _lora() -> Work:
    """Sentences of 24 tokens; a session takes the tokens as rows of whole numbers."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(192) % 8
    x = torch.randint(1000, 2000, (192, 24), generator=g) + 2000 * y[:, None]

    def model() -> nn.Module:
        made = tl.load_model("minilm", classes=tuple("abcdefgh"))
        for module in made.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # so that all ways take the same steps
        return made

    return Work("MiniLM + LoRA, 24 tokens", model, _data(x, y, 128, 8), 20, "backbone", lora=True)


def _pictures(side: int) -> Data:
    """Noise in ten tints."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(192) % 10
    tints = torch.randint(0, 120, (10, 3, 1, 1), generator=g)
    x = torch.randint(0, 136, (192, 3, side, side), generator=g) + tints[y]
    return _data(x.to(torch.uint8), y, 128, 10)


def _data(x: Tensor, y: Tensor, train: int, classes: int) -> Data:
    def part(first: int, last: int) -> Split:
        return Split(x[first:last], y[first:last], tuple(map(str, range(first, last))))

    end = len(y)
    names = tuple("abcdefghij"[:classes])
    return Data("bench", "bench", part(0, train), part(end, end), part(train, end), names, {})


# -- the ways ----------------------------------------------------------------------------------


def prepared(work: Work) -> nn.Module:
    """What a loop of one's own begins with: frozen, and with the same adapters as a session's."""
    model = work.model()
    groups = {name: list(m.parameters()) for name, m in groups_of(model).items()}
    if work.freeze:
        for name in list(groups)[:-1]:
            for p in groups[name]:
                p.requires_grad_(False)
    if work.lora:
        asked = list(groups)[:-1]
        edit = plan_lora(model, groups, asked, alpha=None, name="lora", seed=0, **LORA)
        for p in edit.do()["lora"]:
            p.requires_grad_(True)
    return in_train_mode(model, work)


def in_train_mode(model: nn.Module, work: Work) -> nn.Module:
    model.train()
    if work.freeze:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.eval()
    return model


def adamw(model: nn.Module, fused: bool = True) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01, fused=fused or None)


def bare(work: Work) -> tuple[float, float, nn.Module]:
    """The same batches, optimizer and layout as a session, in a loop of nine lines."""
    model, clock = prepared(work), Clock()
    layout = layout_of("auto", model, work.data.train.x.ndim == 4)
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    train, cpu = work.data.train, torch.device("cpu")
    batches = Batches(train.x, train.y, BATCH, 0, cpu, False, layout)
    optimizer = adamw(model)
    for step in range(work.steps):
        x, y = batches.at(step)
        loss = clock(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        last = loss.item()
    return clock.step_s(work.steps), last, model


def tutorial(work: Work) -> tuple[float, float, nn.Module]:
    """As tutorials write it: a DataLoader over a TensorDataset, AdamW as it comes."""
    model, clock = prepared(work), Clock()
    optimizer, loader = adamw(model, fused=False), loader_of(work)
    for _ in range(work.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = clock(model(x), y)
            loss.backward()
            optimizer.step()
            last = loss.item()
    return clock.step_s(work.steps), last, model


def loader_of(work: Work) -> torch.utils.data.DataLoader:
    rows = torch.utils.data.TensorDataset(to_float(work.data.train.x), work.data.train.y)
    return torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True, drop_last=True)


def session(work: Work, **more: Any) -> tuple[Any, Clock]:
    """A session of the work, and its clock. It has no validation split, so it is not interrupted."""
    clock = Clock()
    run = tl.Session(
        work.model(), work.data, steps=work.steps, lr=1e-3, freeze=work.freeze,
        batch_size=BATCH, eval_every=work.steps, loss=clock, device="cpu", seed=0, **more,
    )  # fmt: skip
    if work.lora:
        run.at(0, tl.AddLoRA("backbone", **LORA))
    return run, clock


def last_loss(run: Any) -> float:
    return float(run.result.losses[-1])


def accuracy(model: nn.Module, work: Work) -> float:
    """On samples that were not trained on."""
    model.eval()
    with torch.no_grad():
        logits = model(to_float(work.data.test.x))
    return float((logits.argmax(1) == work.data.test.y).float().mean())


def rotated(ways: list[str], turn: int) -> Iterator[str]:
    """Another one begins in each round, so that none always follows the same."""
    first = turn % len(ways)
    yield from ways[first:] + ways[:first]
