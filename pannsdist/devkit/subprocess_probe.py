"""Probes of a plugin that need a fresh interpreter; the subprocess runs `subprocess_reports`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pannsdist.devkit.checking import CheckFailed, Subject
from pannsdist.registry import Entry
from pannsdist.runtime import storage
from pannsdist.runtime.reading import complete_lines

LIMIT_S = 600.0
"""Timeout against hanging processes."""


@dataclass(frozen=True)
class Listing:
    """A dataset as listed by another process: the audio files opened meanwhile, and the clip ids by split."""

    opened: tuple[str, ...]
    ids: Mapping[str, list[str]]


def import_side_effects(entry: Entry) -> list[str]:
    """Descriptions of the side effects of importing a plugin's module."""
    return list(_import_side_effects(entry.target.partition(":")[0]))


def listing(subject: Subject, hash_seed: int) -> Listing:
    """List the clips of a dataset in another process with the given `PYTHONHASHSEED`."""
    (found,) = _lines(["listing", *_names(subject)], {"PYTHONHASHSEED": str(hash_seed)})
    return Listing(tuple(found["opened"]), found["ids"])


def minimum_lengths(subject: Subject) -> tuple[list[str], list[str]]:
    """(front ends tried, those whose minimum-length waveform the model could process)."""
    lines = _lines(["shortest", *_names(subject)], may_die=True)
    tried, passed = ([line.removeprefix(w) for line in lines if line.startswith(w)] for w in ("tried ", "passed "))
    return tried, passed


def tracking_side_effects(subject: Subject) -> Mapping[str, list[str]]:
    """Descriptions of what a tracker does besides writing into the run folder, by kind."""
    return _tracking_side_effects(*_names(subject))


@cache
def _tracking_side_effects(*names: str) -> dict[str, list[str]]:
    with storage.temporary_folder() as place:
        folder = place.resolve()
        storage.make_folder(folder / "temporary")
        variables = {"TMPDIR": str(folder / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
        (found,) = _lines(["tracked", *names, str(folder)], variables)
        return dict(found)


@cache
def _import_side_effects(module: str) -> tuple[str, ...]:
    return tuple(_lines(["effects", module]))


def environment(**changed: str) -> dict[str, str]:
    """An environment with the same module search path, and without the launcher's variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PADDLE_")}
    path = os.pathsep.join(str(Path(place or ".").resolve()) for place in sys.path)
    return {**kept, "PYTHONPATH": path, **changed}


def _names(subject: Subject) -> list[str]:
    return [subject.entry.kind, subject.entry.qualified_name, json.dumps(dict(subject.given))]


def _lines(probe: list[str], variables: Mapping[str, str] | None = None, may_die: bool = False) -> list[Any]:
    """Run a probe in a fresh interpreter and return its results. Raises CheckFailed if the process fails."""
    with storage.temporary_folder() as folder:
        results = folder / "results"
        storage.write_file(results, "")
        command = [sys.executable, "-m", "pannsdist.devkit.subprocess_reports", str(results), *probe]
        try:
            done = subprocess.run(  # noqa: S603 our own interpreter
                command,
                stdin=subprocess.DEVNULL,
                env=environment(**(variables or {})),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CheckFailed(f"timed out after {LIMIT_S:.0f} s") from error
        if done.returncode and not may_die:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise CheckFailed(f"in a fresh interpreter: {last}")
        return [json.loads(line) for line in complete_lines(results)]
