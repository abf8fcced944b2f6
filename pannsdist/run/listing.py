"""The runs below a folder, each with its state: running, stopped or finished."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pannsdist import settings as settings_module
from pannsdist.inference.bundle import BundleRecord, read_record
from pannsdist.run.history import HISTORY_FILE, read_history
from pannsdist.run.same_run import LABELS_FILE, SETTINGS_FILE
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadRunFolder, UserError, shell_command
from pannsdist.runtime.folder_lock import is_held
from pannsdist.runtime.names import shown
from pannsdist.runtime.redaction import published
from pannsdist.training.tracking.scores_file import SCORES_FILE, read_scores

RUNNING, STOPPED, FINISHED, UNREADABLE = "running", "stopped", "finished", "unreadable"
MARKS = (LABELS_FILE, SCORES_FILE, HISTORY_FILE, "checkpoints")
"""A run folder has its settings and at least one of these."""
DEPTH = 6


@dataclass(frozen=True)
class ListedRun:
    """A run folder. `name` is its path below the folder that was searched; `date` is its first start.

    `best` is the record of its best model, None without one. `problem` says why it is unreadable, or is empty.
    """

    path: Path
    name: str
    state: str
    model: str = ""
    dataset: str = ""
    epochs_done: int = 0
    epochs: int = 0
    best: BundleRecord | None = None
    date: str = ""
    problem: str = ""

    @property
    def best_value(self) -> float | None:
        """The value of the selection metric of the best model; None where it is not finite."""
        value = self.best.scores.get(self.best.metric) if self.best else None
        return value if value is not None and math.isfinite(value) else None

    def record(self) -> dict[str, Any]:
        """The run as a JSON record."""
        own = {key: value for key, value in vars(self).items() if key not in ("path", "best")}
        best = self.best and {"metric": self.best.metric, "value": self.best_value, "epoch": self.best.epoch}
        return {"path": published(str(self.path)), **own, "best": best}


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return reading.is_file(folder / SETTINGS_FILE) and any(reading.exists(folder / name) for name in MARKS)


def find_runs(root: Path) -> list[ListedRun]:
    """The runs in a folder or below it, sorted by name; links to folders are not followed.

    Raises BadRunFolder if it is no folder.
    """
    if not reading.is_folder(root):
        raise BadRunFolder(f"{root} is not a folder", "give a run folder, or a folder with runs", "ls")
    return [_listed(path, shown(path.relative_to(root)) if path != root else shown(path.name)) for path in _walk(root)]


def chosen_runs(folders: Iterable[Path]) -> list[ListedRun]:
    """The runs in all folders, each once. Raises BadRunFolder for a folder without any."""
    found: dict[Path, ListedRun] = {}
    for folder in folders:
        runs = find_runs(folder)
        if not runs:
            right = "give a run folder, such as runs/NAME, or a folder with runs"
            raise BadRunFolder(f"there is no run in {folder}", right, shell_command("ls", folder))
        for run in runs:
            found.setdefault(run.path.resolve(), run)
    return [*found.values()]


def _walk(root: Path) -> Iterator[Path]:
    """Run folders, without looking into them."""

    def refuse(error: OSError) -> None:
        raise reading.cannot_read(root, error) from error

    for place, folders, _ in os.walk(root, onerror=refuse):
        path = Path(place)
        folders.sort()
        if is_run(path):
            folders.clear()
            yield path
        elif len(path.relative_to(root).parts) >= DEPTH:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".")]


def run_state(path: Path) -> str:
    """The state of a run folder. Raises BadRunFolder, CannotRead for a damaged history."""
    if is_held(path):
        return RUNNING
    return FINISHED if read_history(path).is_finished else STOPPED


def _listed(path: Path, name: str) -> ListedRun:
    try:
        tree, history, scores = (
            settings_module.read_yaml(path / SETTINGS_FILE),
            read_history(path),
            read_scores(path / SCORES_FILE),
        )
        best = read_record(path / "best_model") if reading.is_folder(path / "best_model") else None
        return ListedRun(
            path,
            name,
            run_state(path),
            _within(tree, "model", "name", str),
            _within(tree, "data", "name", str),
            scores[-1]["epoch"] if scores else 0,
            _within(tree, "train", "epochs", int),
            best,
            history.starts[0].date if history.starts else "",
        )
    except (UserError, ValueError, TypeError) as error:
        return ListedRun(path, name, UNREADABLE, problem=error.wrong if isinstance(error, UserError) else str(error))


def _within(tree: Any, section: str, key: str, kind: Callable[[Any], Any]) -> Any:
    found = tree.get(section)
    return kind(found[key]) if isinstance(found, dict) and key in found else kind()  # type: ignore[call-arg]
