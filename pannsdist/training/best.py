"""Tracking of the best epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pannsdist.runtime.errors import BadRunFolder


class BestTracker:
    """The `top_k` best epochs by one score. NaN never wins; a tie keeps the older epoch. Writes no files."""

    def __init__(self, metric: str, higher_is_better: bool, top_k: int = 1) -> None:
        self.metric, self.higher_is_better, self._top_k = metric, higher_is_better, top_k
        self.best_epochs: list[dict[str, Any]] = []
        """Best first: `value`, and the `epoch` and `step` it was reached after."""
        self._since = 0

    @property
    def value(self) -> float:
        """The best value; NaN if there is none."""
        return float(self.best_epochs[0]["value"]) if self.best_epochs else math.nan

    @property
    def epoch(self) -> int:
        """The epoch of the best value; 0 if there is none."""
        return int(self.best_epochs[0]["epoch"]) if self.best_epochs else 0

    @property
    def patience_epoch(self) -> int:
        """The epoch that patience counts from: that of the best value, or the one that the tracker started after."""
        return max(self.epoch, self._since)

    def update(self, epoch: int, step: int, scores: Mapping[str, float]) -> bool:
        """Add an epoch; returns whether it is the best so far. Infinity is a valid score. Raises KeyError."""
        value = scores[self.metric]
        if math.isnan(value):
            return False
        candidate = {"value": value, "epoch": epoch, "step": step}
        sign = -1 if self.higher_is_better else 1
        ordered = sorted([*self.best_epochs, candidate], key=lambda entry: sign * entry["value"])  # stable for ties
        self.best_epochs = ordered[: self._top_k]
        return ordered[0] is candidate

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        value = None if math.isnan(self.value) else self.value
        best_epochs = [dict(entry) for entry in self.best_epochs]
        return {
            "metric": self.metric,
            "value": value,
            "epoch": self.epoch,
            "best_epochs": best_epochs,
            "since": self._since,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned. Raises BadRunFolder for the best epochs by another metric."""
        metric = state.get("metric", self.metric)
        if metric != self.metric:
            right = "values of two metrics cannot be compared: start a run under another name"
            raise BadRunFolder(f"the checkpoint has the best epochs by {metric}, not by {self.metric}", right)
        self.best_epochs = [dict(entry) for entry in state["best_epochs"]][: self._top_k]
        self._since = int(state.get("since", 0))


class NewestEpoch(BestTracker):
    """Takes every epoch for the best so far, for a run without scores to choose by: the last one is kept."""

    def update(self, epoch: int, step: int, scores: Mapping[str, float]) -> bool:  # noqa: ARG002
        """Replace the epoch before."""
        self.best_epochs = [{"value": 0.0, "epoch": epoch, "step": step}]
        return True

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint, without a value."""
        return {**super().state(), "value": None}
