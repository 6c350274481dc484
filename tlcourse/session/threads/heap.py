"""Memory that a training step frees stays with the process until the run ends.

A step frees what the next one allocates again. In a thread of its own, glibc returns such memory to the
system and takes it anew, page by page: 6,000 to 9,000 page faults in a step of a small ResNet, where
the main thread has 4,000, and a few per cent of the step's time. During a run the heaps keep what they
have; when the last run ends, free memory goes back to the system at once.
"""

import ctypes
import os
import platform
from functools import cache

MB = 2**20
TRIM, PAD, MMAP = -1, -2, -3  # <malloc.h>: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD
# A thread's heap consists of pieces of 64 MB; this pad keeps an empty piece from being unmapped.
WHILE_TRAINING = {TRIM: 1024 * MB, PAD: 64 * MB, MMAP: 32 * MB}
# What glibc's own thresholds become once a block of 32 MB has been freed.
AFTERWARDS = {TRIM: 64 * MB, PAD: MB // 8, MMAP: 32 * MB}


def keep() -> None:
    _set(WHILE_TRAINING)


def let_go() -> None:
    if _set(AFTERWARDS):
        _libc().malloc_trim(0)


def _set(thresholds: dict[int, int]) -> bool:
    libc = _libc()
    return libc is not None and all([libc.mallopt(*pair) for pair in thresholds.items()])


@cache
def _libc() -> ctypes.CDLL | None:
    """glibc, unless another allocator is in use or somebody has tuned it already."""
    tuned = any(name.startswith("MALLOC_") for name in os.environ)
    tuned |= "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if tuned or os.environ.get("LD_PRELOAD") or platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    return libc
