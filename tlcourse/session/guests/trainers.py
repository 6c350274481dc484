"""`steer_trainer`: a trainer's loop, steered by means of the trainer's own callbacks."""

from typing import Any

from torch import nn

from tlcourse.errors import SessionError
from tlcourse.models.partition import Groups

from .run import Steering


def steer_trainer(
    trainer: Any,
    model: nn.Module | None = None,
    *,
    groups: Groups | None = None,
    seed: int = 0,
    keep_mb: float = 512,
) -> Steering:
    """Steer a Hugging Face `Trainer`, or a Lightning `Trainer` and the module that it will fit.

        steering = tl.steer_trainer(trainer)              # Hugging Face
        steering = tl.steer_trainer(trainer, module)      # Lightning
        tl.Cockpit(steering)
        await tl.beside(trainer.train)                    # or tl.beside(trainer.fit, module, loader)

    Schedule, clipping, precision and checkpoints stay the trainer's; commands act after whole optimizer
    steps, as under `steer`. Stop ends training as the trainer itself would. Call this before training.
    Raises SessionError for another trainer, or one that cannot be steered.
    """
    home = {cls.__module__.partition(".")[0] for cls in type(trainer).__mro__}
    options = {"groups": groups, "seed": seed, "keep_mb": keep_mb}
    if "transformers" in home:
        from .huggingface import steer_huggingface

        return steer_huggingface(trainer, **options)
    if "lightning" in home:
        from .lightning import steer_lightning

        if model is None:
            raise SessionError(
                "A Lightning trainer does not know its module yet: tl.steer_trainer(trainer, module)."
            )
        return steer_lightning(trainer, model, **options)
    raise SessionError(
        f"{type(trainer).__name__} is no Trainer of transformers or lightning. A loop of your own is "
        "steered with tl.steer(loader, model=…, optimizer=…)."
    )
