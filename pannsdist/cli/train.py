"""`pannsdist train`: one run, in as many processes as this machine has room for, or on several machines."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from pannsdist import settings
from pannsdist.cli.arguments import from_one, from_zero, names
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
    _add_nodes(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_run)


def _add_nodes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("several machines: the same command on each of them")
    group.add_argument("--nodes", default="", metavar="N|MIN:MAX", help="how many; with MIN:MAX it goes on with fewer")
    where = "one of them as the others reach it, and a free port there; it writes the run"
    group.add_argument("--master", default="", metavar="HOST:PORT", help=where)
    known = "names or addresses of all nodes, so that a missing one is named"
    group.add_argument("--hosts", default="", metavar="A,B", help=known)
    again = "start again so often after a process or a node was lost (default: 3)"
    group.add_argument("--max-restarts", type=from_zero, default=3, metavar="N", help=again)
    missing = "how long a missing node is waited for (default: 300)"
    group.add_argument("--join-timeout", type=from_one, default=300, metavar="S", help=missing)


def _run_on_nodes(chosen: argparse.Namespace, overrides: list[str]) -> int:
    from pannsdist.run.nodes.start import NodesRequest, train_on_nodes

    request = NodesRequest(
        chosen.config,
        overrides,
        nodes=chosen.nodes,
        master=chosen.master,
        nproc=chosen.nproc,
        gpus=chosen.gpus,
        hosts=chosen.hosts,
        max_restarts=chosen.max_restarts,
        join_timeout_s=chosen.join_timeout,
        command_line=chosen.command_line,
        dry_run=chosen.dry_run,
    )
    return train_on_nodes(request)


def _run(chosen: argparse.Namespace) -> int:
    """The exit code: 75 if it was stopped and can be resumed."""
    from pannsdist.run import one_run
    from pannsdist.run.launching.devices import choose_devices, this_machine
    from pannsdist.run.launching.one_node import Start, launch, refuse_launcher

    overrides = [*chosen.overrides, *settings.subset_overrides(chosen.limit, chosen.overfit)]
    if chosen.nodes or chosen.master:
        return _run_on_nodes(chosen, overrides)
    refuse_launcher()
    wanted, _ = settings.load(chosen.config, overrides)
    devices = choose_devices(this_machine(), wanted.train, chosen.nproc, chosen.gpus)
    os.environ[launcher.COMMAND] = chosen.command_line
    with devices.selected():
        plan = one_run.checked(chosen.config, overrides, devices.processes, downloads=not chosen.dry_run)
        from pannsdist.run.same_run import run_path  # imports Paddle, as `checked` has done

        start = Start(chosen.config, overrides, run_path(plan.settings), devices, chosen.command_line)
        console.print_main(start.line)
        if not chosen.dry_run and devices.processes > 1:
            return launch(start)
        one_run.carry_out(plan, chosen.dry_run)
    if chosen.dry_run:
        console.print_main(f"{'command':<10} {start.command}")
    return 0
