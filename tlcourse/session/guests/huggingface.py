"""Steering in a Hugging Face `Trainer`, by a `TrainerCallback` and the public methods of the trainer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from tlcourse.errors import CommandError, SessionError

from ..commands import AddLoRA, SwapHead, from_json
from .run import Steering

EDITS = "tlcourse_edits.json"  # in a checkpoint: the adapters and heads that came by a command


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
        before.release()
    steering = Steering(trainer.model, trainer.optimizer, **options)
    trainer.add_callback(_Between(trainer, steering))
    return steering


class _Between(TrainerCallback):
    """The trainer's own loss is what its `training_step` returns: with class weights, label smoothing or
    a loss function, the model computes another one. A callback does not get it, and is not told how
    `train` ends either, so both methods are wrapped."""

    def __init__(self, trainer: Trainer, steering: Steering):
        self._trainer, self._steering = trainer, steering
        self._losses: list[Any] = []
        self._step, self._train = trainer.training_step, trainer.train
        trainer.training_step, trainer.train = self._seen(self._step), self._watched(self._train)

    def release(self) -> None:
        self._trainer.training_step, self._trainer.train = self._step, self._train

    def _seen(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def training_step(*args: Any, **options: Any) -> Any:
            loss = step(*args, **options)
            self._losses.append(loss)
            return loss

        return training_step

    def _watched(self, train: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            resumed = options.get("resume_from_checkpoint", args[0] if args else None)
            if resumed is True:
                resumed = get_last_checkpoint(self._trainer.args.output_dir)
            if resumed:
                self._steering.edit_again(_edits_in(Path(resumed) / EDITS), str(resumed))
            with self._steering.guarded():
                return train(*args, **options)

        return watched

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> Any:
        self._steering.attach(options["optimizer"])
        self._steering.steps = state.max_steps
        self._losses = []
        self._steering.begin(anew=True)
        return self._between(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> Any:
        if self._losses:  # of the batches of a step, each divided by their number already
            parts, self._losses = self._losses, []
            self._steering.report(loss=sum(parts))
        self._steering.turned()
        return self._between(control)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
    ) -> None:
        measured = metrics or {}
        accuracy, loss = measured.get("eval_accuracy"), measured.get("eval_loss")
        self._steering.report(accuracy=accuracy, valid_loss=loss)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if edits := [command.to_json() for command in self._steering.edits]:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if folder.is_dir():
                (folder / EDITS).write_text(json.dumps(edits))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._steering.finish("done")

    def _between(self, control: Any) -> Any:
        self._steering.between_or_paused()
        if self._steering.ending:
            control.should_training_stop = True
        return control


def _edits_in(path: Path) -> list[AddLoRA | SwapHead]:
    if not path.exists():
        return []
    try:
        found = [from_json(row) for row in json.loads(path.read_text())]
        if not all(isinstance(command, AddLoRA | SwapHead) for command in found):
            raise ValueError("it holds other commands.")
        return found
    except (ValueError, TypeError, KeyError, AttributeError, CommandError, RecursionError) as error:
        raise SessionError(f"{path} does not say which adapters were added: {error}") from None
