"""Recipes on real recordings reach what their files promise."""

import csv
import json

import launching
import pytest

pytestmark = pytest.mark.real
LIMIT_S = 3600.0


def best_accuracy(folder):
    lines = (folder / "scores.jsonl").read_text().splitlines()
    return max(json.loads(line)["valid/accuracy"] for line in lines)


def test_esc10_from_published_weights_is_learnt_and_its_sounds_are_named(shared, work):
    root = shared / "data" / "ESC-10"
    weights = shared / "weights" / "mn04_as_mAP_432.pt"
    launched = launching.train(
        "esc10_mn04.yaml",
        f"data.params.root={root}",
        "data.params.valid_fold=1",
        "train.epochs=3",
        f"model.weights={weights}",
        processes=2,
        cwd=work,
        timeout=LIMIT_S,
    )
    assert launched.exit_codes == (0, 0), str(launched)
    folder = work / "runs" / "esc10_mn04"
    assert best_accuracy(folder) >= 0.95

    with (root / "meta" / "esc50.csv").open() as table:
        held_out = [row for row in csv.DictReader(table) if row["fold"] == "1" and row["esc10"] == "True"]
    asked = {}
    for category in ("dog", "rain", "helicopter"):
        row = next(row for row in held_out if row["category"] == category)
        asked[str(root / "audio" / row["filename"])] = category
    answers = launching.pannsdist(
        "predict", "--model", folder / "best_model", *asked, "--topk", "1", "--format", "csv", cwd=work
    )
    assert answers.exit_code == 0, str(answers)
    rows = list(csv.reader(answers.output.splitlines()))
    heard = {path: label for path, rank, label, _ in (row for row in rows if len(row) == 4) if rank == "1"}
    assert heard == asked


def test_esc10_from_scratch_is_learnt_in_part_by_two_epochs(shared, work):
    root = shared / "data" / "ESC-10"
    overrides = [f"data.params.root={root}", "train.epochs=2"]
    launched = launching.train("esc10_cnn6.yaml", *overrides, processes=2, cwd=work, timeout=LIMIT_S)
    assert launched.exit_codes == (0, 0), str(launched)
    assert best_accuracy(work / "runs" / "esc10_cnn6") >= 0.2  # chance is 0.1
