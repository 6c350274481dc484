"""How much memory is free, found without torch."""

from __future__ import annotations

from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


def memory_free(group: Path = GROUP) -> int:
    """Bytes that this process may still take: the machine's, or what its container leaves it.

    group: the control group (version 2) of the process, as a container sees it.
    """
    import psutil

    free = psutil.virtual_memory().available
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        # What of it only caches files is given back when it is needed.
        rows = (group / "memory.stat").read_text().splitlines()
        cached = sum(int(row.split()[1]) for row in rows if row.startswith("inactive_file "))
        return free if limit == "max" else max(0, min(free, int(limit) - used + cached))
    except (OSError, ValueError, IndexError):
        return free
