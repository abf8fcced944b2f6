"""Selection of the best epoch, and scores under PaddleHub's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pannsdist.training.best import BestTracker

Compare = Callable[[dict[str, float], dict[str, float]], bool]
SPLIT = "valid"
METRIC = f"{SPLIT}/accuracy"


def hub_metrics(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of an evaluation, accuracy first under PaddleHub's name `acc`; others keep their names."""
    own = {name.removeprefix(f"{SPLIT}/"): value for name, value in scores.items() if name.startswith(f"{SPLIT}/")}
    accuracy = {"acc": own.pop("accuracy")} if "accuracy" in own else {}
    return {**accuracy, **own}


class HubBest(BestTracker):
    """Tracks the best epoch by accuracy, or by a user-defined comparison; `metrics` are those of the best epoch.

    `compare(old, new)` returns whether the new metrics are better than those of the best epoch so far.
    """

    def __init__(self, compare: Compare | None) -> None:
        super().__init__(METRIC, higher_is_better=True)
        self._compare = compare
        self.metrics: dict[str, float] = {}

    def update(self, epoch: int, step: int, scores: Mapping[str, float]) -> bool:
        """Record an epoch, and return whether its model is to be kept as the best one.

        An epoch without evaluation is never recorded: its model is kept only until one was evaluated.
        """
        if self.metric not in scores:
            return not self.best_epochs
        new = hub_metrics(scores)
        if self._compare is None:
            better = super().update(epoch, step, scores)
        else:
            better = not self.metrics or bool(self._compare(dict(self.metrics), dict(new)))
        if better:
            self.metrics, self.best_epochs = new, [{"value": scores[self.metric], "epoch": epoch, "step": step}]
        return better

    def forget(self) -> None:
        """No epoch has been the best so far."""
        self.best_epochs, self.metrics = [], {}

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint."""
        return {**super().state(), "metrics": self.metrics}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a result of `state`."""
        super().restore(state)
        self.metrics = dict(state.get("metrics", {}))
