"""What the run in a folder was started with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pannsdist import settings
from pannsdist.inference.bundle import RECORD_FILE
from pannsdist.run.doctor.facts import RunRecord
from pannsdist.run.history import read_history
from pannsdist.run.same_run import SETTINGS_FILE, other_settings
from pannsdist.runtime import reading
from pannsdist.runtime.errors import BadBundle, UserError
from pannsdist.runtime.foreign import excerpt
from pannsdist.runtime.json_files import JsonFile

BEST = "best_model"


def record(path: Path, config: Path | None, overrides: Sequence[str]) -> RunRecord | None:
    """The record of the run in a folder, compared with these settings; None where no run is there."""
    try:
        if not reading.is_file(path / SETTINGS_FILE):
            return None
        starts = read_history(path).starts
        versions = dict(starts[-1].versions) if starts else {}
        return RunRecord(versions, PLUGINS.read(path / BEST / RECORD_FILE) or {}, _others(path, config, overrides))
    except UserError as error:
        return RunRecord(unreadable=error.wrong)


def _plugins(content: dict[str, Any]) -> dict[str, str]:
    """The distributions of the plugins that made the best model, with their versions."""
    parts = [content["model"], content["feature"], content["dataset"], *content["further"].values()]
    origins = [part["origin"] for part in parts]
    return {excerpt(origin["distribution"]): excerpt(origin["version"]) for origin in origins}


PLUGINS = JsonFile(_plugins, BadBundle, None)
"""A damaged record names none: loading the model says what is wrong with it."""


def _others(path: Path, config: Path | None, overrides: Sequence[str]) -> dict[str, str]:
    """The settings that differ from those of the run, and may not."""
    if config is None:
        return {}
    now, _ = settings.load(config, overrides)
    changed = other_settings(path / SETTINGS_FILE, now)
    return {key: f"{before!r} there, {after!r} now" for key, (before, after) in changed.items()}
