"""How a person calls tlcourse here, for sentences that say what to run."""

import os

VARIABLE = "TLCOURSE_COMMAND"  # set by start.py: in a clone, `tlcourse` is not on the PATH


def command(arguments: str = "") -> str:
    """`tlcourse ARGUMENTS`, or as start.py was called: `python start.py ARGUMENTS`."""
    return f"{os.environ.get(VARIABLE, '').strip() or 'tlcourse'} {arguments}".strip()
