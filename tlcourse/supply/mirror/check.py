"""Checking a mirror: is it as it was built, and is it what the installed course needs?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tlcourse import cards
from tlcourse.errors import CardError, SupplyError
from tlcourse.spoken import command as spoken
from tlcourse.supply.mirror.build import plan_jobs, why_not
from tlcourse.supply.mirror.index import NAME, WHEELS, Row, read_index
from tlcourse.supply.mirror.pins import pinned_in
from tlcourse.supply.readable import brief
from tlcourse.supply.store import hash_file


def faults(folder: Path, tell: Callable[[str], None]) -> list[str]:
    """What is wrong, one sentence each; empty if nothing is. `tell` is called with each path.

    Every file is hashed. It is also a fault if the installed course needs other bytes for a card (the
    mirror was built by another version). Raises SupplyError if the folder is not a mirror.
    """
    rows = read_index(folder)
    if not rows:
        raise SupplyError(f"{folder} has no {NAME}, or an empty one: it is not a mirror yet.")
    found = []
    for row in {row.path: row for row in rows}.values():
        tell(row.path)
        if why := _why(folder, row):
            found.append(f"{row.path}: {why}")
    broken = {fault.split(": ")[0] for fault in found}
    known = []
    for name in dict.fromkeys(row.name for row in rows if row.name != WHEELS):
        try:
            known.append(cards.get(name))
        except CardError:
            if name in pinned_in(rows):
                taking = spoken(f"cards pin {name} --from {folder}")
                found.append(
                    f"{name}: not pinned on this machine; `{taking}` takes the mirror's pin"
                )
            else:
                found.append(f"{name}: this version of the course has no such card")
    for job in plan_jobs(known):
        if job.path not in broken and (why := why_not(job, folder / job.path)):
            found.append(f"{job.path}: not what this version of the course needs ({why})")
    return found


def _why(folder: Path, row: Row) -> str | None:
    target = folder / row.path
    try:
        if not target.resolve().is_relative_to(folder.resolve()):
            return "a link leads out of the mirror"
        if (size := target.stat().st_size) != row.bytes:
            return f"expected {row.bytes:,} bytes, got {size:,}"
        got = hash_file(target)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if got == row.sha256:
        return None
    return f"expected sha256 {brief(row.sha256)}, got {brief(got)}"
