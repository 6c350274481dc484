"""A session beside the trainers that people use, on the same work.

    python benchmarks/session_peers.py [--rounds 5] [--threads 2] [--only mlp resnet lora] [--ways …]

Every way takes the same number of steps with batches of 32 and AdamW (fused) at one rate, on the CPU,
with progress bars, logs and checkpoints off: as fast as each reasonably can be made. `bare` is a loop of
nine lines that draws the session's batches; the peers read a TensorDataset through a DataLoader, as they
are used. The time of a step is taken between two calls of the loss, so what they do before and after is
left out. Rounds are interleaved, in rotating order; figures are ratios to bare within a round: median
(lowest … highest). A way whose library is not installed is left out and said so.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import warnings
from typing import Any

import torch
import works
from session_overhead import spread
from torch import Tensor, nn
from works import BATCH, Clock, Work


def session(work: Work) -> float:
    run, clock = works.session(work)
    run.start().run()  # in a thread of its own, as in a notebook
    return clock.step_s(work.steps)


def bare(work: Work) -> float:
    return works.bare(work)[0]


def accelerate(work: Work) -> float:
    from accelerate import Accelerator

    accelerator, clock, model = Accelerator(cpu=True), Clock(), works.prepared(work)
    model, optimizer, loader = accelerator.prepare(model, works.adamw(model), works.loader_of(work))
    for _ in range(work.epochs):
        for x, y in loader:
            loss = clock(model(x), y)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
    return clock.step_s(work.steps)


def huggingface(work: Work) -> float:
    from transformers import PrinterCallback, Trainer, TrainingArguments
    from transformers.utils import logging as spoken

    spoken.set_verbosity_error()
    clock, rows = Clock(), works.loader_of(work).dataset

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, number: int) -> dict[str, Tensor]:
            x, y = rows[number]
            return {"x": x, "labels": y}

    class Told(nn.Module):
        def __init__(self, model: nn.Module):
            super().__init__()
            self.model = model

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"loss": clock(self.model(x), labels)}

    model = works.prepared(work)
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            folder, max_steps=work.steps, per_device_train_batch_size=BATCH, use_cpu=True,
            learning_rate=1e-3, lr_scheduler_type="constant", optim="adamw_torch_fused",
            max_grad_norm=0.0, save_strategy="no", logging_strategy="no", report_to=[],
            disable_tqdm=True, dataloader_drop_last=True, dataloader_pin_memory=False,
            remove_unused_columns=False,
        )  # fmt: skip
        optimizers = (works.adamw(model), None)
        trainer = Trainer(Told(model), options, train_dataset=Rows(), optimizers=optimizers)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.step_s(work.steps)


def lightning(work: Work) -> float:
    import lightning as L

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    clock = Clock()

    class Told(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = works.prepared(work)

        def training_step(self, batch: Any, number: int) -> Tensor:
            x, y = batch
            return clock(self.model(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return works.adamw(self.model)

    trainer = L.Trainer(max_steps=work.steps, accelerator="cpu", devices=1, barebones=True)
    trainer.fit(Told(), works.loader_of(work))
    return clock.step_s(work.steps)


def skorch(work: Work) -> float:
    import skorch as sk

    clock = Clock()

    class Criterion(nn.Module):
        def forward(self, logits: Tensor, y: Tensor) -> Tensor:
            return clock(logits, y)

    net = sk.NeuralNet(
        works.prepared(work), Criterion, optimizer=torch.optim.AdamW, optimizer__fused=True,
        optimizer__weight_decay=0.01, lr=1e-3, batch_size=BATCH, max_epochs=work.epochs,
        train_split=None, iterator_train__shuffle=True, iterator_train__drop_last=True,
        callbacks="disable", verbose=0,
    )  # fmt: skip
    x, y = works.loader_of(work).dataset.tensors
    net.fit(x, y)
    return clock.step_s(work.steps)


def ignite(work: Work) -> float:
    from ignite.engine import create_supervised_trainer

    model, clock = works.prepared(work), Clock()
    trainer = create_supervised_trainer(model, works.adamw(model), clock)
    trainer.run(works.loader_of(work), max_epochs=work.epochs)
    return clock.step_s(work.steps)


def fastai(work: Work) -> float:
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    clock, loader = Clock(), works.loader_of(work)

    def optimizer(params: Any, lr: float, **more: Any) -> OptimWrapper:
        return OptimWrapper(params, torch.optim.AdamW, lr=lr, weight_decay=0.01, fused=True)

    learner = Learner(
        DataLoaders(loader, []), works.prepared(work), loss_func=clock, opt_func=optimizer, lr=1e-3,
        train_bn=False,
    )  # fmt: skip
    with learner.no_logging():
        learner.fit(work.epochs)
    return clock.step_s(work.steps)


WAYS = {
    way.__name__: way
    for way in (bare, session, accelerate, huggingface, lightning, skorch, ignite, fastai)
}


def installed(asked: list[str], work: Work) -> list[str]:
    """One short trial of each: it also warms up imports."""
    there = []
    for way in asked:
        try:
            WAYS[way](work)
            there.append(way)
        except ImportError as error:
            print(f"  {way} is left out: {error}", file=sys.stderr)
    return there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", nargs="+", default=["mlp", "resnet", "lora"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    print(f"\ntorch {torch.__version__}, {asked.threads} threads, {asked.rounds} rounds\n")
    print("| work | way | step, ms | step / bare | session / it |\n|---|---|---|---|---|")
    for name in asked.only:
        work = works.work(name)
        ways = installed(list(dict.fromkeys(["bare", "session", *asked.ways])), work)
        told: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(asked.rounds):
            for way in works.rotated(ways, number):
                torch.set_num_threads(asked.threads)
                told[way].append(WAYS[way](work))
            print(
                f"  {name} round {number}: { {w: v[-1] for w, v in told.items()} }", file=sys.stderr
            )
        for way, seconds in told.items():
            to_bare = [a / b for a, b in zip(seconds, told["bare"], strict=True)]
            ahead = [b / a for a, b in zip(seconds, told["session"], strict=True)]
            print(
                f"| {work.title} | {way} | {statistics.median(seconds) * 1e3:.3f} "
                f"| {spread(to_bare)} | {spread(ahead)} |"
            )


if __name__ == "__main__":
    main()
