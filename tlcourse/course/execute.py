"""Run a notebook without a browser: cell after cell, in a kernel of this very Python.

Where it stops, the outputs so far are kept, with one sentence that says which cell failed and why.
"""

import ast
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlcourse.course.recorded_hands import VARIABLE as HAND
from tlcourse.course.syllabus import Lesson
from tlcourse.course.tiers import VARIABLE as TIER

if TYPE_CHECKING:
    from nbformat import NotebookNode

PEAK = "__import__('tlcourse.course.execute', fromlist=['peak_mb']).peak_mb()"
Progress = Callable[[int, int, "NotebookNode", float], None]  # cell, of, cell itself, seconds


@dataclass(frozen=True)
class Execution:
    """A notebook that ran. `failure` is None, or one sentence: the cell, and what went wrong.
    `peak` is the memory that its kernel took at most (`peak_mb`); empty if the kernel died."""

    notebook: "NotebookNode"
    seconds: float
    failure: str | None
    peak: dict[str, float | None] = field(default_factory=dict)


def execute(
    notebook: "NotebookNode",
    folder: Path,
    tier: str,
    *,
    cell_timeout_s: float | None = 1800,
    progress: Progress | None = None,
    environ: dict[str, str] | None = None,
) -> Execution:
    """Run every cell in `folder` as working directory, in this tier, with the recorded hand.

    environ: what the kernel's environment has besides this process's own.
    Ctrl-C ends the kernel and raises KeyboardInterrupt.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    total = len(notebook.cells)
    began: dict[int, float] = {}
    answered: set[int] = set()
    interrupted: list[int] = []

    def start(cell: "NotebookNode", cell_index: int) -> None:
        began[cell_index] = time.perf_counter()

    def listen(notebook: "NotebookNode") -> None:
        # nbclient's own answer to Ctrl-C is to kill the kernel and report it as dead.
        loop, run = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError):  # Windows; not in the main thread
                loop.add_signal_handler(number, lambda: interrupted.append(1) or run.cancel())

    peak: dict[str, float | None] = {}

    async def measure_peak(notebook: "NotebookNode") -> None:
        if not began or max(began) not in answered:
            return  # the kernel is dead, or busy with a cell that takes too long
        with suppress(Exception):  # a figure beside the run, never a reason for it to fail
            reply = await client.kc.execute_interactive(
                "", silent=True, store_history=False, user_expressions={"peak": PEAK}, timeout=30
            )
            answer: Any = reply["content"]["user_expressions"]["peak"]
            peak.update(ast.literal_eval(answer["data"]["text/plain"]))

    def end(cell: "NotebookNode", cell_index: int, **reply: object) -> None:
        answered.add(cell_index)
        if progress:
            progress(cell_index + 1, total, cell, time.perf_counter() - began[cell_index])

    # No folders to look in: only this Python's own kernel, never a "python3" someone installed.
    kernels = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=kernels)
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=cell_timeout_s,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # its warnings are for servers
        resources={"metadata": {"path": str(folder)}},
        on_notebook_start=listen,
        on_cell_execute=start,
        on_cell_executed=end,
        on_notebook_complete=measure_peak,
    )
    failure = None
    started = time.perf_counter()
    try:
        client.execute(env={**os.environ, TIER: tier, HAND: "recorded", **(environ or {})})
    except CellExecutionError as error:
        failure = f"{where(notebook)}: {error.ename}: {error.evalue}"
    except CellTimeoutError:
        failure = f"{_at(notebook, max(began))}: it took longer than {cell_timeout_s:g} s"
    except DeadKernelError:
        failure = f"{_at(notebook, max(began))}: the kernel died (often: out of memory)"
    except RuntimeError as error:  # what nbclient raises before the first cell
        failure = f"the start: the kernel did not come up: {error}"
    except asyncio.CancelledError:
        interrupted.append(1)
    if interrupted:
        raise KeyboardInterrupt
    return Execution(notebook, time.perf_counter() - started, failure, peak)


def peak_mb() -> dict[str, float | None]:
    """The most memory that this process has taken so far: {"memory_mb", "gpu_memory_mb"}, in 10⁶ bytes.

    Runs in the lesson's kernel after the last cell. None where it cannot be known: Windows has no
    such count, and a lesson may have used no GPU.
    """
    return {"memory_mb": _peak_of_process(), "gpu_memory_mb": _peak_of_gpu()}


def _peak_of_process() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6, 1)


def _peak_of_gpu() -> float | None:
    torch = sys.modules.get("torch")  # a lesson that never imported it used no GPU
    if torch is None or not torch.cuda.is_initialized():
        return None
    return round(torch.cuda.max_memory_allocated() / 1e6, 1)


def fetch_cards(taught: Lesson, tier: str) -> None:
    """Fetch what the lesson needs in this tier, so that no cell waits for a download or reports one."""
    from tlcourse import supply

    for name in taught.cards.get(tier, ()):
        supply.fetch(name)


def where(notebook: "NotebookNode") -> str:
    """The first cell that ended in an error, by number and first line."""
    for index, cell in enumerate(notebook.cells):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return _at(notebook, index)
    return "a cell"


def first_line(cell: "NotebookNode", width: int = 60) -> str:
    """What stands first in a cell, short enough for a progress line."""
    line = next((line.strip() for line in cell.source.splitlines() if line.strip()), "(empty)")
    return line if len(line) <= width else line[: width - 1] + "…"


def _at(notebook: "NotebookNode", index: int) -> str:
    return f"cell {index + 1} of {len(notebook.cells)} (`{first_line(notebook.cells[index], 48)}`)"
