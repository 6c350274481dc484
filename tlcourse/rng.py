"""Randomness as an argument: every random number is a pure function of (seed, purpose, numbers).

Intervening, pausing or looking cannot change what is drawn: no global generator takes part. Libraries
that know no other generator draw inside `seeded`. The mixer is splitmix64 (Steele, Lea & Flood 2014,
"Fast splittable pseudorandom number generators"), which vectorises over a batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from tlcourse.checks import whole_number
from tlcourse.errors import TLCourseError

if TYPE_CHECKING:
    from torch import Tensor

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def checked_seed(seed: Any, error: type[TLCourseError]) -> int:
    """The seed as a plain int, which JSON can hold.

    >>> checked_seed(np.int64(3), TLCourseError)
    3
    """
    return whole_number(seed, "seed", error, also=" such as 0")


def mix(z: int) -> int:
    """One splitmix64 output. z: any integer, taken modulo 2⁶⁴."""
    z = (z + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def fold_in(seed: int, *parts: int | str) -> int:
    """A new 64-bit key from a seed and what it is for: `fold_in(seed, "order", epoch)`."""
    key = mix(seed)
    for part in parts:
        number = zlib.crc32(part.encode()) | (1 << 40) if isinstance(part, str) else part
        key = mix(key ^ mix(number))
    return key


def uniforms(key: int, samples: np.ndarray, draws: int) -> np.ndarray:
    """Numbers in [0, 1), one row a sample: (B,) integer samples → (B, draws) float64.

    A row depends on (key, sample) alone, not on who else is in the batch.
    """
    with np.errstate(over="ignore"):
        z = samples.astype(np.uint64)[:, None] * np.uint64(0xD1342543DE82EF95) + np.uint64(key)
        z = z + (np.arange(1, draws + 1, dtype=np.uint64) * np.uint64(_GOLDEN))[None, :]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(key: int, n: int) -> np.ndarray:
    """A random order of 0 … n - 1 as (n,) int64, fixed by the key."""
    return np.random.Generator(np.random.Philox(key)).permutation(n)


def initial_seed(seed: int, purpose: str) -> int:
    """An independent seed below 2⁵⁶ for what a new model or module draws. It is another hash than
    `fold_in` so that a model from scratch keeps its weights."""
    return int.from_bytes(sha256(f"{seed} {purpose}".encode()).digest()[:7])


@contextmanager
def seeded(key: int) -> Iterator[None]:
    """Libraries that draw from torch's global generator on the CPU draw by `key` (taken modulo 2⁶³).
    Afterwards the generator is as it was."""
    import torch

    state = torch.get_rng_state()
    torch.default_generator.manual_seed(key & 0x7FFF_FFFF_FFFF_FFFF)
    try:
        yield
    finally:
        torch.set_rng_state(state)


@contextmanager
def unmoved() -> Iterator[None]:
    """Afterwards the global generators of Python, NumPy and torch are as they were."""
    import random

    python, numpy, torches = random.getstate(), np.random.get_state(), torch_states()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        set_torch_states(torches)


def torch_states() -> list[Tensor]:
    """The states of torch's global generators: the CPU's, then each GPU's if they are in use."""
    import torch

    states = [torch.get_rng_state()]
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    return states


def set_torch_states(states: list[Tensor]) -> None:
    import torch

    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])
