"""The `pannsdist` command: thin argparse over the library, one module for each family of sub-commands."""

from pannsdist.cli.command_line import main

__all__ = ["main"]
