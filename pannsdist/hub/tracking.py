"""Experiment tracking of `hub.Trainer` in VisualDL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import ClipFeatures, TrackedRun
from pannsdist.registry import Catalog
from pannsdist.registry.building import build_plugin
from pannsdist.run.trackers import PluginTracker, open_trackers
from pannsdist.runtime.errors import BadClip
from pannsdist.settings import SettingsOrigin

FOLDER = "visualization"
"""As in PaddleHub."""


def open_visualdl(
    folder: Path, from_step: int, chosen: Mapping[str, Any], weights: Callable[[], Mapping[str, np.ndarray]]
) -> AbstractContextManager[list[PluginTracker]]:
    """Open VisualDL for a training in `folder`, from a step on. Clips are not tracked. Rank 0 only."""
    part = build_plugin(
        Catalog.installed().trackers.find("visualdl"), {"folder": FOLDER}, SettingsOrigin(), "trackers.visualdl"
    )
    return open_trackers([part], TrackedRun(folder.name, folder, from_step, dict(chosen), [], _no_clips, weights))


def _no_clips(name: str) -> ClipFeatures:
    raise BadClip(f"item {name} has no stored clip")
