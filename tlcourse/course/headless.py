"""Run a lesson without a browser, and keep what came of it: notebook, records, and figures as JSON.

The figures are what the notebook measured, where, and with which versions. Rich displays (claims,
intervals, tables) carry their numbers as output metadata `{"tlcourse": …}`; no text is parsed.
"""

import json
import os
import platform
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlcourse.course.syllabus import Lesson
from tlcourse.errors import CourseError
from tlcourse.files import write_atomically

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from tlcourse.course.execute import Execution, Progress

PACKAGES = (
    "tlcourse torch torchvision timm transformers peft scikit-learn numpy anywidget ipykernel jupyterlab"
).split()


def run(
    taught: Lesson,
    tier: str,
    folder: Path,
    timeout_s: float,
    *,
    environ: dict[str, str] | None = None,
    progress: "Progress | None" = None,
) -> dict[str, Any]:
    """Execute the lesson in `folder`, write notebook and figures there, and return the figures.

    folder: made if it is missing; CourseError if it cannot be written. timeout_s: for one cell.
    environ: added to the kernel's environment.
    """
    from tlcourse.course.build import notebook, write
    from tlcourse.course.execute import execute, fetch_cards

    fetch_cards(taught, tier)
    try:
        (folder / "records").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"Cannot write {folder}: {error.strerror}. Name another folder with --out."
        ) from error
    began = time.time()
    done = execute(
        notebook(taught, solutions=True),
        folder.resolve(),
        tier,
        cell_timeout_s=timeout_s,
        progress=progress,
        environ=environ,
    )
    write(done.notebook, folder / taught.notebook)
    records = sorted(
        str(path.relative_to(folder))
        for path in (folder / "records").glob("*.jsonl")
        if path.stat().st_mtime >= began - 1  # not those of an earlier run
    )
    figures = report(taught, tier, done, records)
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / f"{taught.number}-figures.json", text)
    return figures


def report(taught: Lesson, tier: str, done: "Execution", records: list[str]) -> dict[str, Any]:
    """What a later reader of the figures needs to know about the run."""
    return {
        "lesson": taught.number,
        "title": taught.title,
        "tier": tier,
        "passed": done.failure is None,
        "failure": done.failure,
        "seconds": round(done.seconds, 3),
        **done.peak,
        "records": records,
        "versions": versions(),
        "hardware": hardware(),
        "figures": collect(done.notebook),
    }


def collect(notebook: "NotebookNode") -> list[dict[str, Any]]:
    """Every figure in the outputs, in order: {"cell": 1-based number, …the metadata}."""
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            if carried := output.get("metadata", {}).get("tlcourse"):
                found.append({"cell": number, **carried})
    return found


def versions() -> dict[str, str | None]:
    """Python's and the libraries' versions; None for one that is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """What the run ran on, found without torch."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": _gpu(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
        return next(row.partition(":")[2].strip() for row in rows if row.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def _gpu() -> str | None:
    if not (tool := shutil.which("nvidia-smi")):
        return None
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return names.splitlines()[0] if names else None
