"""`Steering`: a training loop of somebody else, as a cockpit steers it; and what it refuses.

Whoever owns the loop says when a batch is done (`turned`) and when commands may act (`between`): see
`loop.py`, `huggingface.py` and `lightning.py`.
"""

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import nan
from numbers import Real
from time import perf_counter
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet, ref

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from tlcourse.checks import whole_number
from tlcourse.errors import CommandError, SessionError
from tlcourse.models.partition import Groups, divide, inner_model

from ..commands import STEERING, Command, Rewind
from ..engine.boundary import Weights, check_command, moved, norms, now, obey, refused
from ..engine.inbox import Envelope, Inbox
from ..engine.loop import BITE_STEPS
from ..engine.memory import memory_of
from ..engine.questions import Looking, answer
from ..eventlog import EventLog
from ..events import Applied, Evaluated, Event, Failed, Finished, Refused, StepDone, Warned
from ..model.user_optimizer import UserOptimizer
from ..steerable import Bookmark, GroupState, TimelineState
from ..threads.time_budget import TimeBudget
from .optimizer import AwaitedOptimizer, Checkpoints, commands_of, torch_optimizer_of
from .state import GuestLevers, Loop

PATIENCE = 64  # batches without a step after which commands act all the same
CAN = frozenset(
    "set_lr freeze unfreeze add_lora set_scale swap_head save rewind pause resume stop".split()
)
CANNOT = {
    "branch": "Branch would train another past again, and your loop cannot be made to repeat itself.",
    "twin": "Twin would take every step twice, and the steps are yours.",
    "augment": "Augment would change the batches, and they come from your loader.",
    "set_weight": "SetWeight would change the loss, and that is computed by your own code.",
    "evaluate": "Evaluate needs data to measure on; measure in your loop and report it with "
    "steering.log(accuracy=…).",
}
OVER = "The loop has taken all its steps, so nothing would train with this."
T = TypeVar("T")


class Steering:
    """A `Steerable` whose loop belongs to somebody else. optimizer: None if `attach` brings it later."""

    can = CAN
    steps: int | None = None  # planned, in optimizer steps
    augment = twin = None
    viewed = False
    tells_loss = True  # until a step comes without one: then a loss that is no number means nothing

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any = None,
        groups: Groups | None = None,
        *,
        seed: int = 0,
        keep_mb: float = 512,
    ):
        _refuse_several_processes()
        if not isinstance(model, nn.Module):
            raise SessionError(f"model is a torch.nn.Module, not a {type(model).__name__}.")
        self.events = EventLog()
        self.weights: dict[str, float] = {}
        self._inbox = Inbox()
        self._looking = Looking(self._inbox)
        self._status = "ready"
        self._seconds = 0.0
        self._began: float | None = None
        self._losses: list[Any] = []  # logged since the last step
        self._said: set[str] = set()
        self._stepped = False  # a step was taken that no event reports yet
        self._since = 0  # batches since the last step
        self._after_step: list[Event] = []  # events that follow it
        self._watch: tuple[int, Weights] | None = None
        self._weighing = TimeBudget()
        self._divided, self._options = (inner_model(model), groups), (seed, keep_mb)
        self._checkpoints: Checkpoints | None = None
        self._begin_with(AwaitedOptimizer(), None)
        if optimizer is not None:
            self.attach(optimizer)

    def attach(self, optimizer: Any) -> None:
        """Steer this optimizer from here on. Once more with the same one does nothing."""
        found, levers = torch_optimizer_of(optimizer), self._loop.levers
        if found is levers.optimizer.torch:
            return
        _take_over(found, self)
        holder = UserOptimizer(found, stepped=self._step, stepping=self._follow_owner)
        self._checkpoints = Checkpoints(holder, self._divided[0], self._loaded)
        if levers.optimizer.torch is None:
            self._begin_with(holder, [p for group in found.param_groups for p in group["params"]])
        else:  # a trainer has made another; what was edited and frozen stays
            levers.optimizer = holder
            holder.register(levers.groups)
        self._loop.levers.hold_what_trains()
        self.events = self.events.head()  # another list: a cockpit looks at everything anew

    def _begin_with(self, holder: Any, held: list[Parameter] | None) -> None:
        parts = divide(*self._divided, held)
        holder.register({name: list(part.own) for name, part in parts.items()})
        self._loop = Loop(GuestLevers(self._divided[0], parts, holder), *self._options)
        self._loop.time.begin(self._loop)
        self.began = self._loop.state()

    # -- to steer ------------------------------------------------------------------------------

    def send(self, command: Command, id: str | None = None) -> None:
        """Apply `command` after the present step. What is wrong in itself raises CommandError now; what
        only the loop can tell comes back as a `Refused` event. Any thread may call this."""
        self._check(command)
        if not self._inbox.put(Envelope(command, id)):
            raise self._too_late(command)

    def at(self, step: int, command: Command) -> None:
        """Apply `command` when `step` optimizer steps are done."""
        self._check(command)
        whole_number(step, "A step to come", CommandError, self.step)
        if not self._inbox.plan(step, Envelope(command)):
            raise self._too_late(command)

    def _check(self, command: object) -> None:
        """CommandError for what is wrong in itself, or what no such loop can do."""
        if isinstance(command, Command) and command.kind not in CAN:
            reason = CANNOT.get(command.kind, f"Your loop cannot {type(command).__name__}.")
            raise CommandError(f"{reason} A Session can do it.")
        check_command(command, self._loop.levers, self._inbox.all(), "steering")

    def _too_late(self, command: Command) -> CommandError:
        return CommandError(
            f"The loop is {self.status}, so {type(command).__name__} comes too late; run it again and "
            "it takes commands."
        )

    def log(
        self,
        loss: Tensor | float | None = None,
        *,
        accuracy: Tensor | float | None = None,
        valid_loss: Tensor | float | None = None,
        split: str = "valid",
    ) -> None:
        """Report what the loop measured. loss: of this batch, for the training curve, which shows the
        mean over the batches of a step. accuracy (0 … 1), valid_loss: measured on `split`. CommandError
        for what is not one number."""
        for name, value in (("loss", loss), ("accuracy", accuracy), ("valid_loss", valid_loss)):
            _check_measured(name, value)
        if loss is not None:
            self._losses.append(loss.detach() if isinstance(loss, Tensor) else loss)
        if accuracy is not None or valid_loss is not None:
            if split not in ("train", "valid", "test"):
                raise CommandError(f"No split {split!r}. Splits are: train, valid, test.")
            given = {"accuracy": accuracy, "loss": valid_loss}
            metrics = {name: _number(value) for name, value in given.items() if value is not None}
            self._tell(Evaluated(*now(self._loop), split, metrics))

    def report(self, **measured: Any) -> None:
        """`log` for a trainer's callback, into which nothing may be raised."""
        for name, value in list(measured.items()):
            try:
                _check_measured(name, value)
            except CommandError as error:
                del measured[name]
                if name not in self._said:
                    self._said.add(name)
                    self._tell(Warned(*now(self._loop), f"Not shown: {error}"))
        self.log(**measured)

    def _tell(self, event: Event) -> None:
        """Now, or after the step that no event reports yet."""
        (self._after_step if self._stepped else self.events).append(event)

    def _follow_owner(self) -> None:
        if self._status == "running":
            for text in self._loop.levers.follow_owner():
                self._tell(Warned(*now(self._loop), text))

    def start(self) -> "Steering":
        return self  # the loop begins where it is written

    def release(self) -> None:
        """Let go of model and optimizer: rates are the schedule's again."""
        if self._checkpoints:
            self._checkpoints.release()
        self._loop.levers.optimizer.release()
        self._loop.levers.release()

    # -- for whoever owns the loop -------------------------------------------------------------

    @contextmanager
    def under_way(self) -> Iterator[None]:
        self.begin()
        with self.guarded():
            yield

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """However the loop is left, the run is over then."""
        try:
            yield
        except Exception as error:
            self.fail(error)
            raise
        finally:  # left by break, return, or an exception in the loop's body
            self.turned()
            self.finish("stopped")

    def begin(self, anew: bool = False) -> None:
        """The loop begins, or goes on after its end; a loop that was ended by Stop does not. anew: one
        that is under way was given up (a trainer looks for its batch size)."""
        t = self._loop
        if anew:
            self.finish("stopped")
        if self._status == "running":
            raise SessionError(
                "This loop is under way already; steer another loader for another loop."
            )
        if t.ending == "stopped":
            return
        if not t.tick and not self.events:
            t.time.begin(t)  # weights may have been loaded since
        self._looking.take()
        t.ending = None
        self._since = 0
        self._began = perf_counter()
        self._thread = threading.get_ident()
        _UNDER_WAY.add(self)
        self._inbox.reopen()
        self._status = "running"
        self._follow_owner()

    def turned(self) -> None:
        """A batch is done: report its step, if it made one."""
        self._since += 1
        self._flush()

    def between(self) -> None:
        """Let commands act that are due. Within an accumulated step they wait."""
        if self._status == "running":
            answer(self._inbox, self.model)
        if self._status != "running" or 0 < self._since < PATIENCE:
            return
        self._follow_owner()
        t = self._loop
        for envelope in self._inbox.due(t.step, t.tick):
            steering = isinstance(envelope.command, STEERING)
            if steering and self._watch and t.tick > self._watch[0]:
                self._answer()
            if steering and t.step == self.steps:
                self.events.append(refused(t, envelope, OVER))
                continue
            for event in obey(t, envelope):
                self.events.append(event)
                if isinstance(event, Applied) and steering:
                    self._watch = (t.tick, t.levers.weights())
                elif isinstance(event, Applied) and isinstance(event.command, Rewind):
                    self._watch, self._losses = None, []

    def between_or_paused(self) -> None:
        """Let commands act, and if one of them pauses the loop, wait until another ends that."""
        self.between()
        while self.paused:
            self.wait_for_news()
            self.between()

    def wait_for_news(self) -> None:
        """Sleep until a command comes."""
        self._inbox.wait(self._loop.step, self._loop.tick)

    def finish(self, reason: str) -> None:
        """The loop is over: "done", or "stopped" before its end. A second call does nothing."""
        if self._status != "running":
            return
        t = self._loop
        t.ending = t.ending or (None if reason == "stopped" else reason)
        reason = t.ending or reason
        self._flush()
        if self._watch and t.tick > self._watch[0]:
            self._answer()
        self._watch, t.paused = None, False
        for step, _, envelope in sorted(self._inbox.planned, key=lambda plan: plan[:2]):
            reason = f"The loop ended at step {t.step}, before step {step} came."
            self.events.append(refused(t, envelope, reason))
        self._close("The loop is over; run it again and it takes commands.")
        self.events.append(Finished(*now(self._loop), reason, self._seconds))
        self._status = "finished" if reason == "done" else "stopped"

    def fail(self, error: BaseException) -> None:
        """The loop raised."""
        if self._status != "running":
            return
        line = traceback.format_exception_only(error)[-1].strip()
        self._close("Training has failed; run the loop again.")
        text = "".join(traceback.format_exception(error))
        self.events.append(Failed(*now(self._loop), line, text))
        self._status = "failed"

    def _close(self, reason: str) -> None:
        _UNDER_WAY.discard(self)
        self._looking.leave()
        for left in self._inbox.shut_down():
            self.events.append(refused(self._loop, left, reason))
        self._seconds += perf_counter() - (self._began or perf_counter())

    @property
    def edits(self) -> list[Command]:
        """The commands that made the adapters and heads that there are, in order."""
        return [edit.command for edit in self._loop.levers.edits if edit.command]

    def edit_again(self, commands: Sequence[Command], where: str) -> None:
        """Before a checkpoint is loaded: add the adapters and heads that it was trained with.
        SessionError if the model cannot become what it was."""
        have = self.edits
        if list(commands[: len(have)]) != have:
            raise SessionError(
                f"{where} was saved after {list(commands) or 'no edit'}, and this model has {have} "
                "already: resume with the model as it was before them."
            )
        for command in commands[len(have) :]:
            for event in obey(self._loop, Envelope(command)):
                self.events.append(event)
                if isinstance(event, Refused):
                    raise SessionError(
                        f"{where} was saved after {command!r}, which cannot be repeated here: "
                        f"{event.reason}"
                    )

    # -- what happens --------------------------------------------------------------------------

    def _step(self) -> None:
        """The optimizer took a step. Gradients are still there: whoever zeroes them does so later."""
        if self._status != "running":
            return
        self._flush()
        self._loop.tick += 1
        self._loop.step += 1
        self._stepped, self._since = True, -1  # this batch will be counted when it is done
        if self._weighing.due():
            with self._weighing.spending():
                self._after_step.append(norms(self._loop))

    def _flush(self) -> None:
        """Report the step that was taken last."""
        if not self._stepped or self._status != "running":
            return
        self._stepped = False
        losses, self._losses = [_number(loss) for loss in self._losses], []
        self.tells_loss &= bool(losses)
        loss = sum(losses) / len(losses) if losses else nan
        self.events.append(StepDone(*now(self._loop), loss))
        t = self._loop
        if self._watch and t.tick - self._watch[0] == BITE_STEPS:
            self._answer()
        self.events += self._after_step
        self._after_step = []

    def _answer(self) -> None:
        """Did it bite?"""
        assert self._watch
        self.events.append(moved(self._loop, *self._watch))
        self._watch = None

    def _loaded(self, training: list[str], factors: dict[str, float], lacks: list[str]) -> None:
        """A checkpoint of the optimizer was loaded."""
        if lacks:
            text = (
                f"The checkpoint holds {len(lacks)} parameters that this model lacks, such as "
                f"{lacks[0]}: send AddLoRA or SwapHead as before it was saved, then load it again."
            )
            self._tell(Warned(*now(self._loop), text))
        for command in commands_of(self._loop.levers, training, factors):
            self._inbox.put(Envelope(command))

    # -- to look -------------------------------------------------------------------------------

    def look(self, ask: Callable[[nn.Module], T]) -> T:
        """ask(model), between two batches and in the loop's thread, paused or not; at once if the loop
        is not running. In eval mode, without gradients; modes and random states are restored."""
        return self._looking.look(lambda: self.model, ask)

    @property
    def status(self) -> str:
        """ready, running, paused, finished, stopped, failed."""
        return "paused" if self._status == "running" and self.paused else self._status

    @property
    def model(self) -> nn.Module:
        return self._loop.model

    @property
    def paused(self) -> bool:
        return self._loop.paused

    @property
    def ending(self) -> str | None:
        """Why the loop is to end: "stopped" once a Stop was applied."""
        return self._loop.ending

    @property
    def tick(self) -> int:
        return self._loop.tick

    @property
    def step(self) -> int:
        return self._loop.step

    @property
    def whole(self) -> bool:
        """No batch since the last optimizer step."""
        return self._since == 0

    @property
    def branch(self) -> str:
        return self._loop.branch

    @property
    def groups(self) -> tuple[GroupState, ...]:
        return self._loop.levers.states()

    @property
    def timelines(self) -> tuple[TimelineState, ...]:
        return (TimelineState(self.branch, None, 0, self.step),)

    @property
    def bookmarks(self) -> tuple[Bookmark, ...]:
        return self._loop.time.bookmarks(self.branch)

    @property
    def memory(self) -> dict[str, float]:
        return memory_of(self._loop.device) | {"snapshots": self._loop.time.held_mb}

    def __repr__(self) -> str:
        return f"<Steering {self.status}: step {self.step} of {self.steps or 'an open end'}>"


def _check_measured(name: str, value: Any) -> None:
    """CommandError for what is not one number. A loss is not read, which would make a GPU wait."""
    if value is None:
        return
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex():
            raise CommandError(
                f"{name} is one number, and this tensor is {tuple(value.shape)} {value.dtype}: "
                f"log {name}.mean(), for instance."
            )
    elif isinstance(value, bool) or not isinstance(value, Real):
        raise CommandError(f"{name} is a number or a tensor of one, not {value!r:.40}.")
    if name == "accuracy" and not 0 <= _number(value) <= 1:
        raise CommandError(f"accuracy goes from 0 to 1, and this one is {_number(value):g}.")


def _number(value: Any) -> float:
    return nan if value is None else float(value.detach() if isinstance(value, Tensor) else value)


_UNDER_WAY: WeakSet[Steering] = WeakSet()


def paused_here() -> bool:
    """Whether a loop that is under way waits for a hand."""
    return any(steering.status == "paused" for steering in list(_UNDER_WAY))


_BY_OPTIMIZER: WeakKeyDictionary[torch.optim.Optimizer, "ref[Steering]"] = WeakKeyDictionary()


def _take_over(optimizer: torch.optim.Optimizer, steering: Steering) -> None:
    """Whoever steered it before lets go of it: a cell was run again."""
    if (before := _BY_OPTIMIZER.get(optimizer)) and (old := before()):
        old.release()
    _BY_OPTIMIZER[optimizer] = ref(steering)


def fail_here(error: BaseException) -> None:
    """The loops of this thread have ended by an exception, and nobody has told them."""
    for steering in list(_UNDER_WAY):
        if steering._thread == threading.get_ident():
            steering.fail(error)


def _refuse_several_processes() -> None:
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if several and torch.distributed.get_world_size() > 1:
        raise SessionError(
            "A loop of your own is steered in one process: in several, a layer that is unfrozen live "
            "would not be averaged between them. A Session can be steered under accelerate launch."
        )
