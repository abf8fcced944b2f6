"""The test split evaluated by two real processes together."""

import json

import calling
import pytest


def test_two_processes_evaluate_each_clip_of_the_test_split_once(two, place, env):
    assert two["tested"].exit_codes == (0, 0), str(two["tested"])
    assert "evaluates the best model on the test split, 6 clips" in two["tested"].logs[0]
    work = place / "tested"
    written = json.loads((work / "runs/tested/test.json").read_text())
    assert written["clips"] == 6
    said = calling.pannsdist(
        *("evaluate", "--model", "runs/tested/best_model", "-c", "settings.yaml", "--split", "test"), cwd=work, env=env
    )
    assert said.exit_code == 0, said
    printed = dict(line.split()[:2] for line in said.output.splitlines() if line.startswith("test/"))
    for name, value in written["scores"].items():
        assert value is None or float(printed[name]) == pytest.approx(value, abs=1e-4), name
