"""Train a model: settings, plan, parts, run. Start it directly, or in every process of the launcher:

python -m paddle.distributed.launch --nproc_per_node 2 pannsdist/train.py -c configs/tones_cnn6.yaml [key=value ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    if not __package__:  # run by path: make `pannsdist` importable, not its modules by name
        sys.path[0] = str(Path(__file__).resolve().parents[1])
    from pannsdist.runtime import launcher_logs

    launcher_logs.close()
    from pannsdist.runtime import console

    console.delay_sigterm()

from pannsdist import settings
from pannsdist.runtime import console, cpu, exit_codes, launcher, signals, streams

if TYPE_CHECKING:
    from pannsdist.run.planning.plan import Plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Train with the command line's settings. Exit code 2 for invalid settings or data, 75 for a stopped run."""
    return console.exit_code(lambda: _run_command(arguments))


def _run_command(arguments: Sequence[str] | None) -> None:
    parser = streams.ArgumentParser(prog="train.py", description="Fine-tune an audio network.")
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the plan, or an error for invalid settings, and exit",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N batches per epoch and per evaluation")
    parser.add_argument("--overfit", type=int, metavar="N", help="train and evaluate on the same N batches")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that override the file")
    chosen = parser.parse_intermixed_args(arguments)
    cpu.use_fast_kernels()
    console.quiet_paddle()
    overrides = [*chosen.overrides, *settings.subset_overrides(chosen.limit, chosen.overfit)]
    run(chosen.config, overrides, chosen.dry_run)


def run(config: Path, overrides: Sequence[str], dry_run: bool) -> None:
    """Check everything, then train. All processes raise the same UserError."""
    with console.sigterm_delayed():
        plan = checked(config, overrides, launcher.size())
    carry_out(plan, dry_run)


def checked(config: Path, overrides: Sequence[str], processes: int) -> Plan:
    """The plan of a run in so many processes. Raises UserError where it cannot work; writes nothing."""
    from pannsdist.registry import Catalog
    from pannsdist.run.folder import refuse_folder
    from pannsdist.run.planning.decide import decide

    chosen, origin = settings.load(config, overrides)
    plan = decide(chosen, origin, Catalog.installed(), processes)
    if launcher.nodes() == 1:  # of several nodes one has the folder, and refuses it after they are connected
        refuse_folder(plan.settings, plan.data.labels)
    return plan


def carry_out(plan: Plan, dry_run: bool) -> None:
    """Print the plan, then train, or for a dry run check what training would find. All processes must call this."""
    from pannsdist.run import learner_building
    from pannsdist.run.folder import check_same_run, run_path
    from pannsdist.run.planning.plan_table import plan_table
    from pannsdist.runtime.folder_lock import refuse_held

    if dry_run:
        refuse_held(run_path(plan.settings))  # a run finds that out on rank 0, when it locks the folder
    if launcher.rank() == 0:  # it reads headers of sound files
        console.print_main(plan_table(plan))
    if dry_run:
        check_same_run(run_path(plan.settings), plan.settings, plan.data)
        learner_building.rehearse(plan)
    else:
        fit(plan)


def fit(plan: Plan) -> None:
    """Build the parts, resume from this run's folder, train, and write the best model there.

    All processes must call this. Raises Stopped after SIGTERM or SIGINT, once the run is saved at a step that all
    processes agree on.
    """
    from pannsdist.audio.loader import Loader
    from pannsdist.distributed import fleet
    from pannsdist.run import building, history, learner_building
    from pannsdist.run.folder import opened_run
    from pannsdist.run.testing import FinishedRun, evaluate_once, summary_line

    world = fleet.connect()
    with closing(world), closing(Loader(plan.settings.data.workers)) as loader, ExitStack() as stack:
        is_stop_requested = stack.enter_context(signals.stop_on_signals())
        folder, snapshot = world.agree(lambda: stack.enter_context(opened_run(plan)) if world.is_main else (None, None))
        network = world.agree(lambda: building.build_network(plan))
        console.print_main(world.on_main(lambda: building.load_pretrained(plan, network, snapshot)))
        parts = world.agree(lambda: building.build_parts(plan, world, network, loader))
        for remark in learner_building.remarks(plan, world):
            console.print_main(remark)
        progress = parts.trainer.restore(snapshot)
        with building.opened_results(plan, world, network, folder, progress) as (sinks, trackers):
            progress = parts.trainer.fit(progress, parts.data, parts.split, sinks, is_stop_requested)
            run = FinishedRun(world, network, progress, folder, trackers)
            if plan.lengths.run.has_finished(progress):
                evaluate_once(run, plan.data, parts.evaluator, parts.test, is_stop_requested)
                world.on_main(lambda: history.set_finished(folder.path) if folder else None)
        if folder:
            console.print_main("\n".join(filter(None, (folder.summary(progress, trackers), summary_line(run)))))


if __name__ == "__main__":
    exit_code = 1
    try:
        exit_code = main()
    except SystemExit as end:  # argparse
        exit_code = end.code if isinstance(end.code, int) else 1
    finally:
        exit_codes.note(exit_code)
    sys.exit(exit_code)
