"""`tlcourse doctor`: what of the course works on this machine, and what to do about the rest.

    tlcourse doctor --json
    {"tlcourse": "0.1.0", "exit_code": 0, "findings": [
      {"id": "python", "what": "Python", "status": "ok", "seen": "3.11.9 in …", "cure": null}, …]}

`id` and `status` are stable; the sentences are for people, and may change. Ids: python, processor,
memory, package-NAME, torch-pair, kernel, widgets, disk, notebooks, temporary, mirror, port, browser,
torch-import, torchvision-import, gpu, tier-NAME, settings. A status is "ok", "warning" (the course
runs, but not all of it, or not well) or "blocks". Findings of which there is nothing to say are left
out (torch-pair, torchvision-import).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from tlcourse import __version__
from tlcourse.cli.checks import Finding, machine, software, torches
from tlcourse.course import TIERS, lessons
from tlcourse.course.tiers import obstacle
from tlcourse.errors import TLCourseError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(as_json: bool) -> int:
    """Look at this machine: what works, what does not, what to do.

    Exit 0 if the course can run (with warnings or without), 1 if something blocks it, 2 for a wrong
    option.
    """
    found = []
    for one in examine():
        found.append(one)
        if not as_json:
            _wait("")
            click.echo(one.line())
            if one.id == "browser":
                _wait("looking at torch, which takes some seconds …")
    code = 1 if any(one.blocks for one in found) else 0
    if as_json:
        rows = [one.row() for one in found]
        told = {"tlcourse": __version__, "exit_code": code, "findings": rows}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    return code


def examine() -> Iterator[Finding]:
    """Every finding. torch is tried in another process, meanwhile."""
    with torches.Probe() as probe:
        yield software.python()
        yield machine.processor()
        yield machine.memory()
        yield from software.libraries()
        folders = software.jupyter_folders()
        yield software.kernel(folders)
        yield software.widgets(folders)
        try:
            yield from machine.places()
            yield machine.mirror()
        except TLCourseError as error:  # a setting that cannot be read
            yield Finding("settings", "settings", "one of them is wrong", str(error), True)
        yield machine.port()
        yield machine.browser()
        driver = torches.ask_driver()
        told = probe.told()
    broken = [*torches.torch(told)]
    yield from broken
    yield torches.gpu(driver, told)
    yield from tiers(told, any(one.blocks for one in broken))


def tiers(told: dict[str, Any], broken: bool) -> Iterator[Finding]:
    """Which tiers can run, over all lessons that have them; and, if not, why not."""
    for name in TIERS:
        taught = [one for one in lessons() if name in one.tiers]
        if broken:
            in_the_way = "mend torch first"
        elif name == "gpu" and not told.get("cuda"):
            in_the_way = "there is no CUDA device that torch can use; choose pocket or public"
        elif not taught:
            continue
        else:
            in_the_way = _obstacle(name, taught)
        seen = "cannot run" if in_the_way else "can run here"
        yield Finding(f"tier-{name}", f"tier {name}", seen, in_the_way)


def _obstacle(name: str, taught: list) -> str | None:
    try:
        return obstacle(name, taught)
    except TLCourseError as error:
        return str(error)


def _wait(text: str) -> None:
    """On a terminal: what is being done, until the next line is there."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
