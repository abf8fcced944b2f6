"""The runs of a series: each checked before the first starts, each in its own folder, none made twice."""

from __future__ import annotations

import fcntl
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import pannsdist
from pannsdist import settings as settings_module
from pannsdist.registry import Catalog
from pannsdist.run.folder import SETTINGS_FILE, check_same_run
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime import launcher, storage
from pannsdist.runtime.errors import BadRunFolder, SettingsError, UserError

FINISHED_FILE, LOCK_FILE = "finished.json", ".lock"
OWN_KEYS = ("name", "runs")
"""What a series sets for each of its runs."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `processes` of each run, `parallel` runs at once, or as many as `gpus` allow.

    `again` is the command line itself, which continues what it began.
    """

    config: Path
    overrides: tuple[str, ...]
    again: str
    processes: int = 1
    parallel: int = 1
    gpus: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class Run:
    """One run of a series: its name in the folder of the series, the overrides that make it, and its plan."""

    name: str
    overrides: tuple[str, ...]
    plan: Plan

    @property
    def folder(self) -> Path:
        """Where it leaves what it leaves."""
        return Path(self.plan.settings.runs) / self.plan.settings.name

    @property
    def log(self) -> Path:
        """What its processes say."""
        return self.folder.with_name(f"{self.name}.log")

    def command(self, config: Path, processes: int) -> list[str]:
        """The command that a user would start it with."""
        arguments = [str(Path(pannsdist.__file__).parent / "train.py"), "-c", str(config), *self.overrides]
        if processes == 1:
            return [sys.executable, *arguments]
        launcher = ["-W", "ignore:No ccache found", "-m", "paddle.distributed.launch", "--log_level", "WARNING"]
        options = ["--nproc_per_node", str(processes), "--log_dir", str(self.folder / "log")]
        return [sys.executable, *launcher, *options, *arguments]


@dataclass(frozen=True)
class Series:
    """Runs that belong together, in `runs/NAME`; all of them select by the same score."""

    request: Request
    folder: Path
    runs: tuple[Run, ...]

    @property
    def metric(self) -> str:
        """The score that selects the best epoch."""
        return self.runs[0].plan.best_metric.name

    @property
    def higher_is_better(self) -> bool:
        """The direction of that score."""
        return self.runs[0].plan.best_metric.higher_is_better

    def is_finished(self, run: Run) -> bool:
        """Whether the run came to its end with the very settings of now, and is still there."""
        known = self._finished().get(run.name)
        return known == settings_module.to_dict(run.plan.settings) and (run.folder / "scores.jsonl").is_file()

    def note_finished(self, run: Run) -> None:
        """Remember that the run came to its end with its settings."""
        known = {**self._finished(), run.name: settings_module.to_dict(run.plan.settings)}
        storage.write_whole(self.folder / FINISHED_FILE, json.dumps(known, indent=1) + "\n")

    def _finished(self) -> dict[str, Any]:
        path = self.folder / FINISHED_FILE
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            right = "remove it: runs that are finished then say so themselves when they are started again"
            raise BadRunFolder(f"{path} is damaged: {error}", right, f"rm {path}") from error

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Keep a second command out, also while processes of one that was killed go on; they inherit the handle."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK_FILE).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wrong = f"another command, or a run that one has left behind, is at work in {self.folder}"
                raise BadRunFolder(wrong, "wait for its end, or stop it", "ps aux | grep train.py") from None
            yield file.fileno()


def plan_series(request: Request, members: Mapping[str, Sequence[str]]) -> Series:
    """Every run by its name and its own overrides, decided as `train.py` would. Writes nothing.

    Raises UserError for whatever one of them would be refused for, with the run's name.
    """
    folder = series_folder(request)
    runs = []
    for name, own in members.items():
        overrides = (*request.overrides, *own, f"runs={_quoted(str(folder))}", f"name={_quoted(name)}")
        try:
            chosen, origin = settings_module.load(request.config, overrides)
            plan = decide(chosen, origin, Catalog.installed(), request.processes)
            check_same_run(folder / name, chosen)
        except UserError as error:
            error.wrong = f"{name}: {error.wrong}"
            raise
        runs.append(Run(name, overrides, plan))
    metrics = sorted({run.plan.best_metric.name for run in runs})
    if len(metrics) > 1:
        wrong = f"the runs select by different scores: {', '.join(metrics)}"
        raise SettingsError(wrong, "set select.metric to one that all of them compute")
    return Series(request, folder, tuple(runs))


def series_folder(request: Request) -> Path:
    """`runs/NAME` for the series. Raises BadRunFolder where a single run is in it, or the launcher started this."""
    if launcher.size() > 1:
        wrong = "this command was started by Paddle's launcher, and would start the launcher itself for each run"
        raise SettingsError(wrong, "start it by itself, with --nproc for the processes of each run")
    chosen, _ = settings_module.load(request.config, request.overrides)
    folder = Path(chosen.runs) / chosen.name
    if (folder / SETTINGS_FILE).is_file():
        wrong = f"{folder} is the folder of a single run, and a series of runs needs one of its own"
        raise BadRunFolder(wrong, f"choose another name, as name={chosen.name}_series")
    return folder


def refuse_own_keys(request: Request, keys: Sequence[str], instead: str) -> None:
    """Refuse overrides of keys that the command sets itself."""
    for item in request.overrides:
        if item.partition("=")[0] in keys:
            raise SettingsError(f"'{item}' cannot be given: this command sets that key for each run", instead)


def describe(series: Series) -> str:
    """What would be done, run by run, with the commands."""
    request = series.request
    first = series.runs[0]
    lines = [f"{len(series.runs)} runs in {series.folder}; the first:", *_indented(plan_table(first.plan)), ""]
    for run in series.runs:
        state = (
            "finished" if series.is_finished(run) else "begun" if (run.folder / SETTINGS_FILE).is_file() else "to do"
        )
        lines += [f"{run.name}  {state}", f"  {shlex.join(run.command(request.config, request.processes))}"]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _quoted(text: str) -> str:
    """The text as the value of an override, in quotes where YAML would read it as something else."""
    same = OmegaConf.from_dotlist([f"key={text}"]).get("key") == text
    return text if same else json.dumps(text)
