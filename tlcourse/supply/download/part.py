"""An unfinished download: `NAME.part`, and beside it `NAME.json` with its URL and version.

The body is written unbuffered, so the file is a true prefix of what arrived, however the process
ends. The note is written before the first byte.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from io import RawIOBase
from pathlib import Path

from tlcourse.files import write_atomically
from tlcourse.supply.download.judge import Partial


@dataclass(frozen=True, slots=True)
class Part:
    path: Path

    @property
    def note(self) -> Path:
        return self.path.with_suffix(".json")

    def read(self) -> Partial:
        """What an earlier call left; an unreadable note counts as none."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return Partial(0)
        try:
            note = json.loads(self.note.read_text("utf-8"))
            return Partial(size, str(note["url"]), str(note["validator"]), note["done"] is True)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return Partial(size)

    def open(self, offset: int, url: str, validator: str) -> RawIOBase:
        """The file, cut to `offset` bytes and positioned at its end, ready for raw writes."""
        self._write(Partial(offset, url, validator))
        file = open(self.path, "r+b" if self.path.exists() else "w+b", buffering=0)
        file.truncate(offset)
        file.seek(offset)
        return file

    def finish(self) -> None:
        """Note that the download is complete."""
        before = self.read()
        self._write(Partial(before.bytes, before.url, before.validator, done=True))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _write(self, partial: Partial) -> None:
        # The card's lock is held (`store.locked`).
        write_atomically(self.note, json.dumps(asdict(partial)), sole_writer=True)


def write_all(file: RawIOBase, block: bytes) -> None:
    """Write every byte: a raw write may take only some (the last ones before a disk is full)."""
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]
