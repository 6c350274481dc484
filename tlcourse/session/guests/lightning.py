"""Steering in a Lightning `Trainer`, by a `Callback`."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from tlcourse.errors import SessionError

from .run import Steering


def steer_lightning(trainer: Trainer, module: nn.Module, **options: Any) -> Steering:
    steering = Steering(module, **options)
    for before in [c for c in trainer.callbacks if isinstance(c, _Between)]:  # type: ignore[attr-defined]
        trainer.callbacks.remove(before)  # type: ignore[attr-defined]  # a cell that was run again
    trainer.callbacks.append(_Between(steering))  # type: ignore[attr-defined]
    return steering


class _Between(Callback):
    def __init__(self, steering: Steering):
        self._steering = steering

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before a checkpoint that is resumed from is loaded into the optimizer."""
        if len(trainer.optimizers) != 1:
            raise SessionError(
                f"{type(pl_module).__name__} has {len(trainer.optimizers)} optimizers; "
                "one can be steered."
            )
        self._steering.attach(trainer.optimizers[0])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        planned = trainer.estimated_stepping_batches
        self._steering.steps = int(planned) if planned != float("inf") else None
        self._steering.begin(anew=True)
        self._between(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            # In automatic optimization the trainer has divided it by the batches of a step.
            share = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
            self._steering.report(loss=loss * share)
        self._steering.turned()
        self._between(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What the module logged under a name with "val" and "acc", or "val" and "loss"."""
        if trainer.sanity_checking:
            return

        def logged(word: str) -> Any:
            metrics = trainer.callback_metrics.items()
            return next((v for name, v in metrics if "val" in name and word in name), None)

        self._steering.report(accuracy=logged("acc"), valid_loss=logged("loss"))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._steering.finish("done")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._steering.fail(exception)

    def _between(self, trainer: Trainer) -> None:
        self._steering.between_or_paused()
        if self._steering.ending:
            trainer.should_stop = True
