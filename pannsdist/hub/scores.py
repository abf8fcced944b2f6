"""Which epoch's model is the best, and what PaddleHub calls scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pannsdist.training.best import BestTracker
from pannsdist.training.evaluator import Evaluation, Evaluator, SplitToEvaluate

Compare = Callable[[dict[str, float], dict[str, float]], bool]
SPLIT = "valid"
METRIC = f"{SPLIT}/accuracy"


def hub_metrics(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of an evaluation with PaddleHub's `acc` first; the others keep their names."""
    own = {name.removeprefix(f"{SPLIT}/"): value for name, value in scores.items() if name.startswith(f"{SPLIT}/")}
    accuracy = {"acc": own.pop("accuracy")} if "accuracy" in own else {}
    return {**accuracy, **own}


class HubBest(BestTracker):
    """The best epoch by accuracy, or by a comparison of the user's; `metrics` are that epoch's.

    `compare(old, new)` says whether new metrics are better than those of the best epoch so far.
    """

    def __init__(self, compare: Compare | None) -> None:
        super().__init__(METRIC, higher_is_better=True)
        self._compare = compare
        self.metrics: dict[str, float] = {}

    def update(self, epoch: int, step: int, scores: Mapping[str, float]) -> bool:
        """Whether the epoch is the best so far."""
        new = hub_metrics(scores)
        if self._compare is None:
            better = super().update(epoch, step, scores)
        else:
            better = not self.metrics or bool(self._compare(dict(self.metrics), dict(new)))
        if better:
            self.metrics, self.best_epochs = new, [{"value": scores[self.metric], "epoch": epoch, "step": step}]
        return better

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {**super().state(), "metrics": self.metrics}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        super().restore(state)
        self.metrics = dict(state.get("metrics", {}))


class Newest(HubBest):
    """Without an evaluation the newest epoch is the best that is known."""

    def update(self, epoch: int, step: int, scores: Mapping[str, float]) -> bool:
        """Always."""
        self.best_epochs = [{"value": scores["train/loss"], "epoch": epoch, "step": step}]
        return True


class NoEvaluation(Evaluator):
    """For training without a dataset to evaluate."""

    def evaluate(self, split: SplitToEvaluate) -> Evaluation:  # noqa: ARG002
        """No scores."""
        return Evaluation({}, ())
