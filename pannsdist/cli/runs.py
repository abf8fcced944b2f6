"""`pannsdist runs`: list, compare and clean run folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from pannsdist.runtime import console
from pannsdist.runtime.errors import UserError

FORMATS = ("table", "json", "csv")


def add(commands: Any) -> None:
    """Add the subcommands to the parser."""
    parser = commands.add_parser("runs", help="list, compare and clean runs")
    family = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = family.add_parser("list", help="list the runs below a folder, with their states and best scores")
    listing.add_argument("folder", type=Path, nargs="?", default=Path("runs"), help="folder (default: runs)")
    listing.add_argument("--format", choices=FORMATS, default="table")
    listing.set_defaults(run=_list)
    comparing = family.add_parser("compare", help="the settings in which runs differ, and their scores side by side")
    comparing.add_argument("folders", type=Path, nargs="+", help="run folders, or folders with runs")
    comparing.add_argument("--format", choices=FORMATS, default="table")
    comparing.set_defaults(run=_compare)
    cleaning = family.add_parser("clean", help="remove older checkpoints of finished runs; shows what, without --yes")
    cleaning.add_argument("folders", type=Path, nargs="+", help="run folders, or folders with runs")
    cleaning.add_argument("--logs", action="store_true", help="also the logs of finished runs and of their trackers")
    cleaning.add_argument("--unfinished", action="store_true", help="also stopped runs, with everything in them")
    cleaning.add_argument("--yes", action="store_true", help="remove it")
    cleaning.set_defaults(run=_clean)


def _list(chosen: argparse.Namespace) -> None:
    from pannsdist.run.listing import find_runs
    from pannsdist.run.run_tables import list_text

    sys.stdout.write(list_text(find_runs(chosen.folder), chosen.format))


def _compare(chosen: argparse.Namespace) -> None:
    from pannsdist.run.listing import chosen_runs
    from pannsdist.run.run_tables import comparison_text, readable

    sys.stdout.write(comparison_text(readable(chosen_runs(chosen.folders)), chosen.format))


def _clean(chosen: argparse.Namespace) -> bool:
    """Whether everything was removed that was named."""
    from pannsdist.run.cleaning import What, removals, remove, size
    from pannsdist.run.listing import chosen_runs

    what = What(chosen.logs, chosen.unfinished)
    found = removals(chosen_runs(chosen.folders), what)
    for removal in found:
        print(removal.line)
    total = size(sum(removal.size_bytes for removal in found))
    if not found:
        print("nothing to remove")
    elif not chosen.yes:
        print(f"{total} would be removed; nothing was: the same command with --yes removes it")
    else:
        return _removed(found, lambda removal: remove(removal, what))
    return True


def _removed(found: list[Any], remove: Any) -> bool:
    from pannsdist.run.cleaning import size

    freed, failures = 0, []
    for removal in found:
        try:
            freed += remove(removal)
        except UserError as error:
            failures.append(error)
    print(f"{size(freed)} removed")
    for failure in failures:
        console.note_main(failure.wrong)
    return not failures
