"""Grid search over settings: one run per combination, and a table of results, best first."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pannsdist import settings
from pannsdist.run.series.execution import execute, slot_environments
from pannsdist.run.series.runs import OWN_KEYS, Request, Series, describe, plan_series
from pannsdist.run.series.scores import Result, read_result, table
from pannsdist.runtime import csv_text, storage
from pannsdist.runtime.console import print_main
from pannsdist.runtime.errors import SettingsError
from pannsdist.runtime.figures import duration, score
from pannsdist.runtime.redaction import published, published_text

OPENING, CLOSING, QUOTES = "[{(", "]})", "\"'"
LONGEST_NAME = 100
MAX_RUNS = 1000
"""A table of more runs is no small grid, and each run is planned before the first one starts."""


def sweep(request: Request) -> int:
    """Run every combination, and return the exit code. Failed runs are listed in the table; the others continue."""
    fixed, grid = read_grid(request.overrides)
    for key in OWN_KEYS:
        if key in grid:
            raise SettingsError(f"{key} cannot have several values", "each run is named by its settings")
    combinations = {folder_name(chosen): chosen for chosen in _combinations(grid)}
    plain = dataclasses.replace(request, overrides=fixed)
    series = plan_series(
        plain, {name: [f"{key}={value}" for key, value in chosen.items()] for name, chosen in combinations.items()}
    )
    _refuse_twins(series)
    slot_environments(request)
    if request.dry_run:
        print_main(describe(series))
        return 0
    started_s = time.monotonic()
    outcome = execute(series, stop_at_failure=False)
    results = {
        run.name: read_result(run.name, run.folder, series.metric, series.higher_is_better)
        for run in series.runs
        if series.is_finished(run)
    }
    if len(results) + len(outcome.failed) == len(series.runs):
        rows = ranked_rows(series, combinations, results, outcome.failed)
        write(series, rows)
        took, written = duration(time.monotonic() - started_s), series.folder / "sweep.json"
        print_main(
            f"\n{summary(series, list(grid), rows)}\n\nthis command took {took}; written: {written}, and sweep.csv"
        )
    return outcome.exit_code


def read_grid(overrides: Sequence[str]) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """(overrides with one value, the values of each key with several). Raises SettingsError if no key has several."""
    fixed: list[str] = []
    grid: dict[str, list[str]] = {}
    for item in overrides:
        key, equals, text = item.partition("=")
        values = split_values(text)
        if equals and len(values) > 1:
            empty_or_double = "" in values or len(set(values)) < len(values) or key in grid
            if empty_or_double:
                wrong = f"'{item}' has an empty or repeated value, or {key} is given twice"
                raise SettingsError(wrong, f"write {key}=VALUE,VALUE; put a value with a comma in quotes or brackets")
            grid[key] = values
        else:
            fixed.append(item)
    if not grid:
        right = "give at least one key several values, such as optimizer.learning_rate=1e-4,3e-4"
        raise SettingsError("there is nothing to sweep: no key has several values", right)
    _refuse_many(grid)
    double = [key for key, count in Counter(item.partition("=")[0] for item in fixed).items() if count and key in grid]
    if double:
        raise SettingsError(f"{double[0]} is given twice, once with several values", "keep one of the two")
    return tuple(fixed), grid


def _refuse_many(grid: Mapping[str, Sequence[str]]) -> None:
    runs = math.prod(map(len, grid.values()))
    if runs > MAX_RUNS:
        counts = " x ".join(f"{len(values)} of {key}" for key, values in grid.items())
        raise SettingsError(f"{runs} combinations: {counts}", f"a sweep has at most {MAX_RUNS} runs: give fewer values")


def split_values(text: str) -> list[str]:
    """Split at commas, except inside quotes, brackets or braces."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES and not parts[-1].strip():
            quote = letter
        depth += 0 if quote else (letter in OPENING) - (letter in CLOSING)
        if letter == "," and depth <= 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def folder_name(chosen: Mapping[str, str]) -> str:
    """The name of a combination, such as `learning_rate=1e-4,seed=0`; a digest replaces unsafe or long parts."""
    last = Counter(key.rpartition(".")[2] for key in chosen)
    short = {key: key.rpartition(".")[2] if last[key.rpartition(".")[2]] == 1 else key for key in chosen}
    exact = ",".join(f"{short[key]}={value}" for key, value in chosen.items())
    safe = re.sub(r"[^\w.,=+-]", "-", exact, flags=re.ASCII)[:LONGEST_NAME]
    return exact if safe == exact else f"{safe}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def ranked_rows(
    series: Series,
    combinations: Mapping[str, Mapping[str, str]],
    results: Mapping[str, Result],
    failed: Mapping[str, str],
) -> list[dict[str, Any]]:
    """One row per run: the best first, by its best epoch, then runs without a finite score, then failed runs."""

    def place(row: Mapping[str, Any]) -> tuple[bool, float]:
        best = (row.get("best") or {}).get("scores", {}).get(series.metric, math.nan)
        return math.isnan(best), -best if series.higher_is_better else best

    done = [{"settings": dict(combinations[name]), **result.record()} for name, result in results.items()]
    lost = [
        {
            "settings": dict(combinations[name]),
            "run": published(str(series.folder / name)),
            "failed": published_text(message),
        }
        for name, message in failed.items()
    ]
    return [*sorted(done, key=place), *lost]


def write(series: Series, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `sweep.json` with everything, and `sweep.csv` with a column for each key and score."""
    record = {"metric": series.metric, "higher_is_better": series.higher_is_better, "runs": list(rows)}
    storage.write_atomic(series.folder / "sweep.json", json.dumps(record, indent=1) + "\n")
    flat = []
    for row in rows:
        cells: dict[str, Any] = {"run": row["run"], **row["settings"], "failed": row.get("failed", "")}
        for kind in ("best", "last"):
            found = row.get(kind)
            if found:
                cells[f"{kind} epoch"] = found["epoch"]
                cells |= {f"{kind} {name}": value for name, value in found["scores"].items()}
        flat.append({**cells, "seconds": row.get("seconds")})
    columns = list(dict.fromkeys(name for cells in flat for name in cells))
    table_rows: list[list[Any]] = [columns, *([cells.get(name) for name in columns] for cells in flat)]
    storage.write_atomic(series.folder / "sweep.csv", csv_text.text_of(table_rows))


def summary(series: Series, keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The table: the varied settings, the selection metric at the best and the last epoch, and the duration."""
    lines = [("", *keys, f"best {series.metric}", "epoch", "last", "epoch", "took")]
    for place, row in enumerate(rows, start=1):
        values = [row["settings"][key] for key in keys]
        if "failed" in row:
            lines.append((str(place), *values, "failed", "", "", "", ""))
            continue
        cells = []
        for found in (row["best"], row["last"]):
            value = found["scores"].get(series.metric) if found else None
            cells += [score(value), str(found["epoch"]) if found else ""]
        lines.append((str(place), *values, *cells, duration(row["seconds"])))
    return table(lines)


def _combinations(grid: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _refuse_twins(series: Series) -> None:
    """Raise SettingsError if two combinations are the same settings, written differently."""
    seen: dict[str, str] = {}
    for run in series.runs:
        tree = {**settings.to_dict(run.plan.settings), "name": ""}
        other = seen.setdefault(json.dumps(tree, sort_keys=True, default=str), run.name)
        if other != run.name:
            raise SettingsError(f"{other} and {run.name} are the same settings", "remove one of the values")
