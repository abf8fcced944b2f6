"""95 % intervals of the mean over folds, from the stored predictions of each fold's best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from pannsdist.contracts.predictions import Predictions
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
    folds = []
    for result in results:
        saved = read_predictions(result.folder / PREDICTIONS)
        if saved is None or result.best is None or saved.epoch != result.best.epoch:
            return FoldIntervals()
        folds.append((saved.split, saved.predictions))
    return intervals_over_folds(folds)


def intervals_over_folds(folds: Sequence[tuple[str, Predictions]]) -> FoldIntervals:
    """The intervals of the mean over folds, each with the name of its split and its predictions."""
    drawn = []
    for seed, (split, predictions) in enumerate(folds):
        scores = resampled(predictions, seed).scores
        drawn.append({f"{split}/{name}": values for name, values in scores.items()})
    names = [name for name in drawn[0] if all(name in fold for fold in drawn)] if drawn else []
    found = {name: interval(_mean([fold[name] for fold in drawn])) for name in names}
    clips = sum(len(predictions.ids) for _, predictions in folds)
    return FoldIntervals(clips, {name: one for name, one in found.items() if one is not None})


def _mean(folds: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean over the folds of each resample (R,); rankings of a larger fold have fewer resamples.

    D-prime may be infinite: between folds of opposite signs the mean is undefined (NaN).
    """
    count = min(map(len, folds))
    with np.errstate(invalid="ignore"):
        return np.asarray(reduce(np.add, (values[:count] for values in folds)) / len(folds))
