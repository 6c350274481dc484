"""Does torch work, with torchvision, and with the GPU? Found out in another process.

A broken torch can raise, crash or hang: here that is something to report. The process is started
before everything else is looked at, and heard at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlcourse.cli.checks.finding import Finding

LIMIT_S = 120.0  # a first import from a slow disk takes a minute
SMI_LIMIT_S = 10.0
PROBE = """
import json, sys, time, warnings
def tell(**what):
    print(json.dumps(what), flush=True)
began = time.perf_counter()
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    try:
        import torch
        cuda = torch.cuda.is_available()
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if cuda else []
        if cuda:
            (torch.ones(8, device="cuda") * 2).sum().item()
        mps = torch.backends.mps.is_available()
        tell(version=torch.__version__, built=torch.version.cuda, hip=torch.version.hip, cuda=cuda,
             gpus=names, mps=mps, heard=[str(one.message) for one in heard],
             seconds=time.perf_counter() - began)
    except BaseException as error:
        tell(error=f"{type(error).__name__}: {error}")
        sys.exit()
try:
    import torchvision
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    tell(vision=torchvision.__version__)
except BaseException as error:
    tell(vision_error=f"{type(error).__name__}: {error}")
"""
TOGETHER = (
    "torch and torchvision are not of one build: uninstall both, then install them together, from"
    " the same index"
)


@dataclass(frozen=True, slots=True)
class Driver:
    """What nvidia-smi says: the GPUs and the version, or what is wrong. Nothing: no driver."""

    gpus: tuple[str, ...] = ()
    version: str = ""
    trouble: str = ""


class Probe:
    """The other process, from its start on."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROBE],  # -P: not from whatever lies in this folder
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def told(self) -> dict[str, Any]:
        """Everything it could tell before it ended, or was ended."""
        try:
            out, err = self.process.communicate(timeout=self.limit_s)
            late = {}
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            late = {"late": self.limit_s}
        found: dict[str, Any] = {}
        for line in out.splitlines():
            try:
                found |= json.loads(line)
            except (ValueError, TypeError):  # a library that prints when it is imported
                continue
        code = self.process.returncode
        if code < 0 and not late:
            found["crash"] = f"{signal.Signals(-code).name}"
        elif code and "error" not in found and not late:
            found["error"] = (err.strip().splitlines() or [f"ended with code {code}"])[-1]
        return found | late


def ask_driver(limit_s: float = SMI_LIMIT_S) -> Driver:
    """Is there an NVIDIA driver, and does it answer?"""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        there = Path("/dev/nvidiactl").exists()
        return Driver(trouble="nvidia-smi is missing though the driver is there" if there else "")
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, errors="replace", timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return Driver(trouble=f"nvidia-smi does not answer within {limit_s:g} s")
    except OSError as error:
        return Driver(trouble=f"nvidia-smi cannot be run ({error.strerror})")
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line]
    if done.returncode or not rows:
        said = (done.stdout + done.stderr).strip().splitlines() or [f"code {done.returncode}"]
        return Driver(trouble=said[0])
    gpus = tuple(f"{row[0]}, {row[1]}" if len(row) > 1 else row[0] for row in rows)
    return Driver(gpus, rows[0][-1])


def torch(told: dict[str, Any]) -> Iterator[Finding]:
    """What became of torch and torchvision in the other process."""
    again = "install the course's packages again: run `python start.py lab`"
    if "late" in told and "version" not in told:
        cure = f"its disk may be slow or busy, try again; else {again}"
        yield Finding("torch-import", "torch", f"not imported after {told['late']:g} s", cure, True)
        return
    if "crash" in told and "version" not in told:
        cure = f"this processor may lack what it was built for, or its files are damaged; {again}"
        yield Finding("torch-import", "torch", f"crashes with {told['crash']}", cure, True)
        return
    if "error" in told or "version" not in told:
        seen = f"cannot be imported ({told.get('error', 'it says nothing')})"
        yield Finding("torch-import", "torch", seen, again, True)
        return
    build = (
        f"for CUDA {told['built']}" if told["built"] else "for ROCm" if told["hip"] else "for CPUs"
    )
    seen = f"works, built {build}, imported in {told['seconds']:.1f} s"
    yield Finding("torch-import", "torch", seen)
    if "vision" in told:
        return
    said = told.get("vision_error") or (
        f"it crashes with {told['crash']}" if "crash" in told else "it hangs"
    )
    mixed = "torchvision::" in said or "undefined symbol" in said or "operator" in said
    seen = f"cannot be used ({said.splitlines()[0]})"
    yield Finding("torchvision-import", "torchvision", seen, TOGETHER if mixed else again, True)


def gpu(driver: Driver, told: dict[str, Any]) -> Finding:
    """The GPU, or the one thing that keeps torch from it."""
    if told.get("cuda"):
        version = f", driver {driver.version}" if driver.version else ""
        return Finding("gpu", "GPU", "; ".join(driver.gpus or told["gpus"]) + version)
    if told.get("mps"):
        return Finding("gpu", "GPU", "Apple's; the course trains on the CPU there")
    if driver.trouble:
        cure = (
            "restart the machine: the driver was updated under way"
            if "mismatch" in driver.trouble
            else "install the NVIDIA driver again, or do without: two tiers need no GPU"
        )
        return Finding("gpu", "GPU", driver.trouble, cure)
    if not driver.gpus:
        return Finding("gpu", "GPU", "none, which is fine: the pocket and public tiers need none")
    seen = f"{'; '.join(driver.gpus)}, driver {driver.version}, but torch does not use it"
    if "version" not in told:
        return Finding("gpu", "GPU", seen, "mend torch first")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden in ("", "-1"):
        return Finding("gpu", "GPU", seen, f"CUDA_VISIBLE_DEVICES={hidden!r} hides it; unset that")
    if not told["built"]:
        cure = "this torch is built for CPUs; install a CUDA build, as pytorch.org says"
        return Finding("gpu", "GPU", seen, cure)
    said = next((one for one in told["heard"] if "driver" in one.lower()), "")
    why = f" ({said.splitlines()[0][:120]})" if said else ""
    cure = f"update the driver: this torch is built for CUDA {told['built']}{why}"
    return Finding("gpu", "GPU", seen, cure)
