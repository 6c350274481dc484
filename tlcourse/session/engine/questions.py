"""Looking at a model that trains: a question waits until a step is done, and changes nothing.

During a run its training thread holds the model and answers between two steps. Before and after the
run, whoever asks holds it, one at a time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from tlcourse.errors import CommandError, SessionError
from tlcourse.rng import unmoved

from .inbox import Inbox

WAKE_S = 0.05  # how often a waiting thread looks for the run's end and for an interrupt
T = TypeVar("T")


@contextmanager
def quiet(model: nn.Module) -> Iterator[None]:
    """In eval mode, without gradients. Afterwards every module's mode and the global random states
    (Python's, NumPy's, torch's) are what they were."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with unmoved(), torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass(slots=True, eq=False)
class Question:
    """A function to call with the model. after: how many commands were sent before it; over: it has
    returned, or raised."""

    ask: Callable[[nn.Module], Any]
    after: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    value: Any = None
    error: BaseException | None = None

    def answer(self, model: nn.Module) -> None:
        try:
            with quiet(model):
                self.value = self.ask(model)
        except BaseException as error:
            self.error = error
            if not isinstance(error, Exception):  # Ctrl-C in run(): it is meant for the run too
                raise
        finally:
            self.over.set()

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def answer(inbox: Inbox, model: nn.Module) -> None:
    """In the training thread: answer what waits now. Costs nothing while nothing waits."""
    for question in inbox.questions():
        question.answer(model)


class Looking:
    """Who holds the model: the training thread during a run, else whoever asks."""

    def __init__(self, inbox: Inbox):
        self._inbox = inbox
        self._floor = threading.Lock()
        self._holder: int | None = None
        self.expected = False  # a training thread was started and has not taken the model yet

    @contextmanager
    def training(self) -> Iterator[None]:
        self.take()
        try:
            yield
        finally:
            self.leave()

    def take(self) -> None:
        """The run begins in this thread, once a look that is under way has ended."""
        if self._holder == threading.get_ident():
            raise SessionError("A run cannot be trained by what only looks at its model.")
        self._floor.acquire()
        self._holder = threading.get_ident()
        self.expected = False

    def leave(self) -> None:
        """The run has ended. Any thread may call this, once."""
        self._holder = None
        self._floor.release()

    def look(self, model: Callable[[], nn.Module], ask: Callable[[nn.Module], T]) -> T:
        """ask(model()), as soon as nobody trains the model; raises what `ask` raises."""
        if not callable(ask):
            raise CommandError(
                f"look takes a function of the model, such as run.look(lambda model: …), not {ask!r}."
            )
        question = Question(ask)
        if self._holder == threading.get_ident():  # a term, a meter, or a look within a look
            question.answer(model())
            return question.outcome()
        waiting = False
        try:
            while not question.over.is_set():
                if not self.expected and self._floor.acquire(blocking=False):
                    self._holder = threading.get_ident()
                    try:
                        if not waiting or self._inbox.withdraw(question):
                            question.answer(model())
                    finally:
                        self.leave()
                elif not waiting:
                    waiting = True
                    self._inbox.ask(question)
                else:
                    question.over.wait(WAKE_S)
        except BaseException:  # Ctrl-C while it waits
            self._inbox.withdraw(question)
            raise
        return question.outcome()
