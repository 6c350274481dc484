"""`tlcourse replay FILE`: does the recorded run happen again, event for event?"""

from pathlib import Path

import click

from tlcourse.errors import RecordError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> int:
    """Run the session recorded in FILE again, and say whether it agrees. Exit 1 if it does not."""
    if not file.is_file():
        raise RecordError(
            f"No record {str(file)!r}. `tlcourse run NN` writes them to out/NN-TIER/records."
        )
    from tlcourse.session import replay

    again = replay(file)
    click.echo(again.text)
    return 0 if again.agrees else 1
