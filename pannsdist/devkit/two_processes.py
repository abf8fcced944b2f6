"""A one-step training run on two processes, started by Paddle's launcher."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pannsdist.devkit import subprocess_probe
from pannsdist.devkit.checking import CheckFailed, NotApplicable, Subject, require
from pannsdist.run.launching.command import training_command
from pannsdist.runtime import storage

LIMIT_S = 600.0
"""Timeout against hanging; a run takes seconds."""
LAUNCHER_GRACE_S = 40.0
"""Longer than the 30 s after which Paddle's launcher kills its processes."""
SHOWN_LINES = 3


def train_a_step(sections: Mapping[str, Any], rate_hz: int, shortest_samples: int) -> str:
    """Train for one step with these sections of the settings, and return a summary.

    Raises CheckFailed with the last lines of the output if training fails.
    """
    if not 8000 <= rate_hz <= 192_000:
        raise NotApplicable(f"the test clips cannot be generated at {rate_hz} Hz")
    with storage.temporary_folder() as folder:
        settings = folder / "settings.yaml"
        storage.write_file(settings, json.dumps(_settings(sections, folder, rate_hz, shortest_samples)))
        code, output = _launched(settings, folder)
        if code != 0:
            raise CheckFailed(f"exit code {code}: {_last_lines(output)}")
        require((folder / "check" / "best_model" / "bundle.json").is_file(), "no model folder was written")
        return "one step of 4 clips, and a model folder"


def named(subject: Subject) -> dict[str, Any]:
    """A settings section that selects the plugin with its params."""
    return {"name": subject.entry.qualified_name, "params": dict(subject.given)}


def _settings(sections: Mapping[str, Any], folder: Path, rate_hz: int, shortest_samples: int) -> dict[str, Any]:
    crop_s = max(0.2, math.ceil(100 * shortest_samples / rate_hz) / 100)
    sounds = {"classes": 2, "clips_per_class": 2, "valid_clips_per_class": 1, "sample_rate_hz": rate_hz}
    return {
        "name": "check",
        "runs": str(folder),
        "data": {
            "name": "pannsdist:tones",
            "workers": 0,
            "params": {**sounds, "duration_s": min(600.0, 2 * crop_s)},
        },
        "train": {"epochs": 1, "batch_size": 4, "crop_s": crop_s},
        **sections,
    }


def _launched(settings: Path, folder: Path) -> tuple[int, str]:
    """The exit code of the launcher, and the output of all processes."""
    with storage.opened(folder / "output", "wb") as output:
        process = subprocess.Popen(  # noqa: S603 our own interpreter
            training_command(settings, (), 2, folder / "log"),
            cwd=folder,
            env=subprocess_probe.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"timed out after {LIMIT_S:.0f} s") from error
        finally:
            _end(process)
    logs = [folder / "output", *sorted((folder / "log").glob("workerlog.*"))]
    return code, "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in logs if path.is_file())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and its processes, which are in sessions of their own: only the launcher can reach them."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(LAUNCHER_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_lines(output: str) -> str:
    """The last error lines, or the last lines if there are no errors."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ") or "Error" in line.split(" ")[0]]
    return "; ".join((errors or lines)[-SHOWN_LINES:])
