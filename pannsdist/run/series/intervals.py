"""95 % intervals of the mean over folds, from the stored predictions of each fold's best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from pannsdist.run.series.scores import Result
from pannsdist.training.metrics import Interval, interval, resampled
from pannsdist.training.tracking import read_predictions

PREDICTIONS = "best_predictions"


@dataclass(frozen=True)
class FoldIntervals:
    """The intervals of the mean scores by `split/metric`, and the number of clips; empty if a fold lacks predictions.

    The folds are independent samples: clips are drawn within each fold, its score is computed from its own network's
    predictions, and the mean over folds is taken in each resample. A score is not computed from the pooled clips, since
    the outputs of different networks cannot be ranked together.
    """

    clips: int = 0
    of_scores: dict[str, Interval] = field(default_factory=dict)


def fold_intervals(results: Sequence[Result]) -> FoldIntervals:
    """The intervals at the best epochs. Raises BadRunFolder or CannotRead for damaged predictions."""
    clips, folds = 0, []
    for seed, result in enumerate(results):
        saved = read_predictions(result.folder / PREDICTIONS)
        if saved is None or result.best is None or saved.epoch != result.best.epoch:
            return FoldIntervals()
        clips += len(saved.predictions.ids)
        drawn = resampled(saved.predictions, seed).scores
        folds.append({f"{saved.split}/{name}": values for name, values in drawn.items()})
    names = [name for name in folds[0] if all(name in fold for fold in folds)] if folds else []
    found = {name: interval(_mean([fold[name] for fold in folds])) for name in names}
    return FoldIntervals(clips, {name: one for name, one in found.items() if one is not None})


def _mean(folds: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over the folds of each resample (R,); rankings of a larger fold have fewer resamples."""
    count = min(map(len, folds))
    return np.asarray(reduce(np.add, (values[:count] for values in folds)) / len(folds))
