"""Checks of processor, memory, disks and their permissions, mirror, ports and browser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tlcourse.cli.checks import Finding
from tlcourse.course.folder import DEFAULT
from tlcourse.course.headless import hardware
from tlcourse.errors import CourseError
from tlcourse.spoken import command as spoken

ENOUGH_MEMORY = 2_000_000_000  # fine-tuning all of minilm took 1.5 GB
ENOUGH_NOTES = 50_000_000  # notebooks, records, and Jupyter's own files
SAMPLE = 1 << 18  # bytes that are written and removed again, as a test


def processor() -> Finding:
    machine = hardware()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine["cores"]
    available = f"{cores} of {machine['cores']}" if cores != machine["cores"] else f"{cores}"
    return Finding("processor", "processor", f"{machine['processor']}, {available} cores")


def memory(enough: int = ENOUGH_MEMORY) -> Finding:
    """enough: bytes for the largest lesson of the public tier, with a margin."""
    import psutil

    from tlcourse.memory import memory_free

    free, total = memory_free(), psutil.virtual_memory().total
    seen = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    if free < enough:
        cure = f"the public tier can take {enough / 1e9:.1f} GB; close other programs and kernels"
        return Finding("memory", "memory", seen, cure)
    return Finding("memory", "memory", seen)


def places() -> Iterator[Finding]:
    """The three folders that the course writes to."""
    from tlcourse import supply

    home = supply.read_settings().home
    cure = "set TLCOURSE_HOME to a writable folder on a larger disk"
    yield room("disk", "disk", home, data_needed(home), cure)
    notes, cure = Path(DEFAULT).absolute(), "name another folder: " + spoken("lab FOLDER")
    yield room("notebooks", "notebooks", notes, ENOUGH_NOTES, cure, blocks=True)
    temporary, cure = _temporary(), "make room there, or set TMPDIR to a writable folder"
    yield room("temporary", "temporary", temporary, ENOUGH_NOTES, cure, blocks=True)


def room(
    id: str, what: str, folder: Path, needed: int, cure: str, *, blocks: bool = False
) -> Finding:
    """Whether `needed` bytes fit in `folder`, or where it would be made; a test file is written."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    seen = f"{free / 1e9:.1f} GB free for {folder}"
    if problem := why_not(existing):
        return Finding(id, what, seen, f"{existing} {problem}; {cure}", blocks)
    if free < needed:
        cure = f"about {needed / 1e9:.1f} GB are needed; make room, or {cure}"
        return Finding(id, what, seen, cure)
    return Finding(id, what, seen)


def why_not(folder: Path) -> str | None:
    """Why nothing can be written in `folder`, else None. Writes a file there and removes it."""
    if not folder.is_dir():
        return "is not a folder"
    try:
        with tempfile.NamedTemporaryFile(prefix=".tlcourse-", dir=folder) as file:
            file.write(os.urandom(SAMPLE))  # not zeros, which some disks do not store
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    return None


def data_needed(home: Path) -> int:
    """Twice the bytes that the public tier still has to fetch: as archive, and unpacked."""
    from tlcourse import cards, supply
    from tlcourse.course import lessons

    wanted = {name for one in lessons() for name in one.cards.get("public", ())}
    missing = [name for name in wanted if supply.path(name) is None]
    return 2 * sum(cards.get(name).bytes for name in missing)


def mirror() -> Finding:
    """Whether TLCOURSE_MIRROR names folders that exist; else a lesson fails when it fetches."""
    from tlcourse import supply
    from tlcourse.supply.settings import missing_mirrors

    settings = supply.read_settings()
    missing = missing_mirrors(settings)
    seen = ", ".join(settings.mirrors) or "none set: public data are fetched from the web"
    if missing:
        cure = f"no folder {', '.join(missing)}; set TLCOURSE_MIRROR to a folder or an address"
        return Finding("mirror", "mirror", seen, cure)
    if settings.offline and not settings.mirrors:
        seen = "none set, and the web is switched off (TLCOURSE_OFFLINE or HF_HUB_OFFLINE)"
    return Finding("mirror", "mirror", seen)


def port() -> Finding:
    """Whether JupyterLab can listen on this machine's loopback address."""
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
        "no window can be opened here",
        f"copy the address that `{spoken('lab')}` prints into a browser.",
    )


def _temporary() -> Path:
    """The folder for temporary files; if none is writable, the one that TMPDIR names."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR", "/tmp"))
