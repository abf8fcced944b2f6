"""Cross-validation: one run per fold of the dataset, and the summary of their scores."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.run.calibration.folds import decide_folds
from pannsdist.run.planning.folds import dataset_folds
from pannsdist.run.series.execution import execute, slot_environments
from pannsdist.run.series.final_run import train_final
from pannsdist.run.series.intervals import FoldIntervals, fold_intervals
from pannsdist.run.series.runs import Request, Series, describe, plan_series, refuse_own_keys
from pannsdist.run.series.scores import Result, Spread, read_result, spreads, table
from pannsdist.runtime import storage
from pannsdist.runtime.console import print_main
from pannsdist.runtime.figures import duration, score
from pannsdist.training.metrics import Interval

RECORD_FILE = "crossval.json"
KINDS = ("best", "last")
INTERVAL = "95 % interval: of the mean at the best epochs, bootstrap over the clips within each fold"


def cross_validate(request: Request, selected: Sequence[int] = (), final: bool = False) -> int:
    """Run all folds, or the selected ones, and return the exit code. The table is printed once all are finished.

    The best model of each fold gets decisions (`calibration.folds`). With `final` a model is then trained on all clips
    (`series.final_run`).
    """
    key, folds = choose_folds(request, selected)
    series = plan_series(request, {f"fold_{fold}": (f"{key}={fold}",) for fold in folds})
    slot_environments(request)
    if request.dry_run:
        print_main("\n".join([describe(series), *(["final  then, on all clips"] if final else [])]))
        return 0
    started_s = time.monotonic()
    outcome = execute(series, stop_at_failure=True)
    if outcome.exit_code == 0:
        results = read_results(series)
        found = fold_intervals(results)
        path = series.folder / RECORD_FILE
        storage.write_atomic(path, json.dumps(record(series, results, found), indent=1) + "\n")
        took = duration(time.monotonic() - started_s)
        print_main(f"\n{summary(series, results, found)}\n\nthis command took {took}; written: {path}")
        decide_folds({run.name: run.folder for run in series.runs})
        if final:
            return train_final(request, f"{key}={folds[0]}", results)
    return outcome.exit_code


def choose_folds(request: Request, selected: Sequence[int]) -> tuple[str, list[int]]:
    """(the settings key that selects the fold, the folds to run). Raises BadDataset if the dataset has no folds."""
    chosen, origin = settings.load(request.config, request.overrides)
    key, folds = dataset_folds(chosen.data, origin, Catalog.installed(), selected)
    refuse_own_keys(request, (key,), "select folds with --folds 1,2")
    return key, folds


def read_results(series: Series) -> list[Result]:
    """The result of each fold, read from its scores."""
    return [read_result(run.name, run.folder, series.metric, series.higher_is_better) for run in series.runs]


def record(series: Series, results: Sequence[Result], found: FoldIntervals) -> dict[str, Any]:
    """The content of crossval.json: all scores of each fold, at its best and last epoch, with mean and deviation."""
    return {
        "metric": series.metric,
        "higher_is_better": series.higher_is_better,
        "processes": series.request.processes,
        "folds": {result.name: result.record() for result in results},
        "best": {name: vars(spread) for name, spread in spreads(results, "best").items()},
        "last": {name: vars(spread) for name, spread in spreads(results, "last").items()},
        "test": {name: vars(spread) for name, spread in spreads(results, "test").items()},
        "clips": found.clips,
        "best_intervals": {name: _ends(one) for name, one in found.of_scores.items()},
        "seconds": sum(result.seconds for result in results),
    }


def summary(series: Series, results: Sequence[Result], found: FoldIntervals) -> str:
    """Two tables: the selection metric per fold, then mean, deviation and 95 % interval of every score."""
    metric = series.metric
    both = {kind: spreads(results, kind) for kind in KINDS}
    none = Spread(None, None, tuple(result.name for result in results))
    selected = [both[kind].get(metric, none) for kind in KINDS]
    folds = [(metric, "best epoch", "", "last epoch", "", "took")]
    for result in results:
        cells = [_cells(epoch, metric) for epoch in (result.best, result.last)]
        folds.append((result.name, *cells[0], *cells[1], duration(result.seconds)))
    took = duration(sum(result.seconds for result in results))
    folds.append(("mean", score(selected[0].mean), "", score(selected[1].mean), "", took))
    folds.append(("deviation", score(selected[0].deviation), "", score(selected[1].deviation), "", ""))
    counted = f", {found.clips} clips" if found.clips else ""
    rows = [(f"mean of {len(results)} folds{counted}", "best epoch", "95 % interval", "last epoch")]
    for name in dict.fromkeys([*both["best"], *both["last"]]):
        best, last = (str(both[kind].get(name, none)) for kind in KINDS)
        rows.append((name, best, str(found.of_scores.get(name, "")), last))
    rows += [(name, str(spread), "", "") for name, spread in spreads(results, "test").items()]
    note = f"best epoch: the {'highest' if series.higher_is_better else 'lowest'} {metric} of each fold"
    return f"{table(folds)}\n\n{table(rows)}\n\n{note}\ndeviation, +-: sample standard deviation (n - 1)\n{INTERVAL}"


def _cells(epoch: Any, metric: str) -> tuple[str, str]:
    return (score(epoch.scores.get(metric)), f"(epoch {epoch.epoch})") if epoch else (score(None), "")


def _ends(one: Interval) -> list[float | None]:
    """The ends for JSON, which has no infinity."""
    return [end if math.isfinite(end) else None for end in (one.low, one.high)]
