"""Damaged sound files, by the seed: no reader ends in a traceback, takes long, or asks for much memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "sound_fuzz.py"


@pytest.mark.parametrize(
    ("first", "end"), [(0, 150), pytest.param(150, 2150, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_damaged_sounds_get_a_verdict_and_every_reader_agrees_with_it(first, end):
    run = subprocess.run(
        [sys.executable, TOOL, str(first), str(end)], capture_output=True, text=True, errors="replace", check=False
    )
    assert run.returncode == 0, f"after seed {run.stderr.split()[-1:]}: {run.stderr[-2000:]}"
    assert json.loads(run.stdout)["faults"] == []
