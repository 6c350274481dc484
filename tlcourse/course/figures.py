"""The figures of a headless run as JSON: what the notebook measured, where, and with what.

Rich displays (claims, intervals, tables) carry their numbers as output metadata `{"tlcourse": …}`;
nothing is read back out of text.
"""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

PACKAGES = (
    "tlcourse torch torchvision timm transformers peft scikit-learn numpy anywidget ipykernel jupyterlab"
).split()


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
        told = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.splitlines()[0] if told else None
