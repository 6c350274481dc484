"""The entry point of the command line: finds the subcommand's module and prints errors.

A user's error is one sentence on stderr and an exit code; a bug keeps its traceback. `--help`
imports no subcommand's module, and so no torch.
"""

import os
import sys
from collections.abc import MutableMapping, Sequence
from importlib import import_module
from pathlib import Path

import click

from tlcourse.errors import TLCourseError
from tlcourse.spoken import command as spoken

COMMANDS = {  # name: what it does; the module of that name has the click command `command`
    "lab": "Open the course in JupyterLab.",
    "run": "Run lessons without a browser, and keep their measurements.",
    "claims": "Run the lessons and show which of their claims hold on this machine.",
    "progress": "Show your predictions, solved exercises, and the claims you saw hold.",
    "lessons": "List the lessons, and the tiers that can run here.",
    "reset": "Restore a lesson to its original; your version is kept beside it.",
    "fetch": "Fetch data and weights, every byte verified.",
    "mirror": "Make, serve and check a copy of what the course fetches from the web.",
    "cards": "List data and models, with their licences, and whether they are present.",
    "replay": "Run a recorded session again and check that it agrees.",
    "doctor": "Check this machine: what works, what does not, and what to do.",
    "test": "Run the project's tests (in a clone).",
}
MODULES = {"lessons": "overview", "test": "selftest"}  # pytest would collect a module named test


class Lazy(click.Group):
    """A group that imports a subcommand when it is called, not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return import_module(f"tlcourse.cli.{MODULES.get(name, name)}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tlcourse", message="tlcourse %(version)s")
def app() -> None:
    """Learn transfer learning by steering real training runs by hand, in Jupyter."""
    anchor(os.environ)


def anchor(environ: MutableMapping[str, str]) -> None:
    """Make folders in our variables absolute: kernels and servers run in other folders."""
    for name in ("TLCOURSE_MIRROR", "TLCOURSE_HOME"):
        if value := environ.get(name, "").strip():
            parts = [part.strip() for part in value.split(",")]
            environ[name] = ",".join(
                one if "://" in one or not one else str(Path(one).expanduser().absolute())
                for one in parts
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Unexpected exceptions pass through."""
    try:
        code = app.main(arguments, prog_name=spoken(), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except TLCourseError as error:
        print(f"tlcourse: {error}", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:  # click has ended the line with ^C
        print(f"tlcourse: {str(stop) or 'stopped.'}", file=sys.stderr)
        return 130
