"""`Session`: one training run that can be steered while it runs."""

import asyncio
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data
from tlcourse.errors import CommandError, SessionError, TrainingFailed
from tlcourse.models import groups_of

from .commands import Command, members
from .engine import engine, refused
from .events import Event, Failed, Finished
from .inbox import Envelope, Inbox
from .record import Record, commands_of, environment, outcome_of, weights_sha256
from .result import Result, result_of
from .threads import CORES
from .training import OPTIMIZERS, GroupState, Recipe, Training, plan_freeze, plan_lr

WAKE_S = 0.25


class Session:
    """A run of `steps` training steps of `model` on `data`, open to commands between any two.

    lr: one rate, or a mapping from group (or "backbone", "all") to rate.
    freeze: groups that start frozen; None leaves the model as it is.
    freeze_stats: whether frozen BatchNorm keeps its running statistics too (see `Freeze`).
    pace: steps a second at most, so that a hand can follow a small model; None is as fast as it goes.
    It changes nothing but the time that the run takes, and is no part of its record.
    loss: (logits, targets) → scalar; device: "auto" is the first GPU, else the CPU.

    `start()` trains in a thread of its own, `run()` in this one; `await run.wait()` waits for the
    thread. Everything random is drawn from `seed`, so the same session repeats itself bit for bit on
    the same CPU build with the same number of threads.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        *,
        steps: int = 300,
        lr: float | Mapping[str, float] = 1e-3,
        freeze: str | list[str] | tuple[str, ...] | None = None,
        freeze_stats: bool = True,
        batch_size: int = 32,
        optimizer: str = "adamw",
        weight_decay: float = 0.01,
        augment: float = 0.0,
        eval_every: int | None = None,
        pace: float | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        device: str = "auto",
        seed: int = 0,
    ):
        groups = groups_of(model)
        names = list(groups)
        if freeze is None:
            freeze = [
                name
                for name, module in groups.items()
                if not any(p.requires_grad for p in module.parameters())
            ]
        _check_count("steps", steps)
        _check_count("batch_size", batch_size)
        eval_every = max(1, steps // 20) if eval_every is None else eval_every
        _check_count("eval_every", eval_every)
        if optimizer not in OPTIMIZERS:
            raise CommandError(f"No optimizer {optimizer!r}. There are: {', '.join(OPTIMIZERS)}.")
        if not 0 <= augment <= 1:
            raise CommandError(f"augment goes from 0 (off) to 1, not {augment!r}.")
        if pace is not None and not (isinstance(pace, int | float) and pace > 0):
            raise CommandError(
                f"pace is a number of steps a second above 0, or None, not {pace!r}."
            )
        _check_data(model, data, augment)
        recipe = Recipe(
            steps=steps,
            lr=plan_lr(names, lr),
            freeze=plan_freeze(names, freeze),
            freeze_stats=freeze_stats,
            batch_size=batch_size,
            optimizer=optimizer,
            weight_decay=weight_decay,
            augment=augment,
            eval_every=eval_every,
            seed=seed,
        )
        device = _device(device)
        for module in groups.values():  # from here on, `freeze` alone says what is frozen
            module.requires_grad_(True)
        self.recipe = recipe
        self.events: list[Event] = []
        self._training = Training(model, groups, data, recipe, loss, device)
        self._training.pace = pace
        self._inbox = Inbox()
        self._thread: threading.Thread | None = None
        self._started = False
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._waiting: list[Callable[[], Any]] = []
        self._lock = threading.Lock()
        self._header = environment(device, torch.get_num_threads()) | {
            "model": getattr(model, "recipe", None),
            "data": getattr(data, "recipe", None),
            "recipe": recipe.to_json(),
            "weights_sha256": weights_sha256(model),
        }

    # -- to steer ------------------------------------------------------------------------------

    def send(self, command: Command, id: str | None = None) -> None:
        """Apply `command` before the next step. What can be seen to be wrong raises CommandError now;
        what only the run can tell comes back as a `Refused` event. Any thread may call this."""
        self._check(command)
        if not self._inbox.put(Envelope(command, id)):
            raise self._too_late(command)

    def at(self, step: int, command: Command) -> None:
        """Apply `command` when `step` steps are done (0 … steps - 1)."""
        self._check(command)
        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise CommandError(f"A step is a whole number from 0 on, not {step!r}.")
        if step >= self.recipe.steps:
            raise CommandError(
                f"The run has {self.recipe.steps} steps, so nothing can happen after {step}; "
                f"the last chance is {self.recipe.steps - 1}."
            )
        if self.events and step < self._training.step:
            raise CommandError(f"Step {step} is past: the run is at {self._training.step}.")
        if not self._inbox.plan(step, Envelope(command)):
            raise self._too_late(command)

    def _too_late(self, command: Command) -> CommandError:
        name = type(command).__name__
        return CommandError(
            f"The run is {self.status}, so {name} comes too late; start a new Session."
        )

    def _check(self, command: Command) -> None:
        if not isinstance(command, Command):
            raise CommandError(
                f"{command!r} is not a command. Write for instance run.send(tl.Freeze('backbone'))."
            )
        command.check()
        if group := getattr(command, "group", None):
            members(group, self._training.names)

    # -- to run --------------------------------------------------------------------------------

    def start(self) -> "Session":
        """Train in a background thread and return at once. A second call does nothing."""
        with self._lock:
            if self._started:
                return self
            self._started = True
        threads = CORES.lend()
        self._header["threads"] = threads
        self._thread = threading.Thread(
            target=self._train_beside, args=(threads,), name="tlcourse-training", daemon=True
        )
        self._thread.start()
        return self

    def run(self) -> Result:
        """Train in this thread to the end (or, if it trains already, wait). Returns the result."""
        with self._lock:
            mine, self._started = not self._started, True
        if mine:
            self._train()
        else:
            self._done.wait()
            CORES.reclaim()
        return self.result

    async def wait(self) -> Result:
        """Wait for the end, starting the run if need be, while the kernel stays free for clicks.
        Raises what training raised. An interrupt ends the wait, not the training."""
        self.start()
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        wake = partial(loop.call_soon_threadsafe, lambda: over.done() or over.set_result(None))
        with self._lock:
            if not self._done.is_set():
                self._waiting.append(wake)
            else:
                over.set_result(None)
        try:
            while not over.done():  # a kernel interrupt is noticed only when the loop wakes
                await asyncio.wait([over], timeout=WAKE_S)
        except asyncio.CancelledError:
            raise asyncio.CancelledError(
                "You interrupted the wait; the training goes on. End it with Stop in the cockpit or "
                "run.send(tl.Stop()), or wait again with `await run.wait()`."
            ) from None
        CORES.reclaim()
        return self.result

    def _train_beside(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._train(at_end=CORES.give_back)

    def _train(self, at_end: Callable[[], None] = lambda: None) -> None:
        tell = self.events.append
        try:
            for event in engine(self._training, self._inbox):
                tell(event)
        except BaseException as error:
            t = self._training
            line = traceback.format_exception_only(error)[-1].strip()
            for left in self._inbox.shut_down():
                tell(refused(t, left, "Training has failed; start a new Session."))
            self._error = error
            tell(Failed(t.tick, t.step, t.branch, line, traceback.format_exc()))
            if not isinstance(error, Exception):  # Ctrl-C in run(): say so to whoever called
                raise
        finally:
            at_end()  # before anybody wakes and wants the cores
            with self._lock:
                self._done.set()
                waiting, self._waiting = self._waiting, []
            for wake in waiting:
                try:
                    wake()
                except RuntimeError:  # that event loop is closed: nobody waits there any more
                    pass

    # -- to look -------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """ready, running, paused, finished (all steps), stopped, failed."""
        if not self._started:
            return "ready"
        if not self._done.is_set():
            return "paused" if self._training.paused else "running"
        last = self.events[-1]
        if isinstance(last, Finished):
            return "finished" if last.reason == "done" else "stopped"
        return "failed"

    @property
    def model(self) -> nn.Module:
        return self._training.model

    @property
    def data(self) -> Data:
        return self._training.data

    @property
    def step(self) -> int:
        return self._training.step

    @property
    def pace(self) -> float | None:
        """Steps a second at most, or None. Can be changed at any time."""
        return self._training.pace

    @pace.setter
    def pace(self, steps_per_s: float | None) -> None:
        self._training.pace = steps_per_s

    @property
    def augment(self) -> float:
        """Strength of augmentation now, 0 … 1."""
        return self._training.batches.strength

    @property
    def groups(self) -> tuple[GroupState, ...]:
        """Every parameter group, input first: size, whether it trains, its rate."""
        return self._training.states()

    @property
    def result(self) -> Result:
        """What came out. Raises SessionError before the end and TrainingFailed if training raised."""
        if not self._done.is_set():
            raise SessionError(
                f"The run is {self.status}: there is a result after `await run.wait()` "
                "(in a notebook) or run.run()."
            )
        if isinstance(failed := self.events[-1], Failed):
            raise TrainingFailed(
                f"Training stopped at step {failed.step} with {failed.error}"
            ) from self._error
        return result_of(self.events)

    @property
    def record(self) -> Record:
        """What to replay: recipe, commands as applied, and the outcome once the run is over."""
        events = list(self.events)
        outcome = None
        if events and isinstance(events[-1], Finished):
            outcome = outcome_of(events, events[-1].reason)
        return Record(dict(self._header), commands_of(events), outcome)

    def __repr__(self) -> str:
        return f"<Session {self.status}: step {self.step} of {self.recipe.steps}>"


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise CommandError(
            f"This machine cannot train on device {name!r}; device='auto' takes what there is."
        ) from None
    return name


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CommandError(f"{name} is a whole number from 1 on, not {value!r}.")


def _check_data(model: nn.Module, data: Data, augment: float) -> None:
    told, there = len(getattr(model, "classes", data.classes)), len(data.classes)
    if told != there:
        raise CommandError(
            f"The model tells {told} classes apart and the data has {there}; "
            "make the model with load_model(…, classes=data.classes)."
        )
    if len(data.train.y) == 0:
        raise CommandError("The training split is empty; ask load_data for at least one label.")
    if augment and data.train.x.ndim != 4:
        raise CommandError("These are numbers, not pictures: there is nothing to augment.")
