"""`tlcourse mirror build|serve|check DIR`: the course in a room with no internet, or a bad one."""

from __future__ import annotations

from pathlib import Path

import click

from tlcourse.cli.choice import chosen, options
from tlcourse.cli.fetch import bring_here
from tlcourse.errors import FetchError, IntegrityError
from tlcourse.spoken import command as spoken

DIR = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
PLATFORMS = ("linux", "macos", "windows")  # as supply.mirror.target has them
OLDEST = 11  # the 3.NN that the course begins with, as pyproject.toml says


@click.group("mirror")
def command() -> None:
    """Make, serve and check a folder that stands in for the web.

    It holds the data and models of chosen cards, and the packages that the course is installed
    from. docs/mirrors.md tells a workshop with it from beginning to end.
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
    """Put chosen cards, and the packages to install, into the folder DIR.

    What is fetched goes through your own store first, from TLCOURSE_MIRROR or the web. A mirror
    that is there already is added to; what is in it and right is left alone.
    """
    from tlcourse.supply import read_settings
    from tlcourse.supply.mirror.build import check_folder, earlier_cards, put
    from tlcourse.supply.mirror.index import WHEELS, read_index, write_index
    from tlcourse.supply.mirror.pages import write_pages
    from tlcourse.supply.mirror.pins import pinned_in, put_pins
    from tlcourse.supply.readable import size

    asked = chosen(names, numbers, tier, every)
    targets = () if no_wheels else _targets(pythons, platforms)
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    every_card = {card.name: card for card in [*asked, *earlier_cards(folder)]}
    wanted, packed = [], set()
    for card in every_card.values():
        if card.embedded:
            click.echo(f"{card.name}: embedded, comes with the course")
        elif not no_wheels and _comes_in_a_wheel(card):
            click.echo(f"{card.name}: comes in the package {card.package.name}")
            packed.add(card.name)
        else:
            wanted.append(card)
    folders, failed = bring_here(wanted, read_settings(), say_present=False)
    there = [card for card in wanted if card.name in folders]
    rows = put(folder, there, folders, click.echo) + put_pins(folder, there)
    rows += [row for row in read_index(folder) if row.name in failed]  # what it has, it keeps
    # Never a moment without an index: what was here before stays known until the wheels are in.
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
            f"{', '.join(failed)} could not be fetched, so the mirror is without. "
            f"The same command again goes on where it stopped."
        )
    if pins := pinned_in(rows):
        click.echo(
            f"Pinned on this machine, so the mirror carries their cards: {', '.join(pins)}. Whoever "
            f"uses it takes them once, PLACE being this folder or its address: "
            f"{spoken(_taking(pins, 'PLACE'))}"
        )
    if files:
        click.echo(f"Serve it with: {spoken(f'mirror serve {folder} --host 0.0.0.0')}")
    else:
        click.echo("There is nothing to serve: all of that is in the installation already.")


@command.command("serve")
@DIR
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: the whole network.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0: any that is free.",
)
def serve(folder: Path, host: str, port: int) -> None:
    """Serve the mirror in DIR over HTTP, read-only, until Ctrl-C.

    By default to this machine alone. With --host 0.0.0.0 everybody on the network can read what is
    in DIR, and nothing else; the address that learners type is printed.
    """
    from tlcourse.supply.mirror.index import WHEELS, read_index
    from tlcourse.supply.mirror.pages import install_commands
    from tlcourse.supply.mirror.pins import pinned_in
    from tlcourse.supply.mirror.serve import open_server

    rows = read_index(folder)
    if not rows:
        raise click.UsageError(f"{folder} is no mirror yet: {spoken(f'mirror build {folder} …')}")
    with open_server(folder, host, port) as server:
        click.echo(f"Serving {folder} at {server.url} (Ctrl-C ends it). Learners type:\n")
        install, use = install_commands(server.url)
        pins = pinned_in(rows)
        take = [f"tlcourse {_taking(pins, server.url)}"] if pins else []
        for line in ([install] if any(row.name == WHEELS for row in rows) else []) + take + [use]:
            click.echo(f"    {line}")
        click.echo(f'\n(PowerShell: $env:TLCOURSE_MIRROR = "{server.url}", then tlcourse lab.)')
        if host.startswith("127."):
            click.echo("Only this machine sees it; --host 0.0.0.0 shows it to the network.")
        server.serve_forever()


@command.command("check")
@DIR
def check(folder: Path) -> None:
    """Read the mirror in DIR through: is it whole, and is it what this version needs?"""
    from tlcourse.supply.mirror.check import faults
    from tlcourse.supply.mirror.index import read_index

    found = faults(folder, lambda path: None)
    for fault in found:
        click.echo(f"✗ {fault}")
    files = len({row.path for row in read_index(folder)})
    if found:
        raise IntegrityError(
            f"{len(found)} of {files:,} files of {folder} are wrong. "
            f"{spoken(f'mirror build {folder}')} with the same names brings them again."
        )
    click.echo(f"✓ {folder}: {files:,} files, every byte verified")


def _taking(pins: list[str], place: str) -> str:
    """What takes these pins over from a mirror."""
    return f"cards pin {' '.join(pins)} --from {place}"


def _targets(pythons: tuple[str, ...], platforms: tuple[str, ...]):
    """Every Python on every platform that was named."""
    import re

    from tlcourse.supply.mirror.wheels import Target

    for python in pythons:
        if not re.fullmatch(r"3\.\d+", python):
            raise click.UsageError(f"--python {python}: give it as 3.12.")
        if int(python[2:]) < OLDEST:
            raise click.UsageError(f"--python {python}: tlcourse needs 3.{OLDEST} or newer.")
    return [Target(python, name) for python in pythons or (None,) for name in platforms or (None,)]


def _comes_in_a_wheel(card) -> bool:
    """Whether a package that the course requires has the card's files."""
    from packaging.utils import canonicalize_name

    from tlcourse.supply.mirror.wheels import required

    return card.package is not None and canonicalize_name(card.package.name) in required()


def _newest(rows):
    """The rows of wheels, the last word about each path being the one that holds."""
    return {row.path: row for row in rows}.values()
