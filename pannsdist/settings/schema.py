"""Schema of the settings: every key with its default, documentation and allowed range."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

SHAPES = ("cosine", "linear", "constant", "step", "one_cycle", "warmup_linear_down")
LOSSES = ("auto", "cross_entropy", "binary_cross_entropy", "focal")


def setting(default: Any, doc: str, **limits: Any) -> Any:
    """A schema field. Limits: `low` and `high` (inclusive), `above` (exclusive), `choices`; texts, or numbers."""
    metadata = {"doc": doc, **limits}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ModelSettings:
    """Model and pretrained weights."""

    name: str = setting(MISSING, "model plugin")
    params: dict[str, Any] = setting({}, "parameters of the plugin")
    weights: str = setting("", "pretrained weights: a tag or a weight file; empty: random initialization")


@dataclass(frozen=True)
class FeatureSettings:
    """Input features of the model."""

    name: str = setting("", "feature plugin; empty: the default feature of the model")
    params: dict[str, Any] = setting({}, "parameters of the plugin")


@dataclass(frozen=True)
class DataSettings:
    """Dataset and data loading."""

    name: str = setting(MISSING, "dataset plugin")
    params: dict[str, Any] = setting({}, "parameters of the plugin")
    workers: int | str = setting(
        "auto",
        "data loader workers per training process; auto: by the cores that it may use; 0: load in the process itself",
        choices=("auto",),
        low=0,
        high=256,
    )
    on_bad_clip: str = setting("stop", "action on a clip that cannot be used", choices=("stop", "skip"))
    on_change: str = setting(
        "stop",
        "action if the data of a resumed run has changed; continue: from the epoch's start",
        choices=("stop", "continue"),
    )
    min_clip_s: float | None = setting(
        None,
        "clips shorter than this, in seconds, are bad clips (data.on_bad_clip); null: what the model needs at least; "
        "0: none are. A clip that is used and shorter than the crop is padded with silence",
        low=0,
        high=3600,
    )
    cache: str = setting(
        "auto",
        "cache of sounds at the rate of the network: auto: in the user's cache folder, where it saves time and fits "
        "data.cache_limit_gb; off; or a folder",
    )
    cache_dtype: str = setting(
        "exact", "exact, or int16: all samples rounded to 16 bit, cached or not", choices=("exact", "int16")
    )
    cache_features: bool = setting(
        False, "compute the front end once for each clip and cache it; refused where something changes the waveforms"
    )
    cache_limit_gb: float = setting(
        10.0, "size of the cache of sounds, features and embeddings, in GB; 0: no cache", low=0, high=1000000
    )


@dataclass(frozen=True)
class TrainSettings:
    """Training loop."""

    epochs: int = setting(30, "number of training epochs", low=1)
    batch_size: int = setting(32, "global batch size: clips per optimizer step over all processes", low=1)
    crop_s: float = setting(5.0, "length of the random training crop in seconds", above=0, high=3600)
    max_steps: int | None = setting(None, "maximum number of training steps; null: no limit", low=1)
    max_minutes: float | None = setting(None, "maximum minutes since the last start; null: no limit", above=0)
    patience_epochs: int | None = setting(None, "early stopping patience; null: no early stopping", low=1)
    max_bad_steps: int = setting(
        10, "abort after this many consecutive steps with a non-finite loss or gradient", low=1
    )
    limit_steps: int | None = setting(None, "maximum steps per epoch, for test runs (--limit)", low=1)
    overfit_batches: int | None = setting(
        None, "train and evaluate on the same few batches of training clips (--overfit)", low=1
    )
    all_clips: bool = setting(
        False, "train on the clips of valid too; nothing chooses an epoch, and the last one is the model"
    )
    sampling: str = setting("shuffled", "sampling of training clips", choices=("shuffled", "balanced", "weighted"))
    group_by_length: bool = setting(
        False, "batches of clips of similar length, padded to their longest clip; evaluation pads no clip"
    )
    spec_augment: bool | None = setting(None, "SpecAugment: mask time and frequency bands; null: as in model.params")
    accumulate_steps: int = setting(1, "gradient accumulation steps: micro-batches per optimizer step", low=1)
    clip_norm: float | None = setting(None, "maximum gradient norm; null: no gradient clipping", above=0)
    amp: str = setting(
        "none",
        "mixed precision on GPUs, and bf16 on CPUs with instructions for it; features stay float32",
        choices=("none", "fp16", "bf16"),
    )
    cpu_kernels: str = setting(
        "auto",
        "convolutions on a CPU: paddle: Paddle's own; onednn: of the oneDNN library in Paddle's wheel; auto: oneDNN "
        "where it is known to be faster",
        choices=("auto", "paddle", "onednn"),
    )
    to_static: bool = setting(False, "compute the model as a static graph of Paddle; on a CPU bit-equal, and no faster")
    ema_decay: float = setting(0.0, "exponential moving average decay; 0: no EMA", low=0, high=0.99999)
    swa_epochs: int = setting(0, "stochastic weight averaging over this many last epochs; 0: no SWA", low=0)
    freeze: list[str] = setting([], "frozen stages; `body`: all stages except the head")
    unfreeze_epoch: int | None = setting(None, "epoch in which train.freeze ends; null: never", low=2)
    recompute: bool = setting(False, "recompute activations in backward to save memory")
    sync_batch_norm: bool = setting(False, "synchronized batch norm over all processes; GPUs only")


@dataclass(frozen=True)
class MixupSettings:
    """Mixup of training clips and labels."""

    alpha: float = setting(0.0, "mixup weights are drawn from Beta(alpha, alpha); 0: no mixup", low=0, high=4)
    pairs: str = setting(
        "panns", "panns: merge clips 2i and 2i+1; free: mix each with another", choices=("panns", "free")
    )
    domain: str = setting("features", "mix features or waveforms", choices=("features", "waveform"))


@dataclass(frozen=True)
class ValidSettings:
    """Evaluation."""

    batch_size: int = setting(16, "clips per forward pass and process", low=1)
    crop_s: float | None = setting(
        None, "length of the crop from the start of a clip; null: train.crop_s", above=0, high=3600
    )
    limit_batches: int | None = setting(None, "maximum batches per evaluation, for test runs (--limit)", low=1)


@dataclass(frozen=True)
class OptimizerSettings:
    """Optimizer."""

    name: str = setting("AdamW", "a class of paddle.optimizer, or an optimizer plugin")
    learning_rate: float = setting(1e-4, "peak learning rate", above=0, high=100)
    params: dict[str, Any] = setting({}, "further arguments of the class, or the plugin parameters")
    layer_decay: float = setting(1.0, "learning rate factor between consecutive stages", above=0, high=1)
    head_lr_factor: float = setting(1.0, "learning rate factor of the head", above=0, high=1000)


@dataclass(frozen=True)
class ScheduleSettings:
    """Learning rate schedule."""

    name: str = setting("cosine", f"shape after warmup: {', '.join(SHAPES)}, or a schedule plugin")
    params: dict[str, Any] = setting({}, "parameters of a schedule plugin")
    warmup_epochs: float = setting(0.0, "warmup length in epochs", low=0)
    warmup_steps: int = setting(0, "warmup length in steps; excludes warmup_epochs", low=0)
    hold_epochs: float = setting(0.0, "warmup_linear_down: epochs at the peak", low=0)
    final_lr_factor: float = setting(0.01, "final factor of the learning rate in decaying shapes", low=0, high=1)
    milestones: list[int] = setting([], "step: epochs after which the learning rate drops")
    every_epochs: int = setting(0, "step: epochs between drops, instead of milestones", low=0)
    gamma: float = setting(0.1, "step: learning rate factor of a drop", above=0, high=1)


@dataclass(frozen=True)
class LossSettings:
    """Training loss; evaluation reports plain cross entropy."""

    name: str = setting("auto", "auto: cross entropy, or binary for multi-label data", choices=LOSSES)
    label_smoothing: float = setting(0.0, "label smoothing", low=0, high=0.99)
    class_weights: str = setting("none", "balanced: weigh rare classes more", choices=("none", "balanced"))
    label_weights: dict[str, float] = setting({}, "loss weights by label; default 1")
    focal_gamma: float = setting(2.0, "focal: exponent gamma of the focal loss", above=0, high=10)


@dataclass(frozen=True)
class EventsSettings:
    """Sound events: training of networks that answer by frame."""

    pooling: str = setting(
        "attention",
        "how the clip's probability is made of those of its frames",
        choices=("attention", "linear_softmax"),
    )
    weak_weight: float = setting(0.5, "weight of the loss of the clip's labels, beside 1 for that of frames", low=0)
    consistency_weight: float = setting(
        0.0,
        "mean teacher: weight of the squared difference to the probabilities of the network of train.ema_decay, on all "
        "clips, also those without labels; 0: no teacher",
        low=0,
    )
    consistency_ramp_epochs: float = setting(
        0.0, "epochs over which events.consistency_weight rises from 0", low=0, high=100000
    )


@dataclass(frozen=True)
class SelectSettings:
    """Selection of the best model."""

    metric: str = setting("", "SPLIT/METRIC; empty: valid/accuracy; multi-label: valid/mean_average_precision")
    test: bool = setting(True, "evaluate the best model once, at the end, on the test split, if the dataset has one")


@dataclass(frozen=True)
class SaveSettings:
    """Checkpoints."""

    every_steps: int | None = setting(None, "steps between additional checkpoints within an epoch", low=1)
    every_minutes: float | None = setting(None, "minutes between additional checkpoints within an epoch", above=0)
    keep: int = setting(1, "number of latest checkpoints to keep, besides the best", low=1)
    keep_best: int = setting(1, "number of best checkpoints to keep", low=1)


@dataclass(frozen=True)
class LogSettings:
    """Logging."""

    every_steps: int = setting(10, "steps between log lines and curve points", low=1)
    worst_clips: int = setting(3, "clips with the highest loss to show in trackers, as audio and image", low=0, high=20)
    curves: list[str] = setting([], "labels whose precision-recall and ROC curves to show in trackers")
    histograms_every_epochs: int = setting(0, "epochs between histograms of all weights; 0: none", low=0)


@dataclass(frozen=True)
class DistributedSettings:
    """Training in several processes."""

    hang_timeout_s: float = setting(
        600.0,
        "seconds without progress after which a process counts as hanging and the run ends, to be continued; more than "
        "any step, write or tracker takes",
        low=1,
        high=86400,
    )
    comm_buffer_mb: int = setting(
        25, "size of the buffers in MiB in which gradients are averaged over the processes", low=1, high=1024
    )


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    name: str = setting("run", "name of the run and of its folder in `runs`")
    runs: str = setting("runs", "parent folder of the run folders")
    seed: int = setting(0, "random seed", low=0, high=2**32 - 1)
    task: str = setting(
        "auto",
        "clips: labels of clips; events: labels by frame, with onset and offset; auto: events where clips have "
        "events and the model answers by frame",
        choices=("auto", "clips", "events"),
    )
    model: ModelSettings = field(default_factory=ModelSettings)
    feature: FeatureSettings = field(default_factory=FeatureSettings)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: dict[str, Any] = setting({}, "augmentation plugins and their parameters, in the order of application")
    mixup: MixupSettings = field(default_factory=MixupSettings)
    valid: ValidSettings = field(default_factory=ValidSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    events: EventsSettings = field(default_factory=EventsSettings)
    metrics: dict[str, Any] = setting({}, "metric plugins and their parameters, in addition to the built-in metrics")
    select: SelectSettings = field(default_factory=SelectSettings)
    save: SaveSettings = field(default_factory=SaveSettings)
    log: LogSettings = field(default_factory=LogSettings)
    distributed: DistributedSettings = field(default_factory=DistributedSettings)
    trackers: dict[str, Any] = setting({"visualdl": {}}, "tracker plugins and their parameters")
