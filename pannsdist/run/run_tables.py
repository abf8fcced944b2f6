"""Tables of runs: a list of them, and the settings and scores in which they differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pannsdist import settings as settings_module
from pannsdist.run.listing import ListedRun
from pannsdist.run.report.origin import day
from pannsdist.run.same_run import SETTINGS_FILE
from pannsdist.run.series.scores import table
from pannsdist.runtime import csv_text
from pannsdist.runtime.errors import BadRunFolder, shell_command
from pannsdist.runtime.figures import UNDEFINED, score
from pannsdist.runtime.redaction import published
from pannsdist.settings.plain import flat

OWN_KEYS = ("name", "runs")
"""Settings that differ between any two runs."""
HEADINGS = ("run", "state", "model", "dataset", "epochs", "best", "value", "started")


def list_text(runs: Sequence[ListedRun], form: str) -> str:
    """A line per run, as `table`, `json` or `csv`."""
    if form == "json":
        return json.dumps([run.record() for run in runs], indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        columns = ("path", "state", "model", "dataset", "epochs_done", "epochs", "metric", "value", "started")
        return csv_text.text_of([columns, *(_cells(run) for run in runs)])
    lines = [HEADINGS, *(_row(run) for run in runs)]
    problems = [f"{run.name} is unreadable: {run.problem}" for run in runs if run.problem]
    return "\n".join([_left(lines), *problems]) + "\n" if runs else "no run\n"


def _cells(run: ListedRun) -> tuple[Any, ...]:
    metric = run.best.metric if run.best else ""
    counts = (run.epochs_done, run.epochs)
    return (str(run.path), run.state, run.model, run.dataset, *counts, metric, run.best_value, run.date)


def _row(run: ListedRun) -> tuple[str, ...]:
    best = (UNDEFINED, UNDEFINED) if run.best is None else (run.best.metric, score(run.best_value))
    epochs = f"{run.epochs_done}/{run.epochs}" if not run.problem else ""
    return (run.name, run.state, run.model, run.dataset, epochs, *best, day(run.date))


def _left(rows: Sequence[Sequence[str]]) -> str:
    """Rows as left-aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def readable(runs: Sequence[ListedRun]) -> list[ListedRun]:
    """Two or more runs that can be compared. Raises BadRunFolder for one that is unreadable, or alone."""
    for run in runs:
        if run.problem:
            raise BadRunFolder(f"{run.path} cannot be compared: {run.problem}", "leave it out, or repair it")
    if len(runs) < 2:
        right = "give two run folders, or a folder with several runs"
        raise BadRunFolder(f"{runs[0].path} is a single run", right, shell_command("pannsdist", "runs", "list", "runs"))
    return [*runs]


def comparison_text(runs: Sequence[ListedRun], form: str) -> str:
    """The settings that differ, and the scores of the best models, a column per run."""
    differing, scores = _differing(runs), _scores(runs)
    if form == "json":
        names = [{"run": run.name, "path": published(str(run.path)), "state": run.state} for run in runs]
        content = {"runs": names, "settings": differing, "scores": scores}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        texts = {key: [_text(value) for value in values] for key, values in differing.items()}
        rows = [(key, *values) for part in (texts, scores) for key, values in part.items()]
        return csv_text.text_of([("", *(run.name for run in runs)), *rows])
    head = ["", *(run.name for run in runs)]
    facts = [["state", *(run.state for run in runs)], ["epochs", *(f"{run.epochs_done}/{run.epochs}" for run in runs)]]
    settings_rows = [[key, *map(_text, values)] for key, values in differing.items()]
    best = [["best epoch", *(str(run.best.epoch) if run.best else UNDEFINED for run in runs)]]
    score_rows = [[name, *map(score, found)] for name, found in scores.items()]
    same = [] if differing else ["The settings are equal, except for the name."]
    return "\n".join([table([head, *facts, *settings_rows, *best, *score_rows]), *same]) + "\n"


def _differing(runs: Sequence[ListedRun]) -> dict[str, list[Any]]:
    """The values of each setting that differs, None where a run does not have it."""
    trees = [flat(published(settings_module.read_yaml(run.path / SETTINGS_FILE))) for run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree if key not in OWN_KEYS)
    values = {key: [tree.get(key) for tree in trees] for key in keys}
    return {key: found for key, found in values.items() if any(one != found[0] for one in found)}


def _scores(runs: Sequence[ListedRun]) -> dict[str, list[float | None]]:
    """The scores of the best models, None where a run has none or it is not finite."""
    trees = [run.best.scores if run.best else {} for run in runs]
    names = dict.fromkeys(name for tree in trees for name in tree)
    return {name: [_finite(tree.get(name)) for tree in trees] for name in names}


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def _text(value: Any) -> str:
    return UNDEFINED if value is None else str(value)
