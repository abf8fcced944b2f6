"""The `pannsdist` command: argparse front ends to the library, one module per group of subcommands."""

from __future__ import annotations

from collections.abc import Sequence

from pannsdist.runtime import console

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; see `command_line.main`, which is imported where Ctrl-C is answered already."""
    return console.exit_code(lambda: _imported(arguments))


def _imported(arguments: Sequence[str] | None) -> int:
    from pannsdist.cli import command_line

    return command_line.main(arguments)
