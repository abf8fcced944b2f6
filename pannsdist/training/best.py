"""Which epochs were the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class BestTracker:
    """Remembers the `keep` best values of one score. Knows no file; NaN never wins, a tie keeps the older."""

    def __init__(self, metric: str, higher_is_better: bool, keep: int = 1) -> None:
        self.metric, self.higher_is_better, self._keep = metric, higher_is_better, keep
        self.leaders: list[dict[str, Any]] = []
        """The best first: `value`, and the `epoch` and `step` after which it was reached."""

    @property
    def value(self) -> float:
        """The best value; NaN where there is none."""
        return float(self.leaders[0]["value"]) if self.leaders else math.nan

    @property
    def epoch(self) -> int:
        """The epoch of the best value; 0 where there is none."""
        return int(self.leaders[0]["epoch"]) if self.leaders else 0

    def update(self, epoch: int, step: int, scores: Mapping[str, float]) -> bool:
        """Whether the epoch is the best so far; a score of infinity counts, NaN does not."""
        value = scores[self.metric]
        if math.isnan(value):
            return False
        newest = {"value": value, "epoch": epoch, "step": step}
        sign = -1 if self.higher_is_better else 1
        ranked = sorted([*self.leaders, newest], key=lambda leader: sign * leader["value"])  # stable: a tie keeps order
        self.leaders = ranked[: self._keep]
        return ranked[0] is newest

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        value = None if math.isnan(self.value) else self.value
        return {"metric": self.metric, "value": value, "epoch": self.epoch, "leaders": [dict(x) for x in self.leaders]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.leaders = [dict(leader) for leader in state["leaders"]][: self._keep]
