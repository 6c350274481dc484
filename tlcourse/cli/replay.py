"""`tlcourse replay FILE`: does the recorded run happen again, event for event?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlcourse.errors import RecordError
from tlcourse.spoken import command as spoken

if TYPE_CHECKING:
    from tlcourse.session import Record

SHOWN = 20  # a slider can send hundreds of commands


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--script", is_flag=True, help="Print it as a plain PyTorch script instead.")
def command(file: Path, script: bool) -> int:
    """Run the session recorded in FILE again, and say whether it agrees.

    Exit 0 if it agrees, 1 if it differs, 2 if it cannot be run.
    """
    if not file.is_file():
        raise RecordError(
            f"No record {str(file)!r}. `{spoken('run NN')}` writes them to out/NN-TIER/records."
        )
    from tlcourse.session import Record, replay, to_script

    record = Record.load(file)
    if script:
        click.echo(to_script(record), nl=False)
        return 0
    click.echo(summary(record))
    again = replay(record)
    click.echo(again.text)
    return 0 if again.agrees else 1


def summary(record: "Record") -> str:
    """What was trained, and its commands by tick."""
    from tlcourse.schema import printable

    header = record.header
    model, data = ((header.get(what) or {}).get("name", f"a {what}") for what in ("model", "data"))
    steps, seed = (header.get("recipe", {}).get(name, "?") for name in ("steps", "seed"))
    rows = [printable(f"{model} on {data}, {steps} steps, seed {seed}")]
    rows += [f"{tick:>7}  {done!r}" for tick, done in record.commands[:SHOWN]]
    if (more := len(record.commands) - SHOWN) > 0:
        rows.append(f"         and {more} more")
    return "\n".join(rows)
