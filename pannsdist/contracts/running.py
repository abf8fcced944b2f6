"""What decides and watches a run: the protocols of metric, optimizer, schedule and tracker plugins.

Axes: S samples, T frames, F bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from pannsdist.contracts.predictions import Predictions


class MetricPlugin(Protocol):
    """A score of all predictions of a split. Built as `plugin(params)`; `metrics` of the settings names it."""

    Params: ClassVar[type]
    higher_is_better: ClassVar[bool]
    """Its direction: which of two models `select.metric` keeps."""

    def applies(self, multi_label: bool, classes: int) -> bool:
        """Whether the score means something for such a task; where not, naming it is refused."""
        ...

    def __call__(self, predictions: Predictions) -> float:
        """The score of all clips of a split, each there once, in the order of their ids.

        Rank 0 alone. At least one clip is there, and every logit is finite: otherwise the score is NaN without a call.
        NaN is also the answer where the score is not defined, such as for want of a class.
        What it is given cannot be written to.
        """
        ...


class OptimizerPlugin(Protocol):
    """How the weights move. Built as `plugin(params)` of `optimizer.params`; `optimizer.name` names it."""

    Params: ClassVar[type]

    def build(self, parameters: Sequence[paddle.Tensor], learning_rate: float) -> paddle.optimizer.Optimizer:
        """An optimizer of these parameters, every process the same; the rate is set anew before each step.

        All that it remembers between steps is in Paddle's accumulators, made by its `_create_accumulators`: these are
        saved, and a run that goes on has them back. A parameter's own share of the rate, which `optimizer.layer_decay`
        sets, is in what `_create_param_lr` gives. It clips nothing: `train.clip_norm` does.
        """
        ...


class SchedulePlugin(Protocol):
    """How the learning rate moves. Built as `plugin(params)` of `schedule.params`; `schedule.name` names it."""

    Params: ClassVar[type]

    def lr_factor(self, step: int, total_steps: int, epoch_steps: int) -> float:
        """The share of `optimizer.learning_rate` at a step, from 0 up; a pure function, so there is no state to save.

        The linear warm-up of `schedule.warmup_epochs` or `.warmup_steps` comes before: `step` counts from 1 after it,
        and `total_steps` are those that remain of the run. An epoch has `epoch_steps`. Before a run it is asked at some
        of its steps.
        """
        ...


@dataclass(frozen=True)
class Pace:
    """Some steps that were made: clips in a second, the share of the time spent waiting for data, seconds left."""

    clips_per_s: float
    data_wait_fraction: float
    left_s: float


@dataclass(frozen=True)
class StepReport:
    """Some steps that were made: where the run is, and means over these steps and all processes.

    `step` counts from the run's beginning, `epoch_step` from the epoch's. `learning_rates` are those of the last step
    by group of parameters; where there is one group, it is `all`. `gradient_norm` is the last step's, before clipping.
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
    """An epoch that was trained, evaluated and saved. `scores` by split/metric, `train/loss` among them.

    `predictions` are those that the scores come from.
    """

    epoch: int
    epochs: int
    step: int
    scores: Mapping[str, float]
    selected: str
    is_best: bool
    seconds: float
    predictions: Predictions | None = None

    @property
    def split(self) -> str:
        """The split that was evaluated."""
        return self.selected.partition("/")[0]


@dataclass(frozen=True)
class ClipFeatures:
    """A clip as the network hears it: waveform (S,) float32 at `rate_hz`, and its features (T, F)."""

    waveform: np.ndarray = field(repr=False)
    rate_hz: int
    features: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class TrackedRun:
    """A run that is about to begin, or to go on after `from_step`: what a tracker may ask of it.

    `folder` is the run's own, and whoever gets the run gets it: nothing secret belongs into it. `hyper_parameters` are
    single values by name. `score_names` are the names of every epoch's scores. `read_clip` gives a clip of the evaluated
    split by its id, and `weights` the network's arrays by name. `worst_clips`, `curves` (labels) and
    `histograms_every_epochs` (0: never) are what the settings under `log` ask to be shown.
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


class Tracker(Protocol):
    """Told of everything, in order, in rank 0 only."""

    def steps(self, report: StepReport) -> None:
        """Some more steps were made."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""

    def flush(self) -> None:
        """Have on disk what was told: a checkpoint is about to be written, and nothing before it is told again."""

    def close(self) -> None:
        """The run is over."""


class TrackerPlugin(Protocol):
    """Where a run is watched. Built as `plugin(params)`; `trackers` of the settings names it.

    `pannsdist.contracts.showing` makes points, pictures and sounds of the reports, `.lines` a file that goes on.
    """

    Params: ClassVar[type]
    look: str
    """What to type to look at a run, with `{folder}` for the run's own; empty where there is nothing to type."""

    def open(self, run: TrackedRun) -> Tracker:
        """Begin, or go on: what was told after `run.from_step` before is told again, and must not stand there twice.

        An epoch that ends at `from_step` may be told again too. Rank 0 alone. Whatever is missing on this machine is a
        UserError here, before the first step. A tracker that raises later is told nothing more, and the run goes on.
        """
        ...
