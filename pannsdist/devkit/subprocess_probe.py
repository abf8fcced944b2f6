"""What can be seen only in a Python of its own: asked here, answered by `fresh_answers` over there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pannsdist.devkit.checking import CheckFailed, Subject
from pannsdist.registry import Entry

LIMIT_S = 600.0
"""Against hanging alone."""


@dataclass(frozen=True)
class Listing:
    """What another process saw while it listed a dataset's clips: which audio was opened, and the ids by split."""

    opened: tuple[str, ...]
    ids: Mapping[str, list[str]]


def effects_of_importing(entry: Entry) -> list[str]:
    """What importing a plugin's module does beside defining things, in words."""
    return list(_effects(entry.target.partition(":")[0]))


def listing(subject: Subject, hash_seed: int) -> Listing:
    """The clips of a dataset, listed by another process under another seed of Python's hashes."""
    (answer,) = _lines(["listing", *_names(subject)], {"PYTHONHASHSEED": str(hash_seed)})
    return Listing(tuple(answer["opened"]), answer["ids"])


def shortest_sounds(subject: Subject) -> tuple[list[str], list[str]]:
    """(front ends that were tried, those of them whose shortest sound the model could hear)."""
    lines = _lines(["shortest", *_names(subject)], may_die=True)
    tried, heard = ([line[6:] for line in lines if line.startswith(word)] for word in ("tried ", "heard "))
    return tried, heard


def doings_of_tracking(subject: Subject) -> Mapping[str, list[str]]:
    """What a tracker does beside writing into the folder of the run that it is told of, by kind, in words."""
    return _doings(*_names(subject))


@cache
def _doings(*names: str) -> dict[str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="pannsdist-check-") as place:
        folder = Path(place).resolve()
        (folder / "temporary").mkdir()
        variables = {"TMPDIR": str(folder / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
        (answer,) = _lines(["tracked", *names, str(folder)], variables)
        return dict(answer)


@cache
def _effects(module: str) -> tuple[str, ...]:
    return tuple(_lines(["effects", module]))


def environment(**changed: str) -> dict[str, str]:
    """The environment for a process that shall find the same modules, and is nobody's rank."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PADDLE_")}
    path = os.pathsep.join(str(Path(place or ".").resolve()) for place in sys.path)
    return {**kept, "PYTHONPATH": path, **changed}


def _names(subject: Subject) -> list[str]:
    return [subject.entry.kind, subject.entry.qualified_name, json.dumps(dict(subject.given))]


def _lines(question: list[str], variables: Mapping[str, str] | None = None, may_die: bool = False) -> list[Any]:
    """The answer's lines, each a JSON value. Raises CheckFailed where the process ends in another way."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        answer.touch()
        command = [sys.executable, "-m", "pannsdist.devkit.subprocess_answers", str(answer), *question]
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
            raise CheckFailed(f"it is not done after {LIMIT_S:.0f} s") from error
        if done.returncode and not may_die:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise CheckFailed(f"in a Python of its own: {last}")
        return [json.loads(line) for line in answer.read_text(encoding="utf-8").splitlines()]
