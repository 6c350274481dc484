"""`tlcourse claims`: run the lessons, and say of every claim whether it holds on this machine."""

import json
from pathlib import Path
from typing import Any

import click

from tlcourse.cli.run import TIER, TIMEOUT, run, wanted, where

GO_ON = {"TLCOURSE_CLAIMS": "go on"}  # one refuted sentence must not hide those after it


@click.command()
@click.argument("numbers", nargs=-1)
@TIER
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("out", "claims"),
    show_default=True,
    help="Notebooks, records and figures go there, and claims.json.",
)
@TIMEOUT
def command(numbers: tuple[str, ...], name: str | None, folder: Path, timeout_s: float) -> int:
    """Run lessons (all of them if none is named) and print which of their claims hold here.

    Exit 0 if all hold, 1 if one does not or a lesson could not be run to its end.
    """
    told = []
    for taught, tier in wanted(numbers, not numbers, name):
        click.echo(f"Lesson {taught.number}: {taught.title}. Tier {tier.name} …", err=True)
        place = where(folder, taught, tier.name, several=True)
        run(taught, tier.name, place, timeout_s, GO_ON, quiet=True)
        told.append(json.loads((place / f"{taught.number}-figures.json").read_text("utf-8")))
    (folder / "claims.json").write_text(
        json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    show(told)
    click.echo(f"Everything that was measured: {folder / 'claims.json'}")
    held = all(claim["holds"] for lesson in told for claim in claims_of(lesson))
    return 0 if held and all(lesson["passed"] for lesson in told) else 1


def claims_of(lesson: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims among a lesson's figures, in order, each once."""
    found = {}
    for figure in lesson["figures"]:
        if claim := figure.get("claim"):
            found[claim["id"]] = claim
    return list(found.values())


def show(told: list[dict[str, Any]]) -> None:
    """A table for people: what was claimed, what was measured, what had been asked."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for lesson in told:
        name = f"{lesson['lesson']} · {lesson['title']}"
        title = escape(f"{name}, {lesson['tier']} tier, {lesson['seconds']:.0f} s")
        table = Table(title=title, title_justify="left")
        for column in ("", "claim"):
            table.add_column(column)
        for column in ("measured", "asked"):
            table.add_column(column, justify="right")
        for claim in claims_of(lesson):
            sign = "[green]holds[/green]" if claim["holds"] else "[bold red]fails[/bold red]"
            sentence = escape(f"{claim['id']} {claim['sentence']}")
            table.add_row(sign, sentence, measured(claim), asked(claim))
        console.print(table)
        if lesson["failure"]:
            console.print(f"[bold red]It ended early[/bold red]: {escape(lesson['failure'])}")
    console.print(escape(on(told[0])))


def measured(claim: dict[str, Any]) -> str:
    """The evidence in words: `47.2 points (39.9 … 54.5), n = 3`."""
    from tlcourse.measure.units import written

    evidence, unit = claim["evidence"], claim["unit"]
    if isinstance(evidence, bool):
        return "true" if evidence else "false"
    if not isinstance(evidence, dict):
        return written(evidence, unit)
    low, high = (written(evidence[end], unit).split(" ")[0] for end in ("low", "high"))
    return f"{written(evidence['mean'], unit)} ({low} … {high})"


def asked(claim: dict[str, Any]) -> str:
    """The threshold that was fixed beforehand: `≥ 15 points`."""
    from tlcourse.measure.units import as_threshold

    limits = (("≥", claim["at_least"]), ("≤", claim["at_most"]))
    return ", ".join(f"{s} {as_threshold(v, claim['unit'])}" for s, v in limits if v is not None)


def on(lesson: dict[str, Any]) -> str:
    """Where it was measured: `AMD EPYC, 2 cores, no GPU; Python 3.11.7, torch 2.15.0, …`."""
    machine, versions = lesson["hardware"], lesson["versions"]
    named = ("tlcourse", "torch", "timm", "transformers", "peft")
    libraries = ", ".join(f"{name} {versions[name]}" for name in named if versions.get(name))
    return (
        f"Measured on {machine['processor']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}; "
        f"{machine['system']}, Python {versions['python']}, {libraries}."
    )
