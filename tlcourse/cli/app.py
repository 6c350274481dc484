"""The command line's door: finds the subcommand's module, and turns errors into sentences.

What a person did wrong is one sentence on stderr and an exit code; a mistake of ours keeps its
traceback. `--help` imports no subcommand's module, and so no torch.
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
    "run": "Run lessons without a browser, and keep what they measured.",
    "claims": "Run the lessons, and say which of their claims hold on this machine.",
    "progress": "Show what you predicted and solved, and which claims you saw hold.",
    "lessons": "List the lessons, and the tiers that can run here.",
    "reset": "Put a lesson back as it was given out; keep yours beside it.",
    "fetch": "Bring data and weights here, every byte verified.",
    "mirror": "Make, serve and check a copy of what the course takes from the web.",
    "cards": "List data and models: what they are, whose, and whether they are here.",
    "replay": "Run a recorded session again, and say whether it agrees.",
    "doctor": "Look at this machine: what works, what does not, what to do.",
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
    """Make folders in our variables absolute: kernels and servers work in other folders than this."""
    for name in ("TLCOURSE_MIRROR", "TLCOURSE_HOME"):
        if given := environ.get(name, "").strip():
            parts = [part.strip() for part in given.split(",")]
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
    except (click.Abort, KeyboardInterrupt) as stop:  # click has ended the line with ^C in it
        print(f"tlcourse: {str(stop) or 'stopped.'}", file=sys.stderr)
        return 130
