"""Whole runs of the recipe `demo` by the commands that a user types: stopping, resuming, checkpoints and scores."""

from __future__ import annotations

import hashlib
import math
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pannsdist.run.doctor.proving.figures import RunFigures
from pannsdist.runtime import storage
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.reading import bytes_or_empty, names_in, text_or_empty
from pannsdist.training.tracking.scores_file import read_scores

LIMIT_S = 900.0
CLIPS_OF_CLASS, VALID_CLIPS_OF_CLASS = 8, 4
STEP_LINE, LAST_LINES = "epoch 1  step", 15


def whole_runs(processes: int, epochs: int, environment: Mapping[str, str], gpus: Sequence[str]) -> RunFigures:
    """The figures of two runs in a temporary folder; the signal must come before the last of the epochs.

    With GPUs, also of a cross-validation on them.
    """
    with storage.temporary_folder() as folder:
        call = _Calls(folder, processes, epochs, environment)
        code, printed = call.train("whole")
        if code != 0:
            return RunFigures(code, last_lines=_last(printed))
        sums = [_matches(path) for path in _checkpoints(folder, "whole")]
        stop_code, printed = call.train("stopped", stops=True)
        resume_code, again = call.train("stopped") if stop_code != 0 else (stop_code, printed)
        crossval_code, folds = call.cross_validated(gpus) if gpus else (None, "")
        return RunFigures(
            *(code, call.evaluated("whole"), len(sums), sums.count(False), stop_code, resume_code),
            difference(_scores(folder, "whole"), _scores(folder, "stopped")),
            crossval_code,
            _last(folds if crossval_code else again),
        )


class _Calls:
    """Calls of the command in one folder."""

    def __init__(self, folder: Path, processes: int, epochs: int, environment: Mapping[str, str]) -> None:
        self._folder, self._processes, self._epochs = folder, processes, epochs
        self._environment = dict(environment)

    def train(self, name: str, stops: bool = False) -> tuple[int, str]:
        """Exit code and output of a training; with `stops` it gets SIGTERM after its first step."""
        data = (
            f"data.params.clips_per_class={CLIPS_OF_CLASS}",
            f"data.params.valid_clips_per_class={VALID_CLIPS_OF_CLASS}",
        )
        words = ["train", "-c", "recipe:demo", "--nproc", str(self._processes), f"name={name}", *data]
        words += [f"train.epochs={self._epochs}", f"train.batch_size={4 * self._processes}", "train.crop_s=0.5"]
        process = self._started([*words, "log.every_steps=1", "trackers={}"])
        printed = []
        for line in process.stdout or ():
            printed.append(line)
            if stops and line.startswith(STEP_LINE):
                process.send_signal(signal.SIGTERM)
                stops = False
        return process.wait(LIMIT_S), "".join(printed)

    def cross_validated(self, gpus: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of a cross-validation of two folds, with as many runs at once as GPUs are given."""
        words = ["crossval", "-c", "recipe:demo", "name=folds", "--folds", "1,2", "--gpus", ",".join(gpus)]
        words += [f"data.params.clips_per_class={CLIPS_OF_CLASS}", "train.epochs=1", "train.crop_s=0.5", "trackers={}"]
        process = self._started(words)
        printed, _ = process.communicate(timeout=LIMIT_S)
        return process.returncode, printed

    def evaluated(self, name: str) -> float | None:
        """The largest difference between the best scores of a run and those of its model; None without any."""
        run = self._folder / "runs" / name
        words = ["evaluate", "--model", str(run / "best_model"), "-c", str(run / "settings.yaml"), "--format", "json"]
        process = self._started(words)
        printed, _ = process.communicate(timeout=LIMIT_S)
        if process.returncode != 0:
            return None
        said = parse_json(printed[printed.index("{") :].encode(), "what evaluate prints")
        found = {key: one["value"] for key, one in said["scores"].items()}
        rows = [row for row in _scores(self._folder, name) if row.get("valid/loss") == found.get("valid/loss")]
        if not rows:
            return math.inf
        return max(_apart(rows[0][key], value) for key, value in found.items() if key in rows[0])

    def _started(self, words: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "pannsdist", *words],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


def _scores(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines of `scores.jsonl` of a run."""
    return read_scores(folder / "runs" / name / "scores.jsonl")


def difference(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> float:
    """The largest difference of a loss or a score between two runs; infinite where other epochs or scores are there."""
    chosen = [
        [{key: value for key, value in row.items() if key.startswith(("train/", "valid/", "epoch"))} for row in part]
        for part in (rows, others)
    ]
    if not chosen[0] or [list(row) for row in chosen[0]] != [list(row) for row in chosen[1]]:
        return math.inf
    pairs = [(row[key], other[key]) for row, other in zip(*chosen, strict=True) for key in row]
    return max(_apart(one, other) for one, other in pairs)


def _apart(one: Any, other: Any) -> float:
    """0 for equal values and for two that are no number; infinite for what cannot be compared."""
    if one == other or str(one) == str(other):
        return 0.0
    try:
        return abs(float(one) - float(other))
    except (TypeError, ValueError):
        return math.inf


def _checkpoints(folder: Path, name: str) -> list[Path]:
    parent = folder / "runs" / name / "checkpoints"
    return [parent / one for one in names_in(parent) if one.startswith("step_")]


def _matches(checkpoint: Path) -> bool:
    """Whether the files of a checkpoint match its checksums."""
    lines = [line.split(maxsplit=1) for line in text_or_empty(checkpoint / "SHA256SUMS").splitlines()]
    found = [hashlib.sha256(bytes_or_empty(checkpoint / name)).hexdigest() == wanted for wanted, name in lines]
    return bool(found) and all(found)


def _last(printed: str) -> str:
    return "\n".join(printed.splitlines()[-LAST_LINES:])
