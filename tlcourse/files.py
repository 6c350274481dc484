"""Writing a file whole or not at all.

    write_atomically(path, text)          # a text or bytes that is ready
    with replacing(path) as file:         # a file that is written piece by piece
        file.write(…)

A reader, a crash or a full disk meets the old file or the new one, never a part of either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import BinaryIO


def write_atomically(
    path: Path, content: str | bytes, *, sync: bool = False, sole_writer: bool = False
) -> None:
    """Put `content` (text as UTF-8, line ends as they are) in place of whatever is at `path`.

    The options and the errors are those of `replacing`.
    """
    with replacing(path, sync=sync, sole_writer=sole_writer) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, *, sync: bool = False, sole_writer: bool = False) -> Iterator[BinaryIO]:
    """A new binary file that takes the place of `path` when the block ends without an error.

    It is written beside `path`, under a hidden name that no other thread or process uses, with the
    permissions of any new file; after an error it is removed. Missing folders are made.

    sync: its bytes reach the disk before its name does, so that a power failure cannot leave an
    empty file. sole_writer: the caller knows that nobody else writes `path` now (it holds a lock),
    so what a killed process left is removed first. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if sole_writer:
        for left in path.parent.iterdir():
            if left.name.startswith(f".{path.name}.") and left.name.endswith(".part"):
                left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.part")
    try:
        with open(part, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
