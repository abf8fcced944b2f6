"""Where hub.Trainer is watched: in VisualDL, as PaddleHub's."""

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


def in_visualdl(
    folder: Path, from_step: int, chosen: Mapping[str, Any], weights: Callable[[], Mapping[str, np.ndarray]]
) -> AbstractContextManager[list[PluginTracker]]:
    """Curves of a training in `folder` that goes on after a step; items have no names to be heard by. Rank 0 alone."""
    part = build_plugin(
        Catalog.installed().trackers.find("visualdl"), {"folder": FOLDER}, SettingsOrigin(), "trackers.visualdl"
    )
    return open_trackers([part], TrackedRun(folder.name, folder, from_step, dict(chosen), [], _unheard, weights))


def _unheard(name: str) -> ClipFeatures:
    raise BadClip(f"item {name} is not heard again")
