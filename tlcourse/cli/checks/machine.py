"""Processor, memory, disks and the right to write on them, mirror, ports, browser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tlcourse.cli.checks.finding import Finding
from tlcourse.course.folder import DEFAULT
from tlcourse.course.headless import hardware
from tlcourse.errors import CourseError
from tlcourse.spoken import command as spoken

ENOUGH_MEMORY = 2_000_000_000  # fine-tuning all of minilm was seen to take 1.5 GB
ENOUGH_NOTES = 50_000_000  # notebooks, records, what Jupyter writes beside
SAMPLE = 1 << 18  # bytes that are written, and removed again, to see whether it can be done


def processor() -> Finding:
    machine = hardware()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine["cores"]
    mine = f"{cores} of {machine['cores']}" if cores != machine["cores"] else f"{cores}"
    return Finding("processor", "processor", f"{machine['processor']}, {mine} cores")


def memory(enough: int = ENOUGH_MEMORY) -> Finding:
    """enough: bytes that the largest lesson of the public tier takes, with something to spare."""
    import psutil

    from tlcourse.memory import memory_free

    free, total = memory_free(), psutil.virtual_memory().total
    seen = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < enough:
        cure = f"the public tier can take {enough / 1e9:.1f} GB; close other programs and kernels"
        return Finding("memory", "memory", seen, cure)
    return Finding("memory", "memory", seen)


def places() -> Iterator[Finding]:
    """The three folders that are written to."""
    from tlcourse import supply

    home = supply.read_settings().home
    cure = "set TLCOURSE_HOME to a folder on a larger disk that you may write"
    yield room("disk", "disk", home, data_needed(home), cure)
    notes, cure = Path(DEFAULT).absolute(), "name another folder: " + spoken("lab FOLDER")
    yield room("notebooks", "notebooks", notes, ENOUGH_NOTES, cure, blocks=True)
    temporary, cure = _temporary(), "make room there, or set TMPDIR to a folder that you may write"
    yield room("temporary", "temporary", temporary, ENOUGH_NOTES, cure, blocks=True)


def room(
    id: str, what: str, folder: Path, needed: int, cure: str, *, blocks: bool = False
) -> Finding:
    """Can `needed` bytes be written in `folder`, or where it would be made? Tried, not just asked."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    seen = f"{free / 1e9:.1f} GB free for {folder}"
    if problem := why_not(there):
        return Finding(id, what, seen, f"{there} {problem}; {cure}", blocks)
    if free < needed:
        lacks = f"about {needed / 1e9:.1f} GB are wanted; make room, or {cure}"
        return Finding(id, what, seen, lacks)
    return Finding(id, what, seen)


def why_not(folder: Path) -> str | None:
    """Why nothing can be written in `folder`: a file is written there, and removed."""
    if not folder.is_dir():
        return "is not a folder"
    try:
        with tempfile.NamedTemporaryFile(prefix=".tlcourse-", dir=folder) as file:
            file.write(os.urandom(SAMPLE))  # not zeros: some disks do not store those
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    return None


def data_needed(home: Path) -> int:
    """Bytes that the public tier's data and weights will still take: twice, as archive and unpacked."""
    from tlcourse import cards, supply
    from tlcourse.course import lessons

    wanted = {name for one in lessons() for name in one.cards.get("public", ())}
    lacking = [name for name in wanted if supply.path(name) is None]
    return 2 * sum(cards.get(name).bytes for name in lacking)


def mirror() -> Finding:
    """A mirror that is set but not there would only show when a lesson fetches."""
    from tlcourse import supply

    settings = supply.read_settings()
    lost = [
        one for one in settings.mirrors if "://" not in one and not Path(one).expanduser().is_dir()
    ]
    seen = ", ".join(settings.mirrors) or "none set: public data come from the web"
    if lost:
        cure = f"no folder {', '.join(lost)}; set TLCOURSE_MIRROR to a folder or an address"
        return Finding("mirror", "mirror", seen, cure)
    if settings.offline and not settings.mirrors:
        seen = "none set, and the web is not asked (TLCOURSE_OFFLINE or HF_HUB_OFFLINE)"
    return Finding("mirror", "mirror", seen)


def port() -> Finding:
    """JupyterLab listens on this machine's own address."""
    from tlcourse.cli.lab import FIRST_PORT, free_port

    try:
        return Finding("port", "port", f"JupyterLab can listen on {free_port(FIRST_PORT)}")
    except CourseError as error:
        return Finding("port", "port", "none is free", str(error), True)


def browser() -> Finding:
    from tlcourse.cli.lab import can_show

    if can_show():
        return Finding("browser", "browser", "found")
    return Finding(
        "browser",
        "browser",
        "No window can be opened here",
        f"copy the address that `{spoken('lab')}` prints into a browser.",
    )


def _temporary() -> Path:
    """The folder for temporary files; where none can be written to, the one that was asked for."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR", "/tmp"))
