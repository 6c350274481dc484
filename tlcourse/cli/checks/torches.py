"""Checks of torch, torchvision and the GPU, made in another process.

A broken torch may raise, crash or hang, and that is what is reported. The process starts before
the other checks, and its report is read after them.
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

from tlcourse.cli.checks import Finding

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
    "torch and torchvision are of different builds: uninstall both, then install them together, from"
    " the same index"
)


@dataclass(frozen=True, slots=True)
class Driver:
    """The GPUs and the driver's version from nvidia-smi, or what is wrong. Empty: no driver."""

    gpus: tuple[str, ...] = ()
    version: str = ""
    trouble: str = ""


class Probe:
    """The other process; it runs from the moment this is made."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROBE],  # -P: import nothing from this folder
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

    def report(self) -> dict[str, Any]:
        """What it reported before it ended or was killed."""
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
            except (ValueError, TypeError):  # printed by a library that was imported
                continue
        code = self.process.returncode
        if code < 0 and not late:
            found["crash"] = f"{signal.Signals(-code).name}"
        elif code and "error" not in found and not late:
            found["error"] = (err.strip().splitlines() or [f"ended with code {code}"])[-1]
        return found | late


def ask_driver(limit_s: float = SMI_LIMIT_S) -> Driver:
    """The NVIDIA driver, if there is one, and whether it answers."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        loaded = Path("/dev/nvidiactl").exists()
        return Driver(trouble="nvidia-smi is missing, but the driver is loaded" if loaded else "")
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
        message = (done.stdout + done.stderr).strip().splitlines() or [f"code {done.returncode}"]
        return Driver(trouble=message[0])
    gpus = tuple(f"{row[0]}, {row[1]}" if len(row) > 1 else row[0] for row in rows)
    return Driver(gpus, rows[0][-1])


def torch(report: dict[str, Any]) -> Iterator[Finding]:
    """Whether torch and torchvision could be imported and used in the other process."""
    again = "install the course's packages again: run `python start.py lab`"
    if "late" in report and "version" not in report:
        cure = f"the disk may be slow or busy: try again; else {again}"
        yield Finding(
            "torch-import", "torch", f"not imported after {report['late']:g} s", cure, True
        )
        return
    if "crash" in report and "version" not in report:
        cure = f"this processor may not support this build, or its files are damaged; {again}"
        yield Finding("torch-import", "torch", f"crashes with {report['crash']}", cure, True)
        return
    if "error" in report or "version" not in report:
        seen = f"cannot be imported ({report.get('error', 'without a message')})"
        yield Finding("torch-import", "torch", seen, again, True)
        return
    build = (
        f"for CUDA {report['built']}"
        if report["built"]
        else "for ROCm"
        if report["hip"]
        else "for CPUs"
    )
    seen = f"works, built {build}, imported in {report['seconds']:.1f} s"
    yield Finding("torch-import", "torch", seen)
    if "vision" in report:
        return
    message = report.get("vision_error") or (
        f"it crashes with {report['crash']}" if "crash" in report else "it hangs"
    )
    mixed = "torchvision::" in message or "undefined symbol" in message or "operator" in message
    seen = f"cannot be used ({message.splitlines()[0]})"
    yield Finding("torchvision-import", "torchvision", seen, TOGETHER if mixed else again, True)


def gpu(driver: Driver, report: dict[str, Any]) -> Finding:
    """The GPU, or the one reason why torch cannot use it."""
    if report.get("cuda"):
        version = f", driver {driver.version}" if driver.version else ""
        return Finding("gpu", "GPU", "; ".join(driver.gpus or report["gpus"]) + version)
    if report.get("mps"):
        return Finding("gpu", "GPU", "Apple's; the course trains on the CPU there")
    if driver.trouble:
        cure = (
            "restart the machine: the driver was updated while it ran"
            if "mismatch" in driver.trouble
            else "install the NVIDIA driver again, or go without: two tiers need no GPU"
        )
        return Finding("gpu", "GPU", driver.trouble, cure)
    if not driver.gpus:
        return Finding("gpu", "GPU", "none, which is fine: the pocket and public tiers need none")
    seen = f"{'; '.join(driver.gpus)}, driver {driver.version}, but torch does not use it"
    if "version" not in report:
        return Finding("gpu", "GPU", seen, "repair torch first")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden in ("", "-1"):
        return Finding("gpu", "GPU", seen, f"CUDA_VISIBLE_DEVICES={hidden!r} hides it; unset that")
    if not report["built"]:
        cure = "this torch is built for CPUs; install a CUDA build, as pytorch.org says"
        return Finding("gpu", "GPU", seen, cure)
    message = next((one for one in report["heard"] if "driver" in one.lower()), "")
    why = f" ({message.splitlines()[0][:120]})" if message else ""
    cure = f"update the driver: this torch is built for CUDA {report['built']}{why}"
    return Finding("gpu", "GPU", seen, cure)
