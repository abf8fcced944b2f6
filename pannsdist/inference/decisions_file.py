"""Puts decisions into a model folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pannsdist.inference.bundle import RECORD_FILE, read_record
from pannsdist.inference.decisions import Decisions
from pannsdist.runtime import storage
from pannsdist.runtime.foreign import parse_json


def write_decisions(folder: Path, decisions: Decisions) -> None:
    """Put decisions into `bundle.json` of a model folder, atomically. Raises BadBundle, CannotRead, CannotWrite."""
    folder = storage.complete_version(folder)
    read_record(folder)
    content = parse_json((folder / RECORD_FILE).read_bytes(), RECORD_FILE)
    content["decisions"] = dataclasses.asdict(decisions)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    storage.write_atomic(folder / RECORD_FILE, text + "\n")
