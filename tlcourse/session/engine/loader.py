"""Reading samples that are not held in memory, by this process or ahead of time by workers.

A batch is named by its place. The next place is quick, since the workers have read ahead; after a jump
(a rewind) the same workers go to the new place. Who reads changes no bit.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tlcourse.data import Split
from tlcourse.errors import DataError, SessionError

AHEAD = 2  # batches that each worker has ready


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What a worker sends instead of a batch."""

    text: str


class Samples(Dataset):
    """The rows of `x` by their numbers; `ids` name one that cannot be read."""

    def __init__(self, x: Tensor | Sequence[Tensor], ids: Sequence[str]):
        self.x, self.ids = x, ids

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, numbers: list[int]) -> Tensor | Unreadable:
        if isinstance(self.x, Tensor):
            return self.x.index_select(0, torch.tensor(numbers))
        rows: list[Tensor] = []
        for number in numbers:
            try:
                row = self.x[number]
            except Exception as error:
                return self._unreadable(number, f"{type(error).__name__}: {error}")
            if wrong := wrong_row(row, rows[0].shape if rows else None):
                return self._unreadable(number, wrong)
            rows.append(row)
        return torch.stack(rows)

    def _unreadable(self, number: int, why: str) -> Unreadable:
        return Unreadable(f"Sample {self.ids[number]!r} (x[{number}]) cannot be read: {why}")


def wrong_row(row: Any, shape: torch.Size | None = None) -> str | None:
    """What is wrong with one element of a sequence; None if nothing is."""
    if not isinstance(row, Tensor):
        return f"it is a {type(row).__name__}, and must be a (3, H, W) uint8 tensor."
    if row.dtype != torch.uint8 or row.ndim != 3 or row.shape[0] != 3:
        kind = str(row.dtype).removeprefix("torch.")
        return f"it is {tuple(row.shape)} {kind}, and must be a (3, H, W) uint8 tensor."
    if shape is not None and row.shape != shape:
        return f"it is {tuple(row.shape)} where others are {tuple(shape)}; a batch needs one size."
    return None


class Loader:
    """`loader.at(place)` → the rows of that batch.

    numbers: from a place to the numbers of its samples; places: how many there are, or None for no end;
    kept: how many of the last batches are kept, since a twin asks for them again.
    """

    def __init__(
        self,
        samples: Samples,
        numbers: Callable[[int], list[int]],
        *,
        places: int | None = None,
        workers: int = 0,
        kept: int = 1,
        pin: bool = False,
    ):
        self._samples, self._route = samples, Route(numbers, places)
        self._workers, self._kept, self._pin = workers, kept, pin
        self._recent: dict[int, Tensor] = {}
        self._next = 0
        self._loader: DataLoader | None = None
        self._stream: Iterator[Tensor | Unreadable] | None = None

    def at(self, place: int) -> Tensor:
        """DataError, naming the sample, if one of them cannot be read."""
        if place in self._recent:
            return self._recent[place]
        try:
            if self._stream is None or place != self._next:
                self._seek(place)
            read = next(self._stream)
        except (RuntimeError, OSError, EOFError, AttributeError, TypeError) as error:
            self.close()
            raise self._trouble(error) from error
        if isinstance(read, Unreadable):
            self.close()
            raise DataError(read.text)
        self._next = place + 1
        self._recent[place] = read
        while len(self._recent) > self._kept:
            del self._recent[next(iter(self._recent))]
        return read

    def _seek(self, place: int) -> None:
        if self._loader is None:
            self._loader = DataLoader(
                self._samples,
                batch_sampler=self._route,
                num_workers=self._workers,
                collate_fn=as_it_is,
                pin_memory=self._pin,
                prefetch_factor=AHEAD if self._workers else None,
                persistent_workers=self._workers > 0,
                worker_init_fn=leave_with_parent,
                multiprocessing_context=start_method() if self._workers else None,
                # without one of its own, it would draw from the generator that dropout uses
                generator=torch.Generator(),
            )
        self._route.place = place
        self._stream = iter(self._loader)

    def close(self) -> None:
        """End the workers. Asking again starts new ones."""
        self._stream = self._loader = None
        self._recent.clear()

    def _trouble(self, error: BaseException) -> SessionError:
        reason = (
            f"{type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error) else ''}"
        )
        if not self._workers:
            return SessionError(f"The data could not be read: {reason}")
        return SessionError(
            f"The {self._workers} loader workers broke down ({reason}). They are other processes: the "
            "class of your data must stand in a file that can be imported, not in a notebook or in "
            "__main__, and a script must start its work under `if __name__ == '__main__':`. "
            "workers=0 reads without them."
        )


class Route(Sampler):
    """The batches from `place` on."""

    def __init__(self, numbers: Callable[[int], list[int]], places: int | None):
        self.place, self._numbers, self._places = 0, numbers, places

    def __iter__(self) -> Iterator[list[int]]:
        place = self.place
        while self._places is None or place < self._places:
            yield self._numbers(place)
            place += 1


def as_it_is(read: Tensor | Unreadable) -> Tensor | Unreadable:
    return read


def leave_with_parent(worker: int) -> None:
    """End this worker when the process that reads from it is killed. It would not notice by itself: its
    parent is the fork server, which lives as long as its workers."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, name="tlcourse-parent", daemon=True).start()


def start_method() -> Any:
    """Not fork: OpenMP, Jupyter and CUDA have threads too, and a fork copies their locks without the
    threads that would open them. A fork server has none of these, and has imported torch already."""
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class Passes:
    """Whole splits from beginning to end. The workers of the last split stay for the next time: starting
    them costs a quarter of a second."""

    def __init__(self, workers: int):
        self._workers = workers
        self._last: tuple[Split, Loader] | None = None

    def over(self, split: Split, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(x, y) of `size` samples each; the last has what is left."""
        ys = split.y.split(size)
        if isinstance(split.x, Tensor):
            yield from zip(split.x.split(size), ys, strict=True)
            return
        if self._last is None or self._last[0] is not split:
            self.close()
            self._last = split, self._loader(split, size)
        for place, y in enumerate(ys):
            yield self._last[1].at(place), y

    def _loader(self, split: Split, size: int) -> Loader:
        def numbers(place: int) -> list[int]:
            return list(range(place * size, min((place + 1) * size, len(split.y))))

        places = -(-len(split.y) // size)
        samples = Samples(split.x, split.ids)
        return Loader(samples, numbers, places=places, workers=self._workers, kept=0)

    def close(self) -> None:
        if self._last:
            self._last[1].close()
            self._last = None


def holds_pictures(x: Tensor | Sequence[Tensor]) -> bool:
    """(N, 3, H, W), or a sequence of pictures. DataError if its first element is none."""
    if isinstance(x, Tensor):
        return x.ndim == 4
    if len(x) and (wrong := wrong_row(x[0])):
        raise DataError(f"x is a sequence whose first element is no picture: {wrong}")
    return True
