"""Randomness as an argument: every random number is a pure function of (seed, purpose, numbers).

Nothing here reads or moves a global generator, so who intervenes, pauses or looks cannot change what
is drawn. The mixer is splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
generators"), which vectorises over a batch.
"""

import zlib

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


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
