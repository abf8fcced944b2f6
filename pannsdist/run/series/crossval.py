"""Cross-validation: a run for each fold of the dataset, and what all of them come to."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.run.series.execution import execute, slots
from pannsdist.run.series.runs import Request, Series, describe, plan_series, refuse_own_keys
from pannsdist.run.series.scores import Result, Spread, duration, number, read_result, spreads, table
from pannsdist.runtime import storage
from pannsdist.runtime.console import say
from pannsdist.runtime.errors import BadDataset, SettingsError

RECORD_FILE = "crossval.json"
KINDS = ("best", "last")


def cross_validate(request: Request, asked: Sequence[int] = ()) -> int:
    """Run the folds, all or those asked for; gives the exit code. The table is printed once all are finished."""
    key, folds = choose_folds(request, asked)
    series = plan_series(request, {f"fold_{fold}": (f"{key}={fold}",) for fold in folds})
    slots(request)
    if request.dry_run:
        say(describe(series))
        return 0
    started_s = time.monotonic()
    outcome = execute(series, stop_at_failure=True)
    if outcome.exit_code == 0:
        results = read_results(series)
        path = series.folder / RECORD_FILE
        storage.write_whole(path, json.dumps(record(series, results), indent=1) + "\n")
        took = duration(time.monotonic() - started_s)
        say(f"\n{summary(series, results)}\n\nthis command took {took}; written: {path}")
    return outcome.exit_code


def choose_folds(request: Request, asked: Sequence[int]) -> tuple[str, list[int]]:
    """(the settings key that chooses the fold, the folds to run). Raises BadDataset where the dataset has none."""
    chosen, origin = settings.load(request.config, request.overrides)
    entry = Catalog.installed().datasets.find(chosen.data.name, origin.where("data.name"))
    plugin = entry.load()
    show = f"pannsdist plugins show dataset {entry.name}"
    if not hasattr(plugin, "fold_param"):
        right = "a dataset has folds where its plugin says so, with `fold_param` and `folds` (pannsdist.contracts)"
        raise BadDataset(f"dataset {entry.name} ({entry.origin}) has no folds to cross-validate over", right, show)
    key = f"data.params.{plugin.fold_param}"
    refuse_own_keys(request, (key,), "--folds 1,2 chooses folds")
    folds = list(plugin.folds(settings.fill_params(plugin.Params, chosen.data.params, origin, "data.params")))
    if len(folds) < 2:
        wrong = f"these clips of dataset {entry.name} have {len(folds)} folds"
        raise BadDataset(wrong, "at least two are needed: one is held out, the others are trained on", show)
    unknown = [fold for fold in asked if fold not in folds]
    if unknown:
        wrong = f"--folds names {unknown[0]}, which dataset {entry.name} has not"
        raise SettingsError(wrong, f"its folds: {', '.join(map(str, folds))}")
    return key, [fold for fold in folds if fold in asked or not asked]


def read_results(series: Series) -> list[Result]:
    """What each fold came to, from its scores."""
    return [read_result(run.name, run.folder, series.metric, series.higher_is_better) for run in series.runs]


def record(series: Series, results: Sequence[Result]) -> dict[str, Any]:
    """What is written down: every score of every fold, at its best epoch and at its last, and what they come to."""
    return {
        "metric": series.metric,
        "higher_is_better": series.higher_is_better,
        "processes": series.request.processes,
        "folds": {result.name: result.record() for result in results},
        "best": {name: vars(spread) for name, spread in spreads(results, "best").items()},
        "last": {name: vars(spread) for name, spread in spreads(results, "last").items()},
        "seconds": sum(result.seconds for result in results),
    }


def summary(series: Series, results: Sequence[Result]) -> str:
    """Two tables: the selecting score fold by fold, then every score over the folds."""
    metric = series.metric
    both = {kind: spreads(results, kind) for kind in KINDS}
    none = Spread(None, None, tuple(result.name for result in results))
    selected = [both[kind].get(metric, none) for kind in KINDS]
    folds = [(metric, "best epoch", "", "last epoch", "", "took")]
    for result in results:
        cells = [_cells(epoch, metric) for epoch in (result.best, result.last)]
        folds.append((result.name, *cells[0], *cells[1], duration(result.seconds)))
    took = duration(sum(result.seconds for result in results))
    folds.append(("mean", number(selected[0].mean), "", number(selected[1].mean), "", took))
    folds.append(("deviation", number(selected[0].deviation), "", number(selected[1].deviation), "", ""))
    rows = [(f"mean of {len(results)} folds", "best epoch", "last epoch")]
    names = dict.fromkeys([*both["best"], *both["last"]])
    rows += [(name, str(both["best"].get(name, none)), str(both["last"].get(name, none))) for name in names]
    note = f"best epoch: that of the {'highest' if series.higher_is_better else 'lowest'} {metric} of the fold itself"
    return f"{table(folds)}\n\n{table(rows)}\n\n{note}\ndeviation, +-: of the sample, with n - 1"


def _cells(epoch: Any, metric: str) -> tuple[str, str]:
    return (number(epoch.scores.get(metric)), f"(epoch {epoch.epoch})") if epoch else (number(None), "")
