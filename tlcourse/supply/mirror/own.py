"""tlcourse's own wheel: built in a clone, else packed again from what is installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tlcourse
from tlcourse.errors import SupplyError

ROOT = Path(tlcourse.__file__).parents[1]
OF_INSTALLERS = ("direct_url.json", "uv_cache.json", "uv_build.json")
BUILD = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"


def required() -> set[str]:
    """The canonical names of what tlcourse requires wherever it is installed."""
    texts = importlib.metadata.requires("tlcourse") or []
    plain = [one for one in map(Requirement, texts) if one.marker is None]
    return {canonicalize_name(one.name) for one in plain}


def own_wheel(wheels: Path) -> Path:
    """Put tlcourse's wheel into `wheels`, in place of any that is there; its path."""
    apart = wheels / ".own"
    shutil.rmtree(apart, ignore_errors=True)
    apart.mkdir()
    try:
        wheel = (
            _built(apart) if (ROOT / "pyproject.toml").is_file() else repacked("tlcourse", apart)
        )
        for old in wheels.glob("tlcourse-*.whl"):
            if old.name != wheel.name:
                old.unlink()
        os.replace(wheel, wheels / wheel.name)
    finally:
        shutil.rmtree(apart, ignore_errors=True)
    return wheels / wheel.name


def _built(folder: Path) -> Path:
    if find_spec("hatchling") is None:
        from tlcourse.supply.mirror.wheels import run_pip

        run_pip(["wheel", "--no-deps", "-q", "--wheel-dir", str(folder), str(ROOT)])
    else:
        command = [sys.executable, "-c", BUILD, str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SupplyError(f"tlcourse's own wheel could not be built: {done.stderr[-500:]}")
    (wheel,) = folder.glob("tlcourse-*.whl")
    return wheel


def repacked(name: str, folder: Path) -> Path:
    """The wheel from which a distribution was installed, put together from its installed files.

    Without what an installer adds (scripts are made anew from the entry points). Its path in `folder`.
    """
    found = importlib.metadata.distribution(name)
    info = next(str(file.parent) for file in found.files or () if file.name == "METADATA")
    left_out = {f"{info}/{each}" for each in ("RECORD", "INSTALLER", "REQUESTED", *OF_INSTALLERS)}
    paths = sorted(
        file.as_posix()
        for file in found.files or ()
        if ".." not in file.parts
        and "__pycache__" not in file.parts
        and file.as_posix() not in left_out
    )
    tags = [line[5:] for line in found.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
    parts = (
        ".".join(dict.fromkeys(part)) for part in zip(*(t.split("-") for t in tags), strict=True)
    )
    wheel = folder / f"{info.removesuffix('.dist-info')}-{'-'.join(parts)}.whl"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in paths:
            body = Path(found.locate_file(path)).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
            rows.writerow([path, f"sha256={digest}", len(body)])
            packed.writestr(path, body)
        rows.writerow([f"{info}/RECORD", "", ""])
        packed.writestr(f"{info}/RECORD", record.getvalue())
    return wheel
