"""Steering in a Hugging Face `Trainer`, by a `TrainerCallback` and the public methods of the trainer."""

from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback

from tlcourse.errors import SessionError

from .run import Steering


def steer_huggingface(trainer: Trainer, **options: Any) -> Steering:
    if getattr(trainer, "model_init", None) is not None:
        raise SessionError(
            "This trainer makes its model when training begins (model_init), so there is none to steer "
            "yet. Give it a model: Trainer(model=…)."
        )
    if trainer.optimizer is None:
        # Made now, so that a checkpoint that is resumed from finds it under steering already.
        trainer.create_optimizer()
    if before := trainer.pop_callback(_Between):  # a cell that was run again
        before.hook.remove()
    steering = Steering(trainer.model, trainer.optimizer, **options)
    trainer.add_callback(_Between(trainer, steering))
    return steering


class _Between(TrainerCallback):
    """Reads the losses where the model computes them, since a callback does not get them."""

    def __init__(self, trainer: Trainer, steering: Steering):
        self._steering = steering
        self._summed = trainer.model_accepts_loss_kwargs  # each part of a step is divided already
        self._losses: list[float] = []
        self.hook = trainer.model.register_forward_hook(self._see)

    def _see(self, model: nn.Module, _: Any, output: Any) -> None:
        loss = output.get("loss") if hasattr(output, "get") else getattr(output, "loss", None)
        if loss is not None and model.training:
            self._losses.append(loss.detach())

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> Any:
        self._steering.attach(options["optimizer"])
        self._steering.steps = state.max_steps
        self._steering.begin()
        return self._between(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> Any:
        if self._losses:
            parts, self._losses = self._losses, []
            self._steering.log(sum(parts) if self._summed else sum(parts) / len(parts))
        self._steering.turned()
        return self._between(control)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> None:
        measured = metrics or {}
        accuracy, loss = measured.get("eval_accuracy"), measured.get("eval_loss")
        self._steering.log(accuracy=accuracy, valid_loss=loss)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._steering.finish("done")

    def _between(self, control: Any) -> Any:
        self._steering.between_or_paused()
        if self._steering.ending:
            control.should_training_stop = True
        return control
