"""The plugin interface: protocols and frozen records. A plugin imports this package and nothing else of pannsdist.

Axes: B batch, S samples, T frames, F bins, C classes. A plugin is a class with a frozen dataclass `Params`, whose
fields are the plugin's settings; it is built as `plugin(params)`. It is discovered through one of the entry-point
groups below. Raise `UserError` for errors that the user can fix.

A plugin may declare `contract = 1`, the contract version that it was written for; see docs/en/contract.md. Further
modules to build on: `corpora`, `drawn_splits`, `split_names`, `name_patterns`, `tables`, `clip_lists`, `sound_files`
and `file_lookup` for datasets, `event_files`, `sound_labels` and `event_corpora` for those with events, `locations` for
files that may be in stores, `spectrum` for features (imports paddle), `predictions` for metrics, `reporting` and
`lines` for trackers, `scripts` for a module that is a command too.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any

from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE, mixup, spec_augment_mask
from pannsdist.contracts.plugins import (
    AugmentationPlugin,
    DatasetPlugin,
    FeaturePlugin,
    FoldedDatasetPlugin,
    ModelPlugin,
    SoundReader,
)
from pannsdist.contracts.records import (
    Clip,
    Download,
    EncodedSource,
    Event,
    FrontEnd,
    Pretrained,
    Samples,
    SampleSource,
    SourceState,
    labels_of_events,
)
from pannsdist.contracts.run_plugins import (
    ClipFeatures,
    EpochReport,
    MetricPlugin,
    OptimizerPlugin,
    Pace,
    SchedulePlugin,
    StepReport,
    TestReport,
    TrackedRun,
    Tracker,
    TrackerPlugin,
)
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.names import path_of, shown

__all__ = [
    "AUGMENT_NOISE_SIZE",
    "CHANGES",
    "GROUPS",
    "VERSION",
    "AugmentationPlugin",
    "Clip",
    "ClipFeatures",
    "DatasetPlugin",
    "Download",
    "EncodedSource",
    "EpochReport",
    "Event",
    "FeaturePlugin",
    "FoldedDatasetPlugin",
    "FrontEnd",
    "MetricPlugin",
    "ModelPlugin",
    "NoParams",
    "OptimizerPlugin",
    "Pace",
    "Pretrained",
    "SampleSource",
    "Samples",
    "SchedulePlugin",
    "SoundReader",
    "SourceState",
    "StepReport",
    "TestReport",
    "TrackedRun",
    "Tracker",
    "TrackerPlugin",
    "UserError",
    "labels_of_events",
    "mixup",
    "param",
    "path_of",
    "shell_command",
    "shown",
    "spec_augment_mask",
]

CHANGES = {1: ("0.1.0", "the first contract")}
"""By contract version: the pannsdist release that introduced it, and what plugins must change."""
VERSION = max(CHANGES)
KINDS = ("model", "dataset", "feature", "augmentation", "metric", "optimizer", "schedule", "tracker")
GROUPS = {kind: f"pannsdist.{kind}s" for kind in KINDS}
"""Entry-point group of each plugin kind."""


def param(default: Any = MISSING, doc: str = "", **limits: Any) -> Any:
    """A documented field of a plugin's `Params`; without a default it is required.

    Limits, which are validated: `low` and `high` (inclusive), `above` (exclusive), or `choices`.
    """
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class NoParams:
    """The `Params` of a plugin that has no settings."""
