"""Checks of Python, the libraries' versions, the kernel, and the widgets in the front end.

Versions are read from the libraries' metadata; nothing is imported.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path

from tlcourse.cli.checks import Finding

INSTALL = "run `python start.py lab`, or pip install tlcourse"
SHOWN = (
    "torch torchvision timm transformers scikit-learn numpy anywidget ipykernel jupyterlab".split()
)
# name: (prefixes of versions that do not work well with a live cockpit, what to do). Measured with
# ipykernel 6.31, 7.3 and 7.4 (docs/steering.md).
KNOWN_BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "ipykernel": (
        ("6.",),
        "clicks wait until a running cell ends, even one that awaits; install 7.3 or newer",
    ),
    "jupyterlab": (("1.", "2.", "3."), "the course needs JupyterLab 4.4 or newer"),
    "notebook": (("5.", "6."), "the course needs Notebook 7"),
}
WIDGETS = ("@jupyter-widgets/jupyterlab-manager", "anywidget")  # by package: ipywidgets, anywidget


def python() -> Finding:
    """Whether this Python is new enough, and 64-bit."""
    seen = f"{platform.python_version()} in {sys.prefix}"
    wanted = _wanted_python()
    if wanted and not _fits(platform.python_version(), wanted):
        return Finding("python", "Python", seen, f"the course needs Python {wanted}", True)
    if sys.maxsize < 2**32:
        return Finding("python", "Python", seen, "this is 32-bit Python; torch needs 64-bit", True)
    return Finding("python", "Python", seen)


def libraries() -> Iterator[Finding]:
    """Each library that a lesson imports, and any other requirement that is missing or too old."""
    wanted = dict(_requirements("tlcourse"))
    for name in [*SHOWN, *sorted(set(wanted) - set(SHOWN)), "notebook"]:
        found = _version(name)
        if found is None and (name in SHOWN or name in wanted):
            yield Finding(f"package-{name}", name, "missing", INSTALL, True)
        elif found and name in wanted and not _fits(found, wanted[name]):
            cure = f"the course needs {wanted[name]}; {INSTALL}"
            yield Finding(f"package-{name}", name, found, cure, True)
        elif found and (trouble := known_trouble(name, found)):
            yield Finding(f"package-{name}", name, found, trouble)
        elif name in SHOWN:
            yield Finding(f"package-{name}", name, found)
    yield from pair()


def known_trouble(name: str, found: str) -> str | None:
    """What is known to go wrong with this version and what to do; None if nothing is known."""
    bad, cure = KNOWN_BAD.get(name, ((), ""))
    return cure if found.startswith(bad) else None


def pair() -> Iterator[Finding]:
    """torchvision is compiled for one version and build of torch; pip does not always ensure it."""
    torch, vision = _version("torch"), _version("torchvision")
    if not torch or not vision:
        return
    wants = dict(_requirements("torchvision")).get("torch", "")
    builds = [one.partition("+")[2] for one in (torch, vision)]
    wrong = ""
    if wants and not _fits(torch, wants):
        wrong = f"torchvision {vision} is built for torch{wants}, not {torch}"
    elif all(builds) and builds[0] != builds[1]:
        wrong = f"torch {torch} and torchvision {vision} are of different builds"
    if wrong:
        cure = "install both together, from the same index; uninstall both first"
        yield Finding("torch-pair", "torch pair", wrong, cure, True)


def kernel(folders: Sequence[Path]) -> Finding:
    """Whether the kernel python3, as `tlcourse lab` finds it, runs this Python."""
    for folder in folders:
        file = folder / "kernels" / "python3" / "kernel.json"
        try:
            program = json.loads(file.read_text("utf-8"))["argv"][0]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            cure = f"it cannot be read; remove {file.parent}, and {INSTALL}"
            return Finding("kernel", "kernel", str(file), cure, True)
        found = shutil.which(program)
        if found is None:
            cure = f"there is no such program; remove {file.parent}, and {INSTALL}"
            return Finding("kernel", "kernel", f"python3 runs {program}", cure, True)
        if _same(program) or Path(found).resolve() == Path(sys.executable).resolve():
            return Finding("kernel", "kernel", f"python3 runs {sys.executable}")
        cure = f"that is another Python than this one; remove {file.parent}"
        return Finding("kernel", "kernel", f"python3 runs {program}", cure)
    return Finding("kernel", "kernel", "there is no kernel python3", INSTALL, True)


def widgets(folders: Sequence[Path]) -> Finding:
    """Whether JupyterLab finds the parts of the widgets that run in the browser."""
    missing = [
        name
        for name in WIDGETS
        if not any(
            (folder / "labextensions" / name / "package.json").is_file() for folder in folders
        )
    ]
    if not missing:
        return Finding("widgets", "widgets", "their parts for JupyterLab are installed")
    cure = "the cockpit would stay empty; install ipywidgets and anywidget into this environment"
    return Finding("widgets", "widgets", f"JupyterLab lacks {' and '.join(missing)}", cure, True)


def jupyter_folders() -> list[Path]:
    """The folders that Jupyter searches, in order, this environment first, as in `tlcourse lab`."""
    import os

    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    from jupyter_core.paths import jupyter_path

    return [Path(folder) for folder in jupyter_path()]


def _same(program: str) -> bool:
    """ipykernel's kernel names `python`, which Jupyter takes as the Python that it runs in."""
    return program in ("python", "python3", Path(sys.executable).name)


def _wanted_python() -> str | None:
    try:
        return distribution("tlcourse").metadata.get("Requires-Python")
    except PackageNotFoundError:
        return None


def _requirements(name: str) -> Iterable[tuple[str, str]]:
    """(name, versions) of what the installed package requires here, without extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return
    for line in lines:
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield one.name, str(one.specifier)


def _fits(found: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(found, prereleases=True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
