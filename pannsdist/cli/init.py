"""`pannsdist init`: a settings file for own sounds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.registry import Catalog
from pannsdist.runtime import console
from pannsdist.runtime.errors import shell_command
from pannsdist.runtime.names import shown


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser("init", help="look at own sounds, and write a settings file that suits them")
    what = "folder with one folder of sounds for each class, or a table of the clips (.csv, .tsv, .jsonl)"
    parser.add_argument("--from", dest="sounds", required=True, metavar="FOLDER|CSV", help=what)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write (default: NAME.yaml)")
    parser.add_argument("--weights", default="", metavar="FILE", help="pretrained weights; their network is recognised")
    group = "what is never divided, such as a speaker: a pattern of the names, as '(*)_*', or a column"
    parser.add_argument("--group", default="", metavar="PATTERN|COLUMN", help=group)
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> None:
    from pannsdist.run.launching.devices import this_machine
    from pannsdist.run.proposal.choices import Machine
    from pannsdist.run.proposal.propose import Wish, propose, write

    here = this_machine()
    wish = Wish(chosen.sounds, chosen.output, chosen.weights, chosen.group, chosen.command_line)
    proposal = propose(wish, Machine(here.cores, bool(here.usable_gpus)), Catalog.installed())
    write(proposal)
    for note in proposal.notes:
        console.note_main(note)
    name = shown(proposal.target)
    train, check = (shell_command("pannsdist", *words, "-c", name) for words in (("train",), ("data", "check")))
    print("\n".join([*proposal.findings, f"written    {name}", f"  next: {train}", f"        {check}"]))
