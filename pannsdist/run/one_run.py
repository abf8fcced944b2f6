"""One run, from settings to folder: the script, the command and `pannsdist.train` all go this way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist import settings
from pannsdist.runtime import console, launcher, paddle_import, signals

if TYPE_CHECKING:
    from pannsdist.run.planning.plan import Plan

StopRequests = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""A context that yields a function which tells whether the run is to stop."""


def checked(
    config: Path | Mapping[str, Any],
    overrides: Sequence[str],
    processes: int,
    source: str = "",
    downloads: bool = True,
) -> Plan:
    """The plan of a run in so many processes. Raises UserError where it cannot work; writes nothing.

    `downloads`: see `decide`; a dry run has none. `config` and `source`, the name of the overrides in messages: see
    `settings.load`.
    """
    chosen, origin = settings.load(config, overrides, source or settings.COMMAND_LINE)
    paddle_import.import_paddle()
    from pannsdist.registry import Catalog
    from pannsdist.run.planning.decide import decide
    from pannsdist.run.same_run import refuse_folder

    plan = decide(chosen, origin, Catalog.installed(), processes, downloads)
    if launcher.nodes() == 1:  # of several nodes one has the folder, and refuses it after they are connected
        refuse_folder(plan.settings, plan.data.labels)
    return plan


def carry_out(plan: Plan, dry_run: bool = False, stop_requests: StopRequests = signals.stop_on_signals) -> None:
    """Print the plan, then train, or for a dry run check what training would find. All processes must call this."""
    from pannsdist.run import learner_building
    from pannsdist.run.planning.plan_table import plan_table
    from pannsdist.run.same_run import check_same_run, run_path
    from pannsdist.runtime.folder_lock import refuse_held

    if dry_run:
        refuse_held(run_path(plan.settings))  # a run finds that out on rank 0, when it locks the folder
    if launcher.rank() == 0:  # it reads headers of sound files
        console.print_main(plan_table(plan))
    if dry_run:
        check_same_run(run_path(plan.settings), plan)
        learner_building.rehearse(plan)
    else:
        fit(plan, stop_requests)


def fit(plan: Plan, stop_requests: StopRequests) -> None:
    """Build the parts, resume from this run's folder, train, and write the best model there.

    All processes must call this. Raises Stopped once `stop_requests` says so, with the run saved at a step that all
    processes agree on.
    """
    from pannsdist.audio.loader import Loader
    from pannsdist.distributed import fleet
    from pannsdist.run import building, history, learner_building
    from pannsdist.run.folder import opened_run
    from pannsdist.run.same_run import refuse_different_kernels
    from pannsdist.run.testing import FinishedRun, evaluate_once, summary_line

    chosen = plan.settings.distributed
    world = fleet.connect(options=fleet.WorldOptions(chosen.hang_timeout_s, chosen.comm_buffer_mb))
    with closing(world), closing(Loader(plan.workers).start()) as loader, ExitStack() as stack:
        is_stop_requested = stack.enter_context(stop_requests())
        refuse_different_kernels(world, plan.kernels)
        world.mark("opening the run folder")
        folder, snapshot = world.agree(lambda: stack.enter_context(opened_run(plan)) if world.is_main else (None, None))
        world.mark("building the network")
        network = world.agree(lambda: building.build_network(plan))
        world.mark("loading the weights")
        console.print_main(world.on_main(lambda: building.load_pretrained(plan, network, snapshot)))
        world.mark("building the learner")
        parts = building.build_parts(plan, world, network, loader)
        for remark in learner_building.remarks(plan, world):
            console.print_main(remark)
        world.mark("restoring the checkpoint")
        progress = parts.trainer.restore(snapshot)
        stack.enter_context(parts.entered())
        world.mark("opening the trackers")
        with building.opened_results(plan, world, network, folder, progress) as (sinks, trackers):
            progress = parts.trainer.fit(progress, parts.data, parts.split, sinks, is_stop_requested)
            run = FinishedRun(world, network, progress, folder, trackers)
            if plan.lengths.run.has_finished(progress):
                evaluate_once(run, plan.data, parts.evaluator, parts.test, is_stop_requested)
                world.on_main(lambda: history.set_finished(folder.path) if folder else None)
        if folder:
            console.print_main(folder.summary(progress, trackers, plan.frames is not None, summary_line(run)))
