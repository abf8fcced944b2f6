"""The runs of a series: all validated before the first starts, each in its own folder, finished ones not repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pannsdist import settings as settings_module
from pannsdist.registry import Catalog
from pannsdist.run.launching.command import LOG_FOLDER, training_command
from pannsdist.run.launching.one_node import refuse_launcher
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.run.same_run import SETTINGS_FILE, check_same_run, run_path
from pannsdist.runtime import outputs, reading, storage
from pannsdist.runtime.errors import BadRunFolder, SettingsError, UserError, shell_command
from pannsdist.runtime.folder_lock import FolderLock, refuse_held
from pannsdist.runtime.json_files import JsonFile
from pannsdist.runtime.redaction import published
from pannsdist.training.tracking.scores_file import SCORES_FILE

FINISHED_FILE = "finished.json"
FINISHED: JsonFile[dict[str, Any]] = JsonFile(
    dict,
    BadRunFolder,
    "remove it: finished runs are then recognized when they are started again",
    max_bytes=1 << 26,
    is_removable=True,
)
OWN_KEYS = ("name", "runs")
"""Settings that a series sets for each run."""


@dataclass(frozen=True)
class Request:
    """A request for a series: `processes` per run, and `parallel` concurrent runs, or as many as `gpus` allow.

    `command_line` is the command itself; repeating it resumes the series.
    """

    config: Path
    overrides: tuple[str, ...]
    command_line: str
    processes: int = 1
    parallel: int = 1
    gpus: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class Run:
    """One run of a series: its name in the series folder, its overrides, and its plan."""

    name: str
    overrides: tuple[str, ...]
    plan: Plan

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.plan.settings.runs) / self.plan.settings.name

    @property
    def log(self) -> Path:
        """The file with the output of its processes."""
        return self.folder.with_name(f"{self.name}.log")

    def command(self, config: Path, processes: int) -> list[str]:
        """The command that starts the run."""
        return training_command(config, self.overrides, processes, self.folder / LOG_FOLDER)


@dataclass(frozen=True)
class Series:
    """Runs that belong together, in `runs/NAME`; all have the same selection metric."""

    request: Request
    folder: Path
    runs: tuple[Run, ...]

    @property
    def metric(self) -> str:
        """The selection metric, by which the best epoch is chosen."""
        return self.runs[0].plan.best_metric.name

    @property
    def higher_is_better(self) -> bool:
        """The direction of the selection metric."""
        return self.runs[0].plan.best_metric.higher_is_better

    def is_finished(self, run: Run) -> bool:
        """Whether the run was finished with exactly the current settings, and its folder still exists."""
        known = self._finished().get(run.name)
        return known == published(settings_module.to_dict(run.plan.settings)) and reading.is_file(
            run.folder / SCORES_FILE
        )

    def mark_finished(self, run: Run) -> None:
        """Record that the run is finished with its settings."""
        known = {**self._finished(), run.name: published(settings_module.to_dict(run.plan.settings))}
        storage.write_atomic(self.folder / FINISHED_FILE, json.dumps(known, indent=1) + "\n")

    def _finished(self) -> dict[str, Any]:
        return FINISHED.read(self.folder / FINISHED_FILE) or {}

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Lock the series folder, yielding the descriptor. Runs inherit it, so the lock outlives a killed command."""
        with closing(FolderLock.acquire(self.folder, again=False)) as lock:
            yield lock.handle


def plan_series(request: Request, members: Mapping[str, Sequence[str]]) -> Series:
    """Plan every run, given by name and overrides, as `train.py` would. Writes nothing.

    Raises UserError, with the run's name, if a run would be refused.
    """
    folder = series_folder(request)
    runs = []
    for name, own in members.items():
        overrides = (*request.overrides, *own, f"runs={_quoted(str(folder))}", f"name={_quoted(name)}")
        try:
            chosen, origin = settings_module.load(request.config, overrides)
            plan = decide(chosen, origin, Catalog.installed(), request.processes, not request.dry_run)
            check_same_run(folder / name, plan)
        except UserError as error:
            error.wrong = f"{name}: {error.wrong}"
            raise
        runs.append(Run(name, overrides, plan))
    metrics = sorted({run.plan.best_metric.name for run in runs})
    if len(metrics) > 1:
        wrong = f"the runs select by different scores: {', '.join(metrics)}"
        raise SettingsError(wrong, "set select.metric to a score that all runs compute")
    return Series(request, folder, tuple(runs))


def series_folder(request: Request) -> Path:
    """`runs/NAME` of the series. Raises BadRunFolder if it is a run folder, SettingsError under Paddle's launcher."""
    refuse_launcher()
    chosen, _ = settings_module.load(request.config, request.overrides)
    folder = run_path(chosen)
    outputs.require_folder(folder, "the folder of the series")
    refuse_held(folder)
    if reading.is_file(folder / SETTINGS_FILE):
        wrong = f"{folder} is the folder of a single run, but a series needs its own folder"
        raise BadRunFolder(wrong, f"choose another name, as name={chosen.name}_series")
    return folder


def refuse_own_keys(request: Request, keys: Sequence[str], instead: str) -> None:
    """Raise SettingsError for overrides of keys that the command itself sets."""
    for item in request.overrides:
        if item.partition("=")[0] in keys:
            raise SettingsError(f"'{item}' cannot be given: this command sets that key for each run", instead)


def describe(series: Series) -> str:
    """The dry-run output: the plan of the first run, and the state and command of each run."""
    request = series.request
    first = series.runs[0]
    lines = [f"{len(series.runs)} runs in {series.folder}; the first:", *_indented(plan_table(first.plan)), ""]
    for run in series.runs:
        state = (
            "finished"
            if series.is_finished(run)
            else "begun"
            if reading.is_file(run.folder / SETTINGS_FILE)
            else "to do"
        )
        lines += [f"{run.name}  {state}", f"  {shell_command(*run.command(request.config, request.processes))}"]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _quoted(text: str) -> str:
    """The text as an override value, quoted if YAML would parse it as something else."""
    same = OmegaConf.from_dotlist([f"key={text}"]).get("key") == text
    return text if same else json.dumps(text)
