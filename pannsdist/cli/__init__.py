"""The `pannsdist` command: argparse front ends to the library, one module per group of subcommands."""

from pannsdist.cli.command_line import main

__all__ = ["main"]
