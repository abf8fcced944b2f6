"""The schema of a run's settings: every key with its default, its meaning and its range."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

SHAPES = ("cosine", "linear", "constant", "step", "one_cycle", "warmup_linear_down")
LOSSES = ("auto", "cross_entropy", "binary_cross_entropy", "focal")


def setting(default: Any, doc: str, **limits: Any) -> Any:
    """A field of the schema. Limits: `low`, `high` (both allowed), `above` (not allowed itself), `choices`."""
    metadata = {"doc": doc, **limits}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ModelSettings:
    """The network."""

    name: str = setting(MISSING, "model plugin")
    params: dict[str, Any] = setting({}, "the plugin's own settings")
    weights: str = setting("", "published weights by tag, or a weight file; empty: random")


@dataclass(frozen=True)
class FeatureSettings:
    """What the network hears."""

    name: str = setting("", "feature plugin; empty: the one that the model was made for")
    params: dict[str, Any] = setting({}, "the plugin's own settings")


@dataclass(frozen=True)
class DataSettings:
    """The clips."""

    name: str = setting(MISSING, "dataset plugin")
    params: dict[str, Any] = setting({}, "the plugin's own settings")
    workers: int = setting(2, "processes that decode, for each training process; 0: none", low=0, high=256)
    on_bad_clip: str = setting("stop", "what to do with a clip that cannot be used", choices=("stop", "skip"))
    min_clip_s: float | None = setting(
        None, "a shorter clip is bad; null: the network's minimum; 0: pad it", low=0, high=3600
    )


@dataclass(frozen=True)
class TrainSettings:
    """Training."""

    epochs: int = setting(30, "passes over the training clips", low=1)
    batch_size: int = setting(32, "clips of one step over all processes together", low=1)
    crop_s: float = setting(5.0, "length of the random crop of each clip", above=0, high=3600)
    max_steps: int | None = setting(None, "end after so many steps at the latest, with an evaluation", low=1)
    max_minutes: float | None = setting(None, "end after so many minutes of this start, with an evaluation", above=0)
    patience_epochs: int | None = setting(None, "end when so many epochs in a row were not the best", low=1)
    max_bad_steps: int = setting(10, "stop after so many steps in a row whose loss or gradient is not finite", low=1)
    limit_steps: int | None = setting(None, "steps of an epoch at most, for a first try (--limit)", low=1)
    overfit_batches: int | None = setting(
        None, "train and evaluate on so many batches of training clips, always the same (--overfit)", low=1
    )
    sampling: str = setting("shuffled", "which clips an epoch takes", choices=("shuffled", "balanced", "weighted"))
    spec_augment: bool | None = setting(None, "leave out stripes of time and frequency; null: as model.params say")
    accumulate_steps: int = setting(1, "parts that each process takes its clips of a step in, to save memory", low=1)
    clip_norm: float | None = setting(None, "a longer gradient is cut to this norm; null: never", above=0)
    amp: str = setting("none", "half precision on a GPU, but for the front end", choices=("none", "fp16", "bf16"))
    ema_decay: float = setting(0.0, "share of the old in a moving average of the weights; 0: none", low=0, high=0.99999)
    swa_epochs: int = setting(0, "the model is the mean of the weights of so many last epochs; 0: no mean", low=0)
    freeze: list[str] = setting([], "stages that do not train; `body`: all but the head")
    unfreeze_epoch: int | None = setting(None, "the epoch from which train.freeze ends; null: never", low=2)
    recompute: bool = setting(False, "compute activations again in backward, to save memory")
    sync_batch_norm: bool = setting(False, "batch norm over the clips of all processes; on GPUs")


@dataclass(frozen=True)
class MixupSettings:
    """Training clips mixed two by two, and their labels alike."""

    alpha: float = setting(0.0, "shares are drawn from Beta(alpha, alpha); 0: no mixup", low=0, high=4)
    pairs: str = setting("panns", "panns: two clips become one; free: each with another", choices=("panns", "free"))
    domain: str = setting("features", "where clips are mixed", choices=("features", "waveform"))


@dataclass(frozen=True)
class ValidSettings:
    """Evaluation."""

    batch_size: int = setting(16, "clips of one forward pass of one process", low=1)
    crop_s: float | None = setting(None, "each clip's first seconds; null: as train.crop_s", above=0, high=3600)
    limit_batches: int | None = setting(None, "batches of an evaluation at most, for a first try (--limit)", low=1)


@dataclass(frozen=True)
class OptimizerSettings:
    """How the weights move."""

    name: str = setting("AdamW", "a class of paddle.optimizer, or an optimizer plugin")
    learning_rate: float = setting(1e-4, "the highest value of the schedule", above=0, high=100)
    params: dict[str, Any] = setting({}, "further arguments of that class, or the plugin's own settings")
    layer_decay: float = setting(1.0, "share of the learning rate from each stage to the one below", above=0, high=1)
    head_lr_factor: float = setting(1.0, "the head's learning rate, in learning rates", above=0, high=1000)


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate moves."""

    name: str = setting("cosine", f"shape after the warm-up: {', '.join(SHAPES)}, or a schedule plugin")
    params: dict[str, Any] = setting({}, "a schedule plugin's own settings")
    warmup_epochs: float = setting(0.0, "rise to optimizer.learning_rate, in epochs", low=0)
    warmup_steps: int = setting(0, "the same in steps; one of the two", low=0)
    hold_epochs: float = setting(0.0, "warmup_linear_down: epochs at the top", low=0)
    final_lr_factor: float = setting(0.01, "share of the learning rate that a falling shape ends with", low=0, high=1)
    milestones: list[int] = setting([], "step: epochs after which the rate drops")
    every_epochs: int = setting(0, "step: or it drops each time after so many epochs", low=0)
    gamma: float = setting(0.1, "step: what a drop multiplies the rate by", above=0, high=1)


@dataclass(frozen=True)
class LossSettings:
    """What training goes down; an evaluation reports plain cross entropy."""

    name: str = setting("auto", "auto: cross entropy of one label, or binary of several", choices=LOSSES)
    label_smoothing: float = setting(0.0, "share of the target that goes to all classes alike", low=0, high=0.99)
    class_weights: str = setting("none", "balanced: rare classes weigh more", choices=("none", "balanced"))
    label_weights: dict[str, float] = setting({}, "weights by label; those not named weigh 1")
    focal_gamma: float = setting(2.0, "focal: how little what is right already counts", above=0, high=10)


@dataclass(frozen=True)
class SelectSettings:
    """Which model is the best."""

    metric: str = setting("", "SPLIT/METRIC; empty: valid/accuracy, or valid/mean_average_precision for several labels")


@dataclass(frozen=True)
class SaveSettings:
    """What is kept on disk."""

    every_steps: int | None = setting(None, "steps between two checkpoints, beside those of each epoch", low=1)
    every_minutes: float | None = setting(None, "minutes after which another checkpoint is due", above=0)
    keep: int = setting(1, "newest checkpoints that stay, beside the best", low=1)
    keep_best: int = setting(1, "checkpoints with the best scores that stay", low=1)


@dataclass(frozen=True)
class LogSettings:
    """What is told."""

    every_steps: int = setting(10, "steps between two lines and two points of a curve", low=1)
    worst_clips: int = setting(
        3, "clips with the largest loss that trackers show, as sound and picture", low=0, high=20
    )
    curves: list[str] = setting([], "labels whose precision-recall and ROC curves trackers show")
    histograms_every_epochs: int = setting(0, "epochs between two histograms of all weights; 0: none", low=0)


@dataclass(frozen=True)
class Settings:
    """Everything that decides a run."""

    name: str = setting("run", "folder of the run, in `runs`")
    runs: str = setting("runs", "where run folders are made")
    seed: int = setting(0, "what every random number comes from", low=0, high=2**32 - 1)
    model: ModelSettings = field(default_factory=ModelSettings)
    feature: FeatureSettings = field(default_factory=FeatureSettings)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: dict[str, Any] = setting({}, "augmentation plugins of the training clips, with their settings, in order")
    mixup: MixupSettings = field(default_factory=MixupSettings)
    valid: ValidSettings = field(default_factory=ValidSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    metrics: dict[str, Any] = setting({}, "metric plugins, with their settings, beside the built-in metrics")
    select: SelectSettings = field(default_factory=SelectSettings)
    save: SaveSettings = field(default_factory=SaveSettings)
    log: LogSettings = field(default_factory=LogSettings)
    trackers: dict[str, Any] = setting({"visualdl": {}}, "tracker plugins that watch the run, with their settings")
