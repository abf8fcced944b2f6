"""An evaluation whose network gives no finite output: nothing is 0, nothing is decided, and the reason is written."""

import csv
import json
import math

import numpy as np
import pytest

from pannsdist.contracts.predictions import Predictions
from pannsdist.run.evaluation_output import EvaluatedSplit, write_predictions
from pannsdist.training.evaluator import Evaluation
from pannsdist.training.metrics import scored


def evaluated(multi_label, groups=()):
    logits = np.array([[1.0, -1.0], [math.nan, 2.0], [math.inf, 0.0]], np.float32)
    targets = np.eye(2, dtype=np.float32)[[0, 1, 1]] if multi_label else np.array([0, 1, 1])
    predictions = Predictions(("b", "a", "=c"), logits, targets, ("x", "y"), multi_label, groups)
    found = scored(predictions, "test")
    return EvaluatedSplit("test", Evaluation(found.scores, (), predictions, found.classes), predictions)


@pytest.mark.parametrize("multi_label", [False, True], ids=["single", "multi"])
def test_what_is_not_finite_is_undefined_in_every_format(multi_label, tmp_path):
    given = evaluated(multi_label)
    record = json.loads(given.text("json", True))
    assert {one["value"] for one in record["scores"].values()} == {None}
    assert {one["f1"] for one in record["classes"]} == {None}
    assert record["labels_without_clips"] == []
    rows = list(csv.DictReader(given.text("csv", False).splitlines()))
    assert {(row["value"], row["low"], row["high"], row["clips"]) for row in rows} == {("", "", "", "3")}
    assert "the network's outputs are not finite, so no score is defined\n" in given.text("table", True)
    with np.errstate(all="raise"):
        write_predictions(tmp_path / "p.csv", given.predictions)
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[1:3] == [["'=c", "y", "", "", ""], ["a", "y", "", "", ""]]
    assert lines[3][:3] == ["b", "x", "x"]


def test_groups_are_counted():
    assert evaluated(False, ("g", "g", "h")).text("table", False).startswith("test: 3 clips of 2 groups, 2 classes\n")
