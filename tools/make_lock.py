"""Make `requirements.lock`, or say whether it is in step with `pyproject.toml`.

    python tools/make_lock.py            # resolve again (uv asks the package registry)
    python tools/make_lock.py --upgrade  # … with the newest versions
    python tools/make_lock.py --check    # offline: is every requirement pinned, hashed, and host-free?

The lock is one file for Python 3.11–3.13 on Linux, macOS and Windows (markers decide), holds the
base, every extra and the build backend, and names no registry: pip and uv take whichever
index the machine is set up with, and the hashes say whether the bytes are the right ones.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (  # sys_platform, platform_system, platform_machine, os_name
    ("linux", "Linux", "x86_64", "posix"),
    ("darwin", "Darwin", "arm64", "posix"),
    ("win32", "Windows", "AMD64", "nt"),
)
HEADER = "# Made by tools/make_lock.py from pyproject.toml: base, all extras, build backend.\n"


def environments() -> list[dict[str, str]]:
    """The marker environments that the lock must cover: 3 Pythons × 3 platforms."""
    return [
        {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": platform,
            "platform_system": system,
            "platform_machine": machine,
            "os_name": os_name,
            "extra": "",
        }
        for python, (platform, system, machine, os_name) in product(PYTHONS, PLATFORMS)
    ]


def wanted(pyproject: str) -> list[Requirement]:
    """Every requirement of a clone: base, each extra, build backend."""
    table = tomllib.loads(pyproject)
    project = table["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(r for extra in extras for r in extra)]
    return [Requirement(line) for line in [*lines, *table["build-system"]["requires"]]]


def pins(lock: str) -> list[tuple[Requirement, int]]:
    """The lock's (requirement, number of its hashes), in order."""
    joined = re.sub(r"\\\n\s*", " ", lock)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.split(" --hash")[0]), line.count("--hash=sha256:")) for line in lines]


def faults(pyproject: str, lock: str) -> list[str]:
    """What is wrong with the lock, one sentence each; empty if nothing is."""
    found = [f"line {n} names a place: {line.strip()}" for n, line in _places(lock)]
    if found:
        return found
    pinned = pins(lock)
    found += [f"{pin} has no hash" for pin, hashes in pinned if not hashes]
    for requirement, environment in product(wanted(pyproject), environments()):
        if not _applies(requirement, environment):
            continue
        where = f"on Python {environment['python_version']}, {environment['sys_platform']}"
        same = canonicalize_name(requirement.name)
        versions = [
            str(pin.specifier).removeprefix("==")
            for pin, _ in pinned
            if canonicalize_name(pin.name) == same and _applies(pin, environment)
        ]
        if len(versions) != 1:
            found.append(f"{requirement.name} is pinned {len(versions)} times {where}")
        elif not requirement.specifier.contains(versions[0], prereleases=True):
            found.append(f"{requirement} is pinned to {versions[0]} {where}")
    return found


def _places(lock: str) -> list[tuple[int, str]]:
    rows = enumerate(lock.splitlines(), 1)
    return [(n, row) for n, row in rows if re.search(r"://|--(extra-)?index|--find-links", row)]


def _applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def make(upgrade: bool) -> None:
    """Resolve and write the lock; without `upgrade`, keep every version that still fits."""
    from uv import find_uv_bin

    backend = "\n".join(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    )
    options = "--universal --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet"
    command = [find_uv_bin(), "pip", "compile", "pyproject.toml", "-", "--all-extras"]
    command += ["--python-version", PYTHONS[0], *options.split(), "--output-file", LOCK.name]
    command += ["--upgrade"] if upgrade else []
    subprocess.run(command, cwd=ROOT, input=backend, text=True, check=True)
    LOCK.write_text(HEADER + LOCK.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, only look")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    options = parser.parse_args()
    if not options.check:
        make(options.upgrade)
    found = faults((ROOT / "pyproject.toml").read_text(), LOCK.read_text())
    for fault in found:
        print(f"requirements.lock: {fault}.", file=sys.stderr)
    if found:
        print("Run: python tools/make_lock.py", file=sys.stderr)
        return 1
    print(f"requirements.lock is in step with pyproject.toml: {len(pins(LOCK.read_text()))} pins.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
