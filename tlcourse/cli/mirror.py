"""`tlcourse mirror build|serve|check DIR`: the course for a room with little or no internet."""

from __future__ import annotations

from pathlib import Path

import click

from tlcourse.cli.choice import chosen, options
from tlcourse.cli.fetch import bring_here
from tlcourse.errors import FetchError, IntegrityError
from tlcourse.spoken import command as spoken

DIR = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
PLATFORMS = (
    "linux",
    "macos",
    "windows",
)  # as in supply.mirror.wheels, without importing it for --help
OLDEST = 11  # the oldest Python 3.NN, as in pyproject.toml


@click.group("mirror")
def command() -> None:
    """Make, serve and check a mirror: a folder used in place of the web.

    It holds the data and models of the chosen cards, and the packages that the course is installed
    from. docs/mirrors.md describes a workshop with a mirror, from beginning to end.
    """


@command.command("build")
@DIR
@options
@click.option("--no-wheels", is_flag=True, help="Data and models only, no Python packages.")
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="3.NN",
    help="Packages for this Python instead of the one here; may be repeated.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice(PLATFORMS),
    help="Packages for this platform instead of the one here; may be repeated.",
)
def build(
    folder: Path,
    names: tuple[str, ...],
    numbers: tuple[str, ...],
    tier: str | None,
    every: bool,
    no_wheels: bool,
    pythons: tuple[str, ...],
    platforms: tuple[str, ...],
) -> None:
    """Put the chosen cards, and the packages to install, into the folder DIR.

    Files are fetched into your own store first, from TLCOURSE_MIRROR or the web. An existing mirror
    is added to; files in it that are right are left alone.
    """
    from tlcourse.supply import read_settings
    from tlcourse.supply.mirror.build import check_folder, earlier_cards, put
    from tlcourse.supply.mirror.index import WHEELS, read_index, write_index
    from tlcourse.supply.mirror.pages import write_pages
    from tlcourse.supply.mirror.pins import pinned_in, put_pins
    from tlcourse.supply.readable import size

    named = chosen(names, numbers, tier, every)
    targets = () if no_wheels else _targets(pythons, platforms)
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    every_card = {card.name: card for card in [*named, *earlier_cards(folder)]}
    wanted, packed = [], set()
    for card in every_card.values():
        if card.embedded:
            click.echo(f"{card.name}: embedded, part of the course")
        elif not no_wheels and _comes_in_a_wheel(card):
            click.echo(f"{card.name}: part of the package {card.package.name}")
            packed.add(card.name)
        else:
            wanted.append(card)
    folders, failed = bring_here(wanted, read_settings(), say_present=False)
    fetched = [card for card in wanted if card.name in folders]
    rows = put(folder, fetched, folders, click.echo) + put_pins(folder, fetched)
    rows += [
        row for row in read_index(folder) if row.name in failed
    ]  # keep what the mirror already has
    # Write an index before the wheels too, so that there always is one.
    before = read_index(folder)
    wheels = [row for row in before if row.name == WHEELS]
    write_index(folder, [*rows, *[row for row in before if row.name in packed], *wheels])
    if targets:
        from tlcourse.supply.mirror.wheels import collect

        wheels += collect(folder, targets, click.echo)
        write_index(folder, rows := [*rows, *_newest(wheels)])
    else:
        rows = [*rows, *wheels]
    write_pages(folder, rows)
    files = {row.path: row.bytes for row in rows}
    click.echo(f"{folder}: {len(files):,} files, {size(sum(files.values()))}")
    if failed:
        raise FetchError(
            f"{', '.join(failed)} could not be fetched, so the mirror lacks them. "
            f"Run the same command again to resume."
        )
    if pins := pinned_in(rows):
        click.echo(
            f"Pinned on this machine, so the mirror contains their cards: {', '.join(pins)}. "
            f"Learners take them once (PLACE is this folder or its address): "
            f"{spoken(_taking(pins, 'PLACE'))}"
        )
    if files:
        click.echo(f"Serve it with: {spoken(f'mirror serve {folder} --host 0.0.0.0')}")
    else:
        click.echo("There is nothing to serve: all of it is part of the installation.")


@command.command("serve")
@DIR
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: the whole network.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any free port.",
)
def serve(folder: Path, host: str, port: int) -> None:
    """Serve the mirror in DIR over HTTP, read-only, until Ctrl-C.

    By default only this machine can reach it. With --host 0.0.0.0, everybody on the network can read
    what is in DIR and nothing else. Prints the commands that learners type.
    """
    from tlcourse.supply.mirror.index import WHEELS, read_index
    from tlcourse.supply.mirror.pages import install_commands
    from tlcourse.supply.mirror.pins import pinned_in
    from tlcourse.supply.mirror.serve import open_server

    rows = read_index(folder)
    if not rows:
        raise click.UsageError(
            f"{folder} is not a mirror yet: {spoken(f'mirror build {folder} …')}"
        )
    with open_server(folder, host, port) as server:
        click.echo(f"Serving {folder} at {server.url} (Ctrl-C to stop). Learners type:\n")
        install, use = install_commands(server.url)
        pins = pinned_in(rows)
        take = [f"tlcourse {_taking(pins, server.url)}"] if pins else []
        for line in ([install] if any(row.name == WHEELS for row in rows) else []) + take + [use]:
            click.echo(f"    {line}")
        click.echo(f'\n(PowerShell: $env:TLCOURSE_MIRROR = "{server.url}", then tlcourse lab.)')
        if host.startswith("127."):
            click.echo("Only this machine can reach it; use --host 0.0.0.0 for the network.")
        server.serve_forever()


@command.command("check")
@DIR
def check(folder: Path) -> None:
    """Verify the mirror in DIR: is it whole, and is it what this version needs?"""
    from tlcourse.supply.mirror.check import faults
    from tlcourse.supply.mirror.index import read_index

    found = faults(folder, lambda path: None)
    for fault in found:
        click.echo(f"✗ {fault}")
    files = len({row.path for row in read_index(folder)})
    if found:
        raise IntegrityError(
            f"{len(found)} of {files:,} files of {folder} are wrong. "
            f"{spoken(f'mirror build {folder}')} with the same names replaces them."
        )
    click.echo(f"✓ {folder}: {files:,} files, every byte verified")


def _taking(pins: list[str], place: str) -> str:
    """The command that takes these pins from a mirror."""
    return f"cards pin {' '.join(pins)} --from {place}"


def _targets(pythons: tuple[str, ...], platforms: tuple[str, ...]):
    """Every named Python on every named platform."""
    import re

    from tlcourse.supply.mirror.wheels import Target

    for python in pythons:
        if not re.fullmatch(r"3\.\d+", python):
            raise click.UsageError(f"--python {python}: give it as 3.12.")
        if int(python[2:]) < OLDEST:
            raise click.UsageError(f"--python {python}: tlcourse needs 3.{OLDEST} or newer.")
    return [Target(python, name) for python in pythons or (None,) for name in platforms or (None,)]


def _comes_in_a_wheel(card) -> bool:
    """Whether the card's files are in a package that the course requires."""
    from packaging.utils import canonicalize_name

    from tlcourse.supply.mirror.wheels import required

    return card.package is not None and canonicalize_name(card.package.name) in required()


def _newest(rows):
    """The rows of wheels, the last one for each path."""
    return {row.path: row for row in rows}.values()
