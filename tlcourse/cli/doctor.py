"""`tlcourse doctor`: what works on this machine, and what to do about the rest.

    tlcourse doctor --json
    {"tlcourse": "0.1.0", "exit_code": 0, "findings": [
      {"id": "python", "what": "Python", "status": "ok", "seen": "3.11.9 in …", "cure": null}, …]}

`id` and `status` are stable; the sentences may change. Ids: python, processor,
memory, package-NAME, torch-pair, kernel, widgets, disk, notebooks, temporary, mirror, port, browser,
torch-import, torchvision-import, gpu, tier-NAME, settings. A status is "ok", "warning" (the course
runs, but not all of it, or not well) or "blocks". torch-pair and torchvision-import are left out if
there is nothing to report.
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
    """Check this machine: what works, what does not, and what to do.

    Exit code 0 if the course can run (with or without warnings), 1 if something blocks it, 2 for a
    wrong option.
    """
    found = []
    for one in examine():
        found.append(one)
        if not as_json:
            _wait("")
            click.echo(one.line())
            if one.id == "browser":
                _wait("checking torch, which takes some seconds …")
    code = 1 if any(one.blocks for one in found) else 0
    if as_json:
        rows = [one.row() for one in found]
        report = {"tlcourse": __version__, "exit_code": code, "findings": rows}
        click.echo(json.dumps(report, indent=1, ensure_ascii=False))
    return code


def examine() -> Iterator[Finding]:
    """Every finding. Meanwhile, another process imports torch."""
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
        except TLCourseError as error:  # an invalid setting
            yield Finding("settings", "settings", "one of them is invalid", str(error), True)
        yield machine.port()
        yield machine.browser()
        driver = torches.ask_driver()
        report = probe.report()
    broken = [*torches.torch(report)]
    yield from broken
    yield torches.gpu(driver, report)
    yield from tiers(report, any(one.blocks for one in broken))


def tiers(report: dict[str, Any], broken: bool) -> Iterator[Finding]:
    """Which tiers can run, over all lessons that have them, and why not."""
    for name in TIERS:
        taught = [one for one in lessons() if name in one.tiers]
        if broken:
            in_the_way = "repair torch first"
        elif name == "gpu" and not report.get("cuda"):
            in_the_way = "torch can use no CUDA device; choose pocket or public"
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
    """On a terminal: show what is being done until the next line."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
