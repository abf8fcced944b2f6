"""What a plugin is: frozen records and protocols. A plugin imports this package and nothing else of pannsdist.

Axes: B batch, S samples, T frames, F bins, C classes. A plugin is a class with a frozen dataclass `Params`, whose
fields are the plugin's settings; it is built as `plugin(params)`. It is found because its distribution is installed
and names it in one of the entry-point groups below. Raise `UserError` for what the user can mend.

A plugin may say `contract = 1`, the version that it was written for; docs/en/contract.md says what that promises.
Beside the names here there are modules to build on: `corpora` and `tables` for datasets, `spectrum` for features (it
imports paddle), `predictions` for metrics.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any

from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE, mixup, spec_augment_mask
from pannsdist.contracts.parts import (
    AugmentationPlugin,
    DatasetPlugin,
    FeaturePlugin,
    FoldedDatasetPlugin,
    ModelPlugin,
)
from pannsdist.contracts.records import Clip, Download, FrontEnd, Pretrained, Samples, SampleSource
from pannsdist.contracts.running import (
    ClipFeatures,
    EpochReport,
    MetricPlugin,
    OptimizerPlugin,
    Pace,
    SchedulePlugin,
    StepReport,
    TrackedRun,
    Tracker,
    TrackerPlugin,
)
from pannsdist.runtime.errors import UserError

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
    "EpochReport",
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
    "StepReport",
    "TrackedRun",
    "Tracker",
    "TrackerPlugin",
    "UserError",
    "mixup",
    "param",
    "spec_augment_mask",
]

CHANGES = {1: ("0.1.0", "the first contract")}
"""Of each version of the contract: the pannsdist that brought it, and what a plugin has to change for it."""
VERSION = max(CHANGES)
KINDS = ("model", "dataset", "feature", "augmentation", "metric", "optimizer", "schedule", "tracker")
GROUPS = {kind: f"pannsdist.{kind}s" for kind in KINDS}
"""The group of entry points of each kind of plugin."""


def param(default: Any = MISSING, doc: str = "", **limits: Any) -> Any:
    """A field of a plugin's `Params` with its meaning; without a default it is required.

    Limits that the settings are held to: `low` and `high` (both allowed), `above` (not allowed itself), or `choices`.
    """
    return field(default=default, metadata={"doc": doc, **limits})


@dataclass(frozen=True)
class NoParams:
    """The `Params` of a plugin that has no settings."""
