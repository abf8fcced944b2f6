"""`pannsdist train`: one run, in as many processes as this machine has room for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from pannsdist import settings
from pannsdist.cli.arguments import from_one, names
from pannsdist.runtime import console, launcher


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    parser = commands.add_parser("train", help="train a model; the same command resumes a stopped run")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML), or recipe:NAME")
    per = "processes (default: one for each GPU, else for each core, as far as they divide a batch equally)"
    parser.add_argument("--nproc", type=from_one, metavar="N", help=per)
    parser.add_argument("--gpus", type=names, default=(), metavar="0,1", help="GPUs to use, one process for each")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, or what is wrong, and exit")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N batches per epoch and per evaluation")
    parser.add_argument("--overfit", type=int, metavar="N", help="train and evaluate on the same N batches")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    """The exit code: 75 if it was stopped and can be resumed."""
    from pannsdist.run import one_run
    from pannsdist.run.launching.devices import choose_devices, this_machine
    from pannsdist.run.launching.one_node import Start, launch, refuse_launcher
    from pannsdist.run.same_run import run_path

    refuse_launcher()
    overrides = [*chosen.overrides, *settings.subset_overrides(chosen.limit, chosen.overfit)]
    wanted, _ = settings.load(chosen.config, overrides)
    devices = choose_devices(this_machine(), wanted.train, chosen.nproc, chosen.gpus)
    os.environ[launcher.COMMAND] = chosen.command_line
    with devices.selected():
        plan = one_run.checked(chosen.config, overrides, devices.processes, downloads=not chosen.dry_run)
        start = Start(chosen.config, overrides, run_path(plan.settings), devices, chosen.command_line)
        console.print_main(start.line)
        if not chosen.dry_run and devices.processes > 1:
            return launch(start)
        one_run.carry_out(plan, chosen.dry_run)
    if chosen.dry_run:
        console.print_main(f"{'command':<10} {start.command}")
    return 0
