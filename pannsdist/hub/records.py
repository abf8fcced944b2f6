"""The record written into model folders by `hub.Trainer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle

from pannsdist.hub.items import Items
from pannsdist.hub.module import Module
from pannsdist.hub.scores import METRIC
from pannsdist.inference.bundle import BundleRecord, PluginRecord, record_beside
from pannsdist.registry import Origin
from pannsdist.run import building, history
from pannsdist.runtime import console, launcher
from pannsdist.runtime.errors import BadBundle, UserError

DEFAULT_CLIP_S = 10.0
"""Window length of predictions of a module that was never trained: the length of AudioSet clips."""


@dataclass(frozen=True)
class TrainRequest:
    """The arguments of one call of `train` that are recorded."""

    epochs: int
    batch_size: int
    log_interval: int
    save_interval: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int) or value < 1:
                raise UserError(f"{name} is {value!r}", "allowed: 1 or more")


def best_record(weights: Path) -> BundleRecord | None:
    """The record of the best model of earlier sessions, for its labels. A damaged one is named. Rank 0 only."""
    try:
        return record_beside(weights)
    except BadBundle as error:
        console.print_main(f"not used: {error.wrong}")
        return None


def model_record(
    model: Module, optimizer: paddle.optimizer.Optimizer, items: Items | None, settings: Mapping[str, Any]
) -> BundleRecord:
    """The record of a model, with its own labels and clip length.

    `items` are those of the training's evaluation, `settings` its arguments.
    """
    data = type(items.dataset) if items else type(None)
    return BundleRecord(
        model=building.plugin_record(model.part),
        feature=building.plugin_record(model.feature_part),
        dataset=PluginRecord(data.__qualname__, {}, Origin(data.__module__, "unknown")),
        front_end=model.front_end,
        labels=tuple(model.labels),
        multi_label=False,
        crop_s=model.clip_s or DEFAULT_CLIP_S,
        metric=METRIC,
        settings={
            "model": model.part.entry.name,
            "optimizer": type(optimizer).__name__,
            "learning_rate": optimizer.get_lr(),
            "processes": launcher.size(),
            **settings,
        },
        versions=history.versions(),
        pads_to_crop=model.pads_to_clip,
    )
