"""`steer`: a training loop of one's own, open to the same commands as a Session.

    steering = tl.steer(loader, model=model, optimizer=optimizer, epochs=3)
    tl.Cockpit(steering)                       # in a cell of its own
    async for x, y in steering:                # `for` outside of notebooks
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        steering.log(loss)

Commands act between batches; forward pass, loss, schedule and clipping stay the loop's own.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from math import ceil
from typing import Any

from torch import nn

from tlcourse.checks import whole_number
from tlcourse.errors import SessionError
from tlcourse.models.partition import Groups

from .run import Steering

PAUSE_S = 0.02


class Steer(Steering):
    """A loop under steering: iterate it instead of the loader, for all passes together.

    In a notebook write `async for`: then clicks arrive between two batches. With a plain `for` in a
    cell they wait until the cell ends (ipykernel 7.4; with 7.3 they arrive). In scripts, and in a
    thread (`await tl.beside(train)`), a plain `for` is right.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        *,
        model: nn.Module,
        optimizer: Any,
        groups: Groups | None,
        epochs: int | None,
        steps: int | None,
        seed: int,
        keep_mb: float,
    ):
        for name, count in (("epochs", epochs), ("steps", steps)):
            if count is not None:
                whole_number(count, name, SessionError, 1)
        if not isinstance(loader, Iterable) and not hasattr(loader, "__getitem__"):
            raise SessionError(
                f"loader is what your loop iterates, such as a DataLoader, not {loader!r:.40}."
            )
        super().__init__(model, optimizer, groups, seed=seed, keep_mb=keep_mb)
        self.loader = loader
        self.epoch = 0  # passes that are complete
        self._epochs = epochs if epochs is not None or steps is not None else 1
        self._limit = steps
        self._batches = 0  # in all
        self._whole = (0, 0, 1)  # batches, step when a step was whole last; batches a step

    @property
    def steps(self) -> int | None:
        """Optimizer steps planned in all. Where `steer` got no number, as many as the coming batches
        make; None if the loader has no length."""
        if self._limit is not None:
            return self._limit
        try:
            total = self._epochs * len(self.loader)  # type: ignore[arg-type, operator]
        except TypeError:
            return None
        batches, step, a_step = self._whole
        return step + ceil(max(0, total - batches) / a_step)

    def __iter__(self) -> Iterator[Any]:
        with self.under_way():
            stream = self._stream()
            while True:
                self.between_or_paused()
                batch = self._next(stream)
                if batch is None:
                    return
                yield batch[0]
                self.turned()

    async def __aiter__(self) -> AsyncIterator[Any]:
        with self.under_way():
            stream = self._stream()
            while True:
                await asyncio.sleep(0)
                self.between()
                while self.paused:
                    await asyncio.sleep(PAUSE_S)
                    self.between()
                batch = self._next(stream)
                if batch is None:
                    return
                yield batch[0]
                self.turned()

    def _next(self, stream: Iterator[Any]) -> tuple[Any] | None:
        if self.whole:
            a_step = round(self._batches / self.tick) if self.tick else 1
            self._whole = (self._batches, self.step, max(1, a_step))
        over = self._limit is not None and self.step >= self._limit
        if self.ending is None and not over:
            for batch in stream:
                self._batches += 1
                return (batch,)
        self.finish("done")
        return None

    def _stream(self) -> Iterator[Any]:
        """The passes over the loader. A second loop over the same steering goes on with it."""
        done = 0
        while self._epochs is None or done < self._epochs:
            before = self._batches
            yield from self.loader
            done += 1
            self.epoch += 1
            if self._batches == before:  # an iterator that is used up
                return


def steer(
    loader: Iterable[Any],
    *,
    model: nn.Module,
    optimizer: Any,
    groups: Groups | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    keep_mb: float = 512,
) -> Steer:
    """Open a loop of your own to commands: iterate what this returns instead of the loader.

    groups: name → module, its path in the model, or several; None takes `model.groups`, or divides the
    model by depth. epochs: passes over the loader, 1 by default; steps: end after so many optimizer
    steps, with as many passes as that takes. seed: for new heads and adapters. keep_mb: 10⁶ bytes that
    the moments to go back to may hold.

    Steps are optimizer steps, not batches: if gradients are accumulated over k batches, every k batches
    are one step, and commands act only after a whole step. `steering.log(loss)` feeds the curve.

    Rates: the optimizer's groups and its schedule stay yours. A group of the model trains at the rate
    of your schedule times a factor. SetLR sets the factor so that the rate is lr now; the group goes on
    following the schedule. A parameter that the optimizer never held joins it when it is unfrozen.

    Rewind goes to a bookmark, or to a step at which a command acted. It restores weights, buffers,
    optimizer, freeze state and torch's random numbers exactly. Your loader and your schedule go on, so
    the batches that follow are others. Branches, twins, evaluation and augmentation need a loop that can
    repeat itself: a `Session`.

    Raises SessionError for an optimizer that cannot be steered, and under several processes.
    """
    return Steer(
        loader,
        model=model,
        optimizer=optimizer,
        groups=groups,
        epochs=epochs,
        steps=steps,
        seed=seed,
        keep_mb=keep_mb,
    )
