"""`tlcourse …` on a terminal. One module for each subcommand, imported only when it is called."""

from tlcourse.cli.app import main

__all__ = ["main"]
