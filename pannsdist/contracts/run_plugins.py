"""Protocols of metric, optimizer, schedule and tracker plugins, and the reports that trackers receive.

Axes: S samples, T frames, F bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from pannsdist.contracts.predictions import ClassScores, Predictions

Made = TypeVar("Made")


class MetricPlugin(Protocol):
    """A score computed from all predictions of a split. Built as `plugin(params)`; selected in `metrics`.

    A metric with `needs_events = True` is computed from `predictions.frames`, which then has at least one clip; it is
    refused for a run without events.
    """

    Params: ClassVar[type]
    higher_is_better: ClassVar[bool]
    """Whether `select.metric` prefers higher scores."""

    def applies(self, multi_label: bool, classes: int) -> bool:
        """Whether the score is defined for such a task; if not, selecting it is an error."""
        ...

    def __call__(self, predictions: Predictions) -> float:
        """Compute the score. Predictions contain each clip of the split once, sorted by id; arrays are read-only.

        Called on rank 0 only, with at least one clip and finite logits: otherwise the score is NaN without a call.
        Return NaN if the score is undefined, for example because a class is missing.
        """
        ...


class OptimizerPlugin(Protocol):
    """An optimizer. Built as `plugin(params)` from `optimizer.params`; selected by `optimizer.name`."""

    Params: ClassVar[type]

    def build(self, parameters: Sequence[paddle.Tensor], learning_rate: float) -> paddle.optimizer.Optimizer:
        """Create the optimizer, equal on all processes; the learning rate is set before each step.

        All state between steps must be in Paddle accumulators created by `_create_accumulators`: these are saved and
        restored with checkpoints. The learning rate factor of a parameter (`optimizer.layer_decay`) is part of the
        result of `_create_param_lr`. The optimizer must not clip gradients: `train.clip_norm` does.
        """
        ...


class SchedulePlugin(Protocol):
    """A learning rate schedule. Built as `plugin(params)` from `schedule.params`; selected by `schedule.name`."""

    Params: ClassVar[type]

    def lr_factor(self, step: int, total_steps: int, epoch_steps: int) -> float:
        """Learning rate factor at a step, 0 or more, relative to `optimizer.learning_rate`. A pure function.

        The linear warmup of `schedule.warmup_epochs` or `.warmup_steps` comes first: `step` counts from 1 after it, and
        `total_steps` is the number of steps after it. An epoch has `epoch_steps`. Some steps are checked before a run.
        """
        ...


@dataclass(frozen=True)
class Pace:
    """Throughput over some steps: clips per second and the fraction of time waiting for data.

    `left_s` is the estimated time to the end of the run, `elapsed_s` the time since its start, or since it resumed.
    """

    clips_per_s: float
    data_wait_fraction: float
    left_s: float
    elapsed_s: float


@dataclass(frozen=True)
class StepReport:
    """Progress of the run, with means over the steps since the last report and over all processes.

    `step` counts from the start of the run, `epoch_step` from the start of the epoch. `learning_rates` are those of the
    last step by parameter group; a single group is called `all`. `gradient_norm` is that of the last step, unclipped.
    """

    epoch: int
    step: int
    epoch_step: int
    epoch_steps: int
    loss: float
    learning_rates: Mapping[str, float]
    pace: Pace
    gradient_norm: float | None = None


@dataclass(frozen=True)
class EpochReport:
    """Result of an epoch after training, evaluation and saving. `scores` by split/metric, including `train/loss`.

    `predictions` are those that the scores were computed from, and `classes` their scores of each class.
    """

    epoch: int
    epochs: int
    step: int
    scores: Mapping[str, float]
    selected: str
    is_best: bool
    seconds: float
    predictions: Predictions | None = None
    classes: Sequence[ClassScores] = ()

    @property
    def split(self) -> str:
        """The split that was evaluated."""
        return self.selected.partition("/")[0]


@dataclass(frozen=True)
class TestReport:
    """Result of the test split, evaluated once, at the end of a run of `step` steps, with the best model, of `epoch`.

    `scores` by `test/metric`. `predictions` are those that the scores were computed from.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    epoch: int
    step: int
    scores: Mapping[str, float]
    predictions: Predictions | None = None
    split: str = "test"


@dataclass(frozen=True)
class ClipFeatures:
    """Network input of a clip: waveform (S,) float32 at `rate_hz`, and its features (T, F)."""

    waveform: np.ndarray = field(repr=False)
    rate_hz: int
    features: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class TrackedRun:
    """A run that starts, or resumes after `from_step`, as trackers see it.

    `folder` is the run folder, which users may publish: never write secrets to it. `hyper_parameters` are scalar values
    by name. `score_names` are the names of the scores of each epoch. `read_clip` returns a clip of an evaluated split
    by id, and `weights` the network's arrays by name. `worst_clips`, `curves` (labels) and `histograms_every_epochs`
    (0: never) are the settings under `log`.
    """

    name: str
    folder: Path
    from_step: int
    hyper_parameters: Mapping[str, Any]
    score_names: Sequence[str]
    read_clip: Callable[[str], ClipFeatures]
    weights: Callable[[], Mapping[str, np.ndarray]]
    worst_clips: int = 0
    curves: Sequence[str] = ()
    histograms_every_epochs: int = 0
    _latest: list[tuple[object, Any]] = field(default_factory=list, init=False, repr=False, compare=False)

    def once(self, report: object, make: Callable[[], Made]) -> Made:
        """What `make` returns for a report: made by the first tracker that calls this, for all trackers of the run."""
        if not any(one is report for one, _ in self._latest):
            self._latest[:] = [(report, make())]
        made: Made = self._latest[0][1]
        return made


class Tracker(Protocol):
    """Receives all reports in order, on rank 0 only.

    Optional method: `test(report: TestReport)`, called at most once, after the last epoch.
    """

    def steps(self, report: StepReport) -> None:
        """Handle a report of training steps."""

    def epoch(self, report: EpochReport) -> None:
        """Handle the report of a finished epoch."""

    def flush(self) -> None:
        """Flush to disk: a checkpoint is about to be written, and earlier reports are not repeated after it."""

    def close(self) -> None:
        """Close the tracker at the end of the run."""


class TrackerPlugin(Protocol):
    """Experiment tracking. Built as `plugin(params)`; selected in `trackers`.

    `pannsdist.contracts.reporting` turns reports into scalars, images, audio and histograms;
    `pannsdist.contracts.lines` writes a JSON lines file without duplicates when a run is resumed.
    """

    Params: ClassVar[type]
    look: str
    """Command that displays a run, with `{folder}` for the run folder; empty if there is none."""

    def open(self, run: TrackedRun) -> Tracker:
        """Start or resume tracking: reports after `run.from_step` are repeated and must not be duplicated.

        The report of an epoch that ends at `from_step` may be repeated too. Called on rank 0 only. Raise UserError
        here, before the first step, for missing requirements. A tracker that raises later receives no more reports, and
        the run continues.
        """
        ...
