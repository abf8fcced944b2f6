"""The schema of a run's settings: every key with its default, its meaning and its range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING


def setting(default: Any, doc: str, **limits: Any) -> Any:
    """A field of the schema. Limits: `low`, `high` (both allowed), `above` (not allowed itself), `choices`."""
    metadata = {"doc": doc, **limits}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
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

    name: str = setting("AdamW", "a class of paddle.optimizer")
    learning_rate: float = setting(1e-4, "the highest value of the schedule", above=0, high=100)
    params: dict[str, Any] = setting({}, "further arguments of that class")


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate moves."""

    name: str = setting("cosine", "shape after the warm-up", choices=("cosine", "constant"))
    warmup_epochs: float = setting(0.0, "linear from zero to optimizer.learning_rate", low=0)
    final_share: float = setting(0.01, "share of the learning rate that the cosine ends with", low=0, high=1)


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
    select: SelectSettings = field(default_factory=SelectSettings)
    save: SaveSettings = field(default_factory=SaveSettings)
    log: LogSettings = field(default_factory=LogSettings)
