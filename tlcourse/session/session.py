"""`Session`: one training run that can be steered while it runs."""

import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import finalize

import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data import Data
from tlcourse.errors import CommandError, SessionError, TrainingFailed
from tlcourse.models.partition import Groups, groups_of, has_groups, paths_of, without_fixed

from .autosave.saver import check_folder, save_to
from .commands import Branch, Command, Rewind, Stop, kinds
from .engine.boundary import check_command, refused, warn_of_trouble
from .engine.inbox import Envelope, Inbox
from .engine.loader import holds_pictures
from .engine.loop import events_of
from .engine.memory import memory_of
from .engine.meters import Meter, Meters, plan_meters
from .engine.processes import ranks_here
from .engine.questions import Looking
from .engine.training import Term, Training
from .eventlog import EventLog
from .events import Event, Failed, Finished
from .model.user_optimizer import OptimizerFactory, SchedulerFactory
from .recipe import check_kinds, check_step, device_of, plan
from .record.record import Record, header_of, record_of
from .result import Result, result_of
from .steerable import Bookmark, GroupState, TimelineState
from .threads.runner import Runner
from .threads.yielding import yielder

T = TypeVar("T")


class Session:
    """A run of `steps` training steps of `model` on `data` that takes commands between steps.

    lr: one rate, or a mapping from group (or "head", "backbone", "all") to rate.
    freeze: groups that start frozen; None leaves the model as it is. In a group that trains, parameters
    that came with requires_grad=False stay fixed, and so does what cannot train (whole numbers).
    freeze_stats: whether frozen BatchNorm keeps its running statistics too (see `Freeze`).
    groups: name → module, its path in the model, or several of them; None takes `model.groups`, or
    divides the model by depth: into its children, and a child with most of the parameters into its own.
    optimizer: "adamw", "sgd", or your own function. It is called with parameter groups as torch.optim
    takes them, a {"params", "lr", "name"} for each group of the model, and returns a
    torch.optim.Optimizer: optimizer=lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True).
    weight_decay applies only to "adamw" and "sgd".
    scheduler: a function that takes the optimizer and returns a torch.optim.lr_scheduler, which is
    stepped after each optimizer step. SetLR then scales the scheduled rate, and the group keeps
    following the schedule. A twin and a replay call both functions again.
    accumulate: number of batches whose gradients are averaged for one step.
    precision: "float32", "bf16" (autocast), or "auto": bf16 if this machine supports it natively.
    layout: "channels_last", "contiguous", or "auto": the first for images and convolutions.
    terms, weights: further loss terms, (model, Batch) → scalar, and the weight of each (1 by default;
    `SetWeight` changes it).
    keep_mb: 10⁶ bytes that all snapshots for rewinding may hold together. A run that is over keeps only
    its bookmarks, unless a cockpit shows it; a rewind then repeats more steps.
    workers: processes that prefetch training data; 0 for data held in memory. `Split.x` may be any
    sequence of (3, H, W) uint8 images with len() and [i]; it is then read batch by batch.
    pace: maximum steps per second, so that a small model can be watched; None is full speed. It affects
    only the duration of the run, and is not part of its record.
    autosave: a folder for the run's state, written by another thread every autosave_s seconds and at the
    end, so that `tl.resume` can continue a run that was killed. It does not affect the run.
    meters: what else to measure: name → (model) → a number, or a split of other data for the accuracy
    on it. Read in eval mode at the start, at every evaluation and at the end; shown as `Metered` events,
    as a line in the cockpit and in `result.meters`. They do not affect the run; the record holds their
    readings, and a replay does not need them.
    loss: (logits, targets) → scalar; device: "auto" is the first GPU, else the CPU.

    `start()` trains in a background thread, `run()` in this one; `await run.wait()` waits for the
    thread. All randomness comes from `seed`, so the same session repeats bit for bit on the same CPU
    build with the same number of threads.

    Under `torchrun` or `accelerate launch` every process creates the same Session and calls the same
    methods. batch_size is then per process: n processes train on n times as many samples per step.
    Rank 0 receives commands, and all ranks apply them at the same step.
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
        groups: Groups | None = None,
        batch_size: int = 32,
        accumulate: int = 1,
        optimizer: str | OptimizerFactory = "adamw",
        scheduler: SchedulerFactory | None = None,
        weight_decay: float = 0.01,
        augment: float = 0.0,
        terms: Mapping[str, Term] | None = None,
        weights: Mapping[str, float] | None = None,
        eval_every: int | None = None,
        precision: str = "float32",
        layout: str = "auto",
        workers: int = 0,
        keep_mb: float = 512,
        pace: float | None = None,
        autosave: str | Path | None = None,
        autosave_s: float = 30,
        meters: Mapping[str, Meter] | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        device: str = "auto",
        seed: int = 0,
    ):
        check_kinds(model, data)
        divided = groups is not None or not has_groups(model)
        groups, meters = groups_of(model, groups), plan_meters(meters)
        device, ranks = device_of(device), ranks_here()
        if ranks:
            device = ranks.device(device)
        recipe = plan(
            model, groups, data, device, pictures=holds_pictures(data.train.x), scheduler=scheduler,
            steps=steps, lr=lr, freeze=freeze, freeze_stats=freeze_stats, batch_size=batch_size,
            accumulate=accumulate, optimizer=optimizer, weight_decay=weight_decay, augment=augment,
            terms=terms, weights=weights, eval_every=eval_every, precision=precision, layout=layout,
            workers=workers, keep_mb=keep_mb, pace=pace, autosave_s=autosave_s, seed=seed,
        )  # fmt: skip
        if autosave is not None and (ranks is None or ranks.leads):
            check_folder(Path(autosave))
        if ranks:
            ranks.agree({"groups": list(groups)} | recipe.to_json(), len(data.train.y))
            ranks.copy_from_first(model)
        self.recipe = recipe
        self.events = EventLog()
        self._warned = 0
        several = ranks.size if ranks else 1
        paths = paths_of(model, groups) if divided else None
        parts, fixed = without_fixed(groups)
        self._header = header_of(model, paths, data, recipe, loss, device, keep_mb, several)
        if fixed:
            names = {p: name for name, p in model.named_parameters()}
            self._header["fixed"] = [names[p] for p in fixed]
        self._training = Training(
            model, parts, data, recipe, loss, device, terms, keep_mb, ranks,
            optimizer=optimizer, scheduler=scheduler, saved=autosave is not None,
        )  # fmt: skip
        self._training.meters = Meters(meters)
        self.began = self._training.state()
        self._header |= {"metric": "accuracy", "began": self.began.to_json()}
        self.pace = pace
        self._inbox = Inbox()
        self._looking = Looking(self._inbox)
        self._runner = Runner()
        self._errors: list[BaseException] = []
        finalize(self, _let_go, self._training, self._inbox).atexit = False
        self.resumed_from: Path | None = None
        if autosave is not None:
            save_to(self, Path(autosave), autosave_s)

    # -- steering ------------------------------------------------------------------------------

    def send(self, command: Command, id: str | None = None) -> None:
        """Apply `command` before the next step. An invalid command raises CommandError now; one that the
        run cannot apply leads to a `Refused` event. Any thread may call this.

        A run that is over takes Rewind and Branch, and continues from there in a background thread.
        """
        check_command(command, self._training.levers, self._inbox.all())
        if self._inbox.put(Envelope(command, id)):
            return
        if not isinstance(command, Rewind | Branch) or not self._open_again(command):
            raise self._too_late(command)
        self._inbox.put(Envelope(command, id))
        self.start()

    def at(self, step: int, command: Command) -> None:
        """Apply `command` after `step` steps (0 … steps - 1). It is applied once, even if a rewind
        passes that step again."""
        check_command(command, self._training.levers, self._inbox.all())
        check_step(step, self.recipe.steps)
        if self.events and step < self._training.step:
            raise CommandError(f"Step {step} is past: the run is at {self._training.step}.")
        if not self._inbox.plan(step, Envelope(command)):
            raise self._too_late(command)

    def _too_late(self, command: Command) -> CommandError:
        name = type(command).__name__
        ways = "start a new Session"
        if self.status in ("finished", "stopped"):
            ways = "Rewind or Branch goes on from an earlier step"
        return CommandError(f"The run is {self.status}, so {name} comes too late; {ways}.")

    # -- running -------------------------------------------------------------------------------

    def start(self) -> "Session":
        """Train in a background thread and return at once. A second call does nothing."""

        def begun(threads: int) -> None:
            self._header.update(threads=threads)
            self._looking.expected = True  # a look must wait for commands sent before it

        self._runner.start(begun, self._work())
        return self

    def run(self) -> Result:
        """Train in this thread to the end (or wait, if it is already training). Returns the result."""
        self._runner.run(self._work())
        return self._outcome()

    async def wait(self) -> Result:
        """Wait for the end, starting the run if necessary; the kernel stays free for clicks. Raises
        TrainingFailed if training raised. An interrupt ends the wait, not the training."""
        self.start()
        await self._runner.wait(lambda: self.status == "paused")
        return self._outcome()

    def _work(self) -> Callable[[], None]:
        parts = (self._training, self._inbox, self._looking, self._errors)
        return partial(_train, self.events.append, *parts)

    def _outcome(self) -> Result:
        self._warned = warn_of_trouble(self.events, self._warned)
        return self.result

    def _open_again(self, command: Rewind | Branch) -> bool:
        """Get ready to continue after the end. False for a run that failed or is still ending;
        CommandError, and the run stays over, if the command would be refused."""
        self._runner.finish()
        if isinstance(self.events[-1], Failed):
            return False
        if self._runner.over:
            self._training.time.destination(self._training, command)
        if self._runner.again():
            self._training.ending = None
            self._inbox.reopen()
        return not self._inbox.shut

    # -- inspecting ----------------------------------------------------------------------------

    def look(self, ask: Callable[[nn.Module], T]) -> T:
        """ask(model), called between two steps in the training thread, also while the run is paused; at
        once if it is not running. The model is in eval mode, without gradients; modes and global random
        states are restored afterwards. Exceptions from `ask` are raised here, and the run continues."""
        return self._looking.look(lambda: self.model, ask)

    @property
    def status(self) -> str:
        """ready, running, paused, finished (all steps), stopped, failed."""
        if not self._runner.started:
            return "ready"
        if not self._runner.over:
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
    def steps(self) -> int:
        return self.recipe.steps

    @property
    def branch(self) -> str:
        """The current timeline."""
        return self._training.branch

    @property
    def pace(self) -> float | None:
        """Maximum steps per second, or None. May be changed at any time."""
        return self._training.pace

    @pace.setter
    def pace(self, steps_per_s: float | None) -> None:
        ranks = self._training.ranks
        if ranks is None or ranks.leads:  # the other ranks wait for rank 0 anyway
            self._training.pace = steps_per_s

    @property
    def viewed(self) -> bool:
        """Whether a cockpit shows the run, so that it keeps snapshots after its end."""
        return self._training.time.viewed

    @viewed.setter
    def viewed(self, on: bool) -> None:
        self._training.time.viewed = on

    @property
    def can(self) -> frozenset[str]:
        """Kinds of commands that this run supports."""
        without = set() if self._training.batches.pictures else {"augment"}
        return frozenset(
            set(kinds()) - without - (set() if self._training.terms else {"set_weight"})
        )

    @property
    def augment(self) -> float | None:
        """Current strength of augmentation, 0 … 1; None if the data cannot be augmented."""
        return self._training.augment

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each further loss term."""
        return dict(self._training.weights)

    @property
    def groups(self) -> tuple[GroupState, ...]:
        """Every parameter group, input first: size, whether it trains, its rate."""
        return self._training.levers.states()

    @property
    def timelines(self) -> tuple[TimelineState, ...]:
        """All timelines, including twins, in order of creation."""
        return self._training.time.states(self._training)

    @property
    def bookmarks(self) -> tuple[Bookmark, ...]:
        return self._training.time.bookmarks()

    @property
    def twin(self) -> str | None:
        """The current twin; "armed" if the next intervention gets one; else None."""
        twin = self._training.time.twin
        return twin.branch if twin else "armed" if self._training.time.armed else None

    @property
    def memory(self) -> dict[str, float]:
        """In 10⁶ bytes: "process", "snapshots", and on a GPU "gpu" (allocated) and "gpu_total"."""
        return memory_of(self._training.device) | {"snapshots": self._training.time.held_mb}

    @property
    def result(self) -> Result:
        """The result. Raises SessionError before the end, and TrainingFailed if training raised."""
        if not self._runner.over:
            raise SessionError(
                f"The run is {self.status}: there is a result after `await run.wait()` "
                "(in a notebook) or run.run()."
            )
        if isinstance(failed := self.events[-1], Failed):
            raise TrainingFailed(
                f"Training stopped at step {failed.step} with {failed.error}"
            ) from (self._errors[-1] if self._errors else None)
        return result_of(self.events, self._training.meters.names)

    @property
    def record(self) -> Record:
        """The run's inputs and everything that has happened so far: to save, replay or play back."""
        return record_of(self._header, self.events)

    def __repr__(self) -> str:
        return f"<Session {self.status}: step {self.step} of {self.recipe.steps}>"


def _train(
    emit: Callable[[Event], None],
    t: Training,
    inbox: Inbox,
    looking: Looking,
    errors: list[BaseException],
) -> None:
    """In the training thread, which holds what the run needs, but not the Session: once nobody has that
    any more, a run that is paused ends."""
    rest = yielder()
    try:
        with looking.training():
            while True:
                for event in events_of(t, inbox):
                    emit(event)
                    rest()
                planned = inbox.planned if inbox.alone else ()
                if not planned or planned[0][0] > t.tick:  # none is due, nor ever will be
                    break
                inbox.reopen()  # a replay of a run that was gone on with after its end
                t.ending = None
    except BaseException as error:
        line = traceback.format_exception_only(error)[-1].strip()
        for left in inbox.shut_down():
            emit(refused(t, left, "Training has failed; start a new Session."))
        errors.append(error)
        if t.ranks:
            t.ranks.leave()
        emit(Failed(t.tick, t.step, t.branch, line, traceback.format_exc()))
        if not isinstance(error, Exception):  # Ctrl-C in run(): say so to whoever called
            raise
    finally:
        t.batches.close()


def _let_go(t: Training, inbox: Inbox) -> None:
    if t.paused:
        inbox.put(Envelope(Stop()))
