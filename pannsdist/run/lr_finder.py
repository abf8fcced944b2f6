"""Learning rate range test on the training clips; writes no files.

L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017 (arXiv 1506.01186).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.runtime import console, launcher, outputs, storage
from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.runtime.figures import score

if TYPE_CHECKING:
    from pannsdist.contracts.batch import Batch
    from pannsdist.run.planning.plan import Plan
    from pannsdist.training.fit_context import TrainingData

LOW, HIGH, STEPS, MIN_STEPS = 1e-7, 1.0, 100, 10
PLOT_SUFFIXES = (".png", ".pdf", ".svg")
SMOOTHING, BLOWN_UP, ROWS = 0.9, 4.0, 15
"""Weight of the old value in the smoothed loss; multiple of the best loss that ends the search; rows of the table."""


@dataclass(frozen=True)
class Search:
    """The learning rates tried, and the smoothed loss at each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float | None:
        """The learning rate at which the smoothed loss falls fastest; None if it does not fall.

        The slope is taken over a tenth of the (log-spaced) steps to each side; the first tenth is ignored, because the
        running mean covers only a few batches there.
        """
        reach = max(1, len(self.losses) // 10)
        middles = range(2 * reach, len(self.losses) - reach)
        falls = {at: self.losses[at + reach] - self.losses[at - reach] for at in middles}
        steepest = min(falls, key=falls.__getitem__, default=None)
        return None if steepest is None or falls[steepest] >= 0 else self.rates[steepest]


def find(
    config: Path, overrides: Sequence[str], steps: int = STEPS, limits: tuple[float, float] = (LOW, HIGH)
) -> Search:
    """Train for `steps` steps at rising learning rates within `limits`, from the initial weights of the run.

    It ends early if the loss is not finite, or four times its best. Raises UserError as `train` does, SettingsError for
    invalid steps or limits, and UserError in more than one process.
    """
    if launcher.size() > 1:
        right = "the result is valid for any number of processes, since batch_size is global"
        raise UserError("find-lr runs in one process", right)
    if not (steps >= MIN_STEPS and 0 < limits[0] < limits[1] < math.inf):
        raise SettingsError(f"--steps must be at least {MIN_STEPS}, and --low above 0 and below --high")
    from pannsdist.audio.batches import Shard
    from pannsdist.audio.loader import Loader
    from pannsdist.run import batch_sources
    from pannsdist.run.planning.decide import decide

    chosen, origin = settings.load(config, overrides)
    plan = decide(chosen, origin, Catalog.installed(), world_size=1)
    loader = Loader(plan.workers)
    try:
        sources = batch_sources.Sources(loader, Shard(0, 1), batch_sources.training_lengths_s(plan, loader))
        return _search(plan, batch_sources.training_data(plan, sources), steps, limits)
    finally:
        loader.close()


def _search(plan: Plan, data: TrainingData, steps: int, limits: tuple[float, float]) -> Search:
    from pannsdist.distributed import fleet
    from pannsdist.run import building, learner_building
    from pannsdist.training.optimization.schedules import RangeTestSchedule

    network = building.build_network(plan)
    for skipped in plan.plugins.skipped:
        console.note_main(f"left out: {skipped}")
    console.print_main(building.load_pretrained(plan, network, None))
    learner = learner_building.build_learner(plan, fleet.connect(), network, RangeTestSchedule(*limits, steps))
    rates: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for step, batch in zip(range(1, steps + 1), _forever(data), strict=False):
        outcome = learner.step(batch, step, len(batch.ids), plan.settings.seed)
        if not outcome.finite:
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * float(outcome.loss) / len(batch.ids)
        rates.append(learner.schedule.rate(step))
        smoothed.append(mean / (1 - SMOOTHING**step))
        if smoothed[-1] > BLOWN_UP * min(smoothed):
            break
    return Search(tuple(rates), tuple(smoothed))


def _forever(data: TrainingData) -> Iterator[Batch]:
    """Batches of consecutive epochs, without empty ones."""
    for epoch in count(1):
        read = 0
        for batch in data.batches(epoch, 0):
            read += len(batch.ids)
            if batch.ids:
                yield batch
        if not read:
            raise UserError(
                "no clip of the training split could be read", "run with data.on_bad_clip=stop to see the errors"
            )


def check_plot(path: Path) -> None:
    """Check `--plot` before anything is computed. Raises UserError."""
    outputs.require_suffix(path, PLOT_SUFFIXES, "--plot")
    outputs.require_file(path, "--plot")


def table(search: Search) -> str:
    """A table of learning rates and losses, and the suggestion."""
    every = max(1, math.ceil(len(search.rates) / ROWS))
    rows = list(zip(search.rates, search.losses, strict=True))[::every]
    lines = ["rate      smoothed loss", *(f"{rate:<9.2e} {score(loss)}" for rate, loss in rows)]
    if search.suggestion is None:
        return "\n".join([*lines, "the loss falls at no learning rate: try other values of --low and --high"])
    return "\n".join(
        [*lines, f"the loss falls fastest at {search.suggestion:.2e}: optimizer.learning_rate={search.suggestion:.1e}"]
    )


def plot(search: Search, path: Path) -> None:
    """Write the curve as an image, in the format of the suffix. Raises CannotWrite."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(search.rates, search.losses)
    if search.suggestion is not None:
        axes.axvline(search.suggestion, linestyle=":", label=f"steepest at {search.suggestion:.1e}")
        axes.legend()
    axes.set(xscale="log", xlabel="learning rate", ylabel="smoothed loss")
    storage.stream_atomic(path, lambda file: figure.savefig(file, format=path.suffix[1:].lower()))
