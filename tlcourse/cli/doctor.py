"""`tlcourse doctor`: what of the course works on this machine, and what to do about the rest."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from tlcourse.cli.lab import can_show
from tlcourse.course import TIERS, lessons
from tlcourse.course.figures import hardware, versions
from tlcourse.course.spoken import command as command_line
from tlcourse.course.tiers import obstacle
from tlcourse.errors import SupplyError

# name: (versions that do not work well with a live cockpit, what to do)
KNOWN_BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "ipykernel": (
        ("6.",),
        "clicks wait until a running cell ends, even one that awaits; take 7.3 or newer",
    ),
    "jupyterlab": (("1.", "2.", "3."), "the course is made for JupyterLab 4.4 or newer"),
}
ENOUGH_BYTES = 1_000_000_000  # the public tier's data and weights take a few hundred MB unpacked


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was seen, and, if it is in the way, what to do."""

    what: str
    seen: str
    advice: str | None = None
    blocks: bool = False


@click.command()
def command() -> int:
    """Look at this machine: what works, what does not, what to do. Exit 1 if the course cannot run."""
    found = list(examine())
    for one in found:
        mark = "✗" if one.blocks else "!" if one.advice else "✓"
        click.echo(f"{mark} {one.what:<12} {one.seen}" + (f": {one.advice}" if one.advice else ""))
    return 1 if any(one.blocks for one in found) else 0


def examine() -> Iterator[Finding]:
    """Every finding, without importing torch where no GPU driver is."""
    yield Finding("Python", f"{platform.python_version()} in {sys.prefix}")
    machine = hardware()
    yield Finding("machine", f"{machine['processor']}, {machine['cores']} cores")
    yield Finding(
        "GPU", machine["gpu"] or "none, which is fine: the pocket and public tiers need none"
    )
    yield from packages()
    yield disk()
    yield mirror()
    yield browser()
    yield from tiers()


def packages() -> Iterator[Finding]:
    """Is what the lessons import there, and is it a version that works?"""
    for name, version in versions().items():
        if name in ("python", "tlcourse"):
            continue
        if version is None:
            yield Finding(
                name, "missing", "run `python start.py lab`, or pip install tlcourse", True
            )
        else:
            yield Finding(name, version, known_trouble(name, version))


def known_trouble(name: str, version: str) -> str | None:
    """What is known to go wrong with this version, with what to do; None if nothing is."""
    bad, advice = KNOWN_BAD.get(name, ((), ""))
    return advice if version.startswith(bad) else None


def disk() -> Finding:
    from tlcourse import supply

    home = supply.read_settings().home
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    advice = None
    if not os.access(there, os.W_OK):
        advice = f"{there} cannot be written to; set TLCOURSE_HOME to a folder that can"
    elif free < ENOUGH_BYTES:
        advice = "make room, or set TLCOURSE_HOME to a folder on a larger disk"
    return Finding("disk", f"{free / 1e9:.1f} GB free for data in {home}", advice)


def mirror() -> Finding:
    """A mirror that is set but not there would only show when a lesson fetches."""
    from tlcourse import supply

    mirrors = supply.read_settings().mirrors
    lost = [one for one in mirrors if "://" not in one and not Path(one).expanduser().is_dir()]
    advice = f"no folder {', '.join(lost)}; set TLCOURSE_MIRROR to a folder or an address"
    seen = ", ".join(mirrors) or "none set: public data come from the web"
    return Finding("mirror", seen, advice if lost else None)


def browser() -> Finding:
    if can_show():
        return Finding("browser", "found")
    return Finding(
        "browser",
        "No window can be opened here",
        f"copy the address that `{command_line('lab')}` prints into a browser.",
    )


def tiers() -> Iterator[Finding]:
    """Which tiers can run, over all lessons that have them."""
    if importlib.util.find_spec("torch") is None:
        return
    for name in TIERS:
        if taught := [one for one in lessons() if name in one.tiers]:
            try:
                in_the_way = obstacle(name, taught)
            except SupplyError as error:
                in_the_way = str(error)
            yield Finding(
                f"tier {name}", "cannot run" if in_the_way else "can run here", in_the_way
            )
