"""One run in several processes: every rank takes the same steps and applies the same commands.

Rank 0 receives commands, and broadcasts at each step boundary what is due. Gradients are averaged over
the ranks' shares of the batch; BatchNorm's statistics are rank 0's. So at every boundary all ranks hold
the same weights, buffers and optimizer state, bit for bit. Rewinds, branches and twins need no more:
every rank keeps the same moments and takes the same steps again.

Gradients are averaged here, not by wrapping the model, so that what trains can change between steps.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import Parameter

from tlcourse.errors import CommandError, SessionError

from ..commands import from_json
from ..threads.time_budget import TimeBudget
from .inbox import Envelope, Inbox

TIMEOUT_S = 300.0  # a rank that is silent for so long counts as lost
BEAT_S = 5.0  # while paused, rank 0 sends a sign of life this often


def ranks_here() -> "Ranks | None":
    """The processes that this one belongs to; None if it is alone.

    Started by `torchrun` or `accelerate launch`, or with torch.distributed initialised by hand.
    """
    if not dist.is_available():
        return None
    if not dist.is_initialized():
        named = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR"))
        if not named or int(os.environ["WORLD_SIZE"]) < 2:
            return None
        dist.init_process_group(timeout=timedelta(seconds=TIMEOUT_S))
    return Ranks() if dist.get_world_size() > 1 else None


class Ranks:
    """rank: 0 … size - 1; local: which of this machine's."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.local = int(os.environ.get("LOCAL_RANK", self.rank))
        patience = timedelta(seconds=TIMEOUT_S)
        self._words = dist.new_group(backend="gloo", timeout=patience)
        self._sums = dist.new_group(timeout=patience)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def device(self, device: str) -> str:
        """Each rank of a machine has a GPU of its own."""
        if device != "cuda":
            return device
        return f"cuda:{self.local % torch.cuda.device_count()}"

    # -- before the first step -----------------------------------------------------------------

    def agree(self, what: dict[str, Any], samples: int) -> None:
        """CommandError on every rank if they are about to do different things."""
        if samples < self.size:
            raise CommandError(
                f"{samples} training samples cannot be shared by {self.size} processes."
            )
        said: list[Any] = [None] * self.size
        with self._together("to begin"):
            dist.all_gather_object(said, what | {"samples": samples}, group=self._words)
        for rank, other in enumerate(said):
            for name, value in said[0].items():
                if other[name] != value:
                    raise CommandError(
                        f"Every rank must make the same Session: {name} is {other[name]!r} on rank "
                        f"{rank} and {value!r} on rank 0."
                    )

    def copy_from_first(self, model: nn.Module) -> None:
        """Every rank begins with rank 0's weights and buffers."""
        with self._together("to begin"), torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                dense = tensor.detach().contiguous()
                dist.broadcast(dense, 0, group=self._words)
                tensor.copy_(dense)

    # -- in each step --------------------------------------------------------------------------

    @torch.no_grad()
    def average(
        self, parameters: list[Parameter], buffers: Iterable[Tensor], numbers: list[float]
    ) -> list[float]:
        """Give every rank the mean gradient and rank 0's buffers. Returns the means of `numbers`.

        One sum for each dtype. A parameter without a gradient on every rank stays without.
        """
        buffers = list(buffers)
        device = parameters[0].device
        present = [float(p.grad is not None) for p in parameters]
        packed = torch.tensor([*numbers, *present], device=device)
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in parameters if p.grad is not None]
        for dtype in dict.fromkeys(x.dtype for x in (packed, *grads, *buffers)):
            averaged = [x for x in (packed, *grads) if x.dtype == dtype]
            firsts = [x for x in buffers if x.dtype == dtype]
            sent = firsts if self.leads else [torch.zeros_like(x) for x in firsts]
            flat = torch.cat([x.reshape(-1) for x in (*averaged, *sent)])
            with self._together("for their gradients"):
                dist.all_reduce(flat, group=self._sums)
            flat[: sum(x.numel() for x in averaged)] /= self.size
            into = [*averaged, *firsts]
            parts = flat.split([x.numel() for x in into])
            torch._foreach_copy_(into, [s.view(x.shape) for s, x in zip(parts, into, strict=True)])
        means = packed.tolist()
        for p, anybody in zip(parameters, means[len(numbers) :], strict=True):
            if not anybody:
                p.grad = None
        return means[: len(numbers)]

    # -- between two steps ---------------------------------------------------------------------

    def hear(self, numbers: list[int]) -> list[int]:
        """Rank 0's numbers, on every rank."""
        said = torch.tensor(numbers)
        with self._together("between two steps"):
            dist.broadcast(said, 0, group=self._words)
        return said.tolist()

    def hear_words(self, words: bytes, length: int) -> bytes:
        """Rank 0's `length` bytes, on every rank."""
        said = torch.zeros(length, dtype=torch.uint8)
        if self.leads:
            said = torch.frombuffer(bytearray(words), dtype=torch.uint8)
        with self._together("for commands"):
            dist.broadcast(said, 0, group=self._words)
        return said.numpy().tobytes()

    def leave(self) -> None:
        """Training has failed here: disconnect, so that the others do not wait in vain."""
        for group in {self._words, self._sums}:
            try:
                dist.destroy_process_group(group)
            except (RuntimeError, AssertionError, ValueError):  # it is broken already
                pass

    @contextmanager
    def _together(self, doing: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise SessionError(
                f"Rank {self.rank} of {self.size} waited {doing} and another rank does not answer: it "
                f"has failed or ended (its own output says why), or was silent for {TIMEOUT_S:g} s."
            ) from error


@dataclass(slots=True)
class SharedBudget:
    """Rank 0's clock decides for all; its decision travels with the commands."""

    watch: TimeBudget
    said: bool = False

    def due(self) -> bool:
        return self.said

    def spending(self) -> AbstractContextManager[None]:
        return self.watch.spending()


class SharedInbox:
    """What is due for all ranks: rank 0's commands. So a script that sends one on every rank sends it
    once. Everything else is this rank's inbox."""

    def __init__(self, ranks: Ranks, inbox: Inbox):
        self._ranks, self._inbox = ranks, inbox
        self._budgets: list[SharedBudget] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inbox, name)

    def budget(self) -> SharedBudget:
        self._budgets.append(SharedBudget(TimeBudget()))
        return self._budgets[-1]

    def due(self, step: int, tick: int) -> Iterator[Envelope]:
        """One broadcast of a few numbers while nothing is due."""
        mine, words = list(self._inbox.due(step, tick)), b""
        if self._ranks.leads and mine:
            words = json.dumps([[e.command.to_json(), e.id] for e in mine]).encode()
        watches = [int(budget.watch.due()) for budget in self._budgets]
        now, length, *watches = self._ranks.hear([tick, len(words), *watches])
        if now != tick:
            raise SessionError(
                f"Rank {self._ranks.rank} is at tick {tick} and rank 0 at {now}: they lost step. "
                "Every rank must call the same methods of its Session in the same order."
            )
        for budget, said in zip(self._budgets, watches, strict=True):
            budget.said = bool(said)
        if length:
            for command, id in json.loads(self._ranks.hear_words(words, length)):
                yield Envelope(from_json(command), id)

    def wait(self, step: int, tick: int) -> bool:
        if self._inbox.alone:  # a replay: every rank has the same plans
            return self._inbox.wait(step, tick)
        if self._ranks.leads:
            self._inbox.wait(step, tick, min(BEAT_S, TIMEOUT_S / 3))
        return True
