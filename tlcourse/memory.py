"""How much memory is free, found without torch: `tlcourse doctor` asks before it trusts torch."""

from __future__ import annotations

from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


def memory_free(group: Path = GROUP) -> int:
    """Bytes that this process may still allocate, within the limit of its container if it has one.

    group: the folder of the process's control group (version 2), as a container sees it.
    """
    import psutil

    free = psutil.virtual_memory().available
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        # Cached files count as used, but are dropped when memory is needed.
        rows = (group / "memory.stat").read_text().splitlines()
        cached = sum(int(row.split()[1]) for row in rows if row.startswith("inactive_file "))
        return free if limit == "max" else max(0, min(free, int(limit) - used + cached))
    except (OSError, ValueError, IndexError):
        return free
