"""Doctor tries torch in another process: it is broken there in every way, and so is the GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.installed import by_id, module
from tlcourse.cli import doctor
from tlcourse.cli.checks import torches
from tlcourse.cli.checks.torches import Driver, Probe

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs scripts that can be run")


def told_by(site: Path, torch: str, vision: str = "__version__ = '1'", limit_s: float = 60) -> dict:
    module(site, "torch", torch)
    module(site, "torchvision", vision)
    with Probe(limit_s) as probe:
        return probe.report()


@pytest.mark.parametrize(
    ("code", "words", "cure"),
    [
        (
            "raise OSError('libcudart.so.13: cannot open')",
            "cannot be imported (OSError: libc",
            "start.py",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "crashes with SIGILL",
            "processor",
        ),
        ("import os; os._exit(3)", "cannot be imported (ended with code 3", "start.py"),
        ("import time; time.sleep(60)", "not imported after 1 s", "slow or busy"),
    ],
    ids=["missing library", "crash", "exit", "hang"],
)
@POSIX
def test_a_torch_that_does_not_import_blocks(site, code, words, cure):
    told = told_by(site, code, limit_s=1 if "sleep" in code else 60)
    (found,) = torches.torch(told)
    assert found.id == "torch-import" and found.blocks
    assert words in found.seen and cure in found.cure
    assert torches.gpu(Driver(("H100",), "550"), told).cure == "repair torch first"
    tiers = by_id(doctor.tiers(told, broken=True))
    assert {one.cure for one in tiers.values()} == {"repair torch first"}


WORKS = """
__version__ = "2.15.0"
class version: cuda, hip = None, None
class cuda:
    is_available, device_count = lambda: False, lambda: 0
class backends:
    class mps: is_available = lambda: False
"""


def test_a_torchvision_of_another_build_is_told_by_its_error(site):
    said = "raise RuntimeError('operator torchvision::nms does not exist')"
    torch, vision = torches.torch(told_by(site, WORKS, said))
    assert torch.status == "ok" and "built for CPUs" in torch.seen
    assert vision.blocks and "torchvision::nms does not exist" in vision.seen
    assert vision.cure == torches.TOGETHER


@POSIX
def test_a_torchvision_that_crashes_or_hangs_is_told_from_torch(site):
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    torch, vision = torches.torch(told_by(site, WORKS, crash))
    assert torch.status == "ok" and "crashes with SIGSEGV" in vision.seen and vision.blocks


@pytest.mark.slow
def test_the_real_torch_beside_a_torchvision_of_another_index(site):
    """What such a torchvision does when it is imported, with its compiled half not loaded."""
    module(
        site, "torchvision", "import torch\ntorch.library.register_fake('torchvision::nms')(print)"
    )
    with Probe() as probe:
        torch, vision = torches.torch(probe.report())
    assert torch.status == "ok" and vision.blocks and vision.cure == torches.TOGETHER
    assert "operator torchvision::nms does not exist" in vision.seen


def smi(folder: Path, script: str, monkeypatch) -> None:
    """An nvidia-smi that does what the script does."""
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


NOT_USED = {"version": "2.15.0", "built": "13.2", "cuda": False, "heard": [], "gpus": []}


@POSIX
@pytest.mark.parametrize(
    ("script", "told", "seen", "cure"),
    [
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
         NOT_USED, "version mismatch", "restart the machine"),
        ("exec sleep 60", NOT_USED, "does not answer within 0.3 s", "install the NVIDIA driver again"),
        ("echo 'H100, 81559 MiB, 550.54'", NOT_USED | {"built": None}, "H100, 81559 MiB, driver 550.54",
         "built for CPUs"),
        ("echo 'H100, 81559 MiB, 450.1'",
         NOT_USED | {"heard": ["The NVIDIA driver on your system is too old (found 11000)."]},
         "driver 450.1, but torch does not use it", "torch is built for CUDA 13.2 (The"),
        ("echo 'H100, 81559 MiB, 600.1'",
         NOT_USED | {"cuda": True}, "H100, 81559 MiB, driver 600.1", None),
    ],
    ids=["mismatch", "hang", "cpu build", "old driver", "fine"],
)  # fmt: skip
def test_what_keeps_torch_from_the_gpu_is_named(tmp_path, monkeypatch, script, told, seen, cure):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    smi(tmp_path, script, monkeypatch)
    found = torches.gpu(torches.ask_driver(limit_s=0.3 if "sleep" in script else 10), told)
    assert seen in found.seen and not found.blocks
    assert found.cure is None if cure is None else cure in found.cure


@POSIX
def test_a_gpu_that_is_hidden_is_said_to_be(tmp_path, monkeypatch):
    smi(tmp_path, "echo 'H100, 81559 MiB, 600.1'", monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES='' hides it" in torches.gpu(torches.ask_driver(), NOT_USED).cure


def test_no_gpu_is_fine(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = torches.gpu(Driver(), NOT_USED)
    assert found.status == "ok" and "none, which is fine" in found.seen


def test_a_tier_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setenv("TLCOURSE_HOME", str(tmp_path))
    monkeypatch.delenv("TLCOURSE_MIRROR", raising=False)
    found = by_id(doctor.tiers(NOT_USED, broken=False))
    assert found["tier-pocket"].status == "ok"
    assert (
        "tlcourse fetch" in found["tier-public"].cure and "caltech24" in found["tier-public"].cure
    )
    assert "no CUDA device" in found["tier-gpu"].cure
    assert not any(one.blocks for one in found.values())
