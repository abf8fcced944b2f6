"""Scores and durations are formatted in one module, and JSON is read in one."""

import re

import pytest
from architecture import ROOT

pytestmark = pytest.mark.any_paddle

FORMS = re.compile(r":[.]4f\}|// *(60|3600)\b|/ 3600\b|divmod\([^)]*\), 60")
FIGURES = {"runtime/figures.py", "run/feature_levels.py"}
"""The second prints levels in dB, as numbers to copy into a settings file."""
JSON = re.compile(r"json\.loads?\(")
PARSERS = {"runtime/foreign.py", "contracts/tables.py"}
"""The second reads the lines of a user's table. In the devkit, JSON passes between its own processes."""


def using(pattern: re.Pattern[str]) -> set[str]:
    package = ROOT / "pannsdist"
    files = (path for path in package.rglob("*.py") if pattern.search(path.read_text("utf-8")))
    return {str(path.relative_to(package)) for path in files}


def test_scores_and_durations_are_formatted_in_one_module():
    assert using(FORMS) == FIGURES


def test_json_is_parsed_within_bounds_everywhere():
    assert {name for name in using(JSON) if not name.startswith("devkit/")} == PARSERS
