"""Which epoch was the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class BestTracker:
    """Remembers the best value of one score. Knows no file; NaN never wins, a tie keeps the older."""

    def __init__(self, metric: str, higher_is_better: bool) -> None:
        self.metric, self.higher_is_better = metric, higher_is_better
        self.value = math.nan
        self.epoch = 0

    def update(self, epoch: int, scores: Mapping[str, float]) -> bool:
        """Whether the epoch is the best so far; a score of infinity counts, NaN does not."""
        value = scores[self.metric]
        if math.isnan(value):
            return False
        better = value > self.value if self.higher_is_better else value < self.value
        if math.isnan(self.value) or better:
            self.value, self.epoch = value, epoch
            return True
        return False

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"metric": self.metric, "value": None if math.isnan(self.value) else self.value, "epoch": self.epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.value = math.nan if state["value"] is None else float(state["value"])
        self.epoch = int(state["epoch"])
