"""`pannsdist evaluate`: scores, scores of each class and predictions, as a table, JSON and CSV."""

import csv
import json
import math
import re

import numpy as np
import pytest
import soundfile
from fake_model import RATE_HZ
from sklearn import metrics as sk
from small_parts import install, write_small_bundle

LABELS = ("=dog", "rain; heavy", "狗叫, loud", "never")
CLIPS = 12


def setup(folder, monkeypatch, multi_label):
    """A model with random weights, and a table of sounds in which no clip has the last label."""
    site = folder / "site"
    install(site, "small-parts", "[pannsdist.models]\nsmall = small_parts:SmallModel\n")
    monkeypatch.syspath_prepend(str(site))
    write_small_bundle(folder / "best_model", LABELS, multi_label)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(CLIPS):
        soundfile.write(folder / f"{number}.wav", rng.normal(0, 0.1 + 0.05 * number, 3000), RATE_HZ)
        several = [LABELS[column] for column in range(3) if (number + 1) >> column & 1]
        labels = several if multi_label else [LABELS[number % 3]]
        split = "test" if number else "valid"
        rows.append({"path": f"{number}.wav", "labels": labels, "split": split, "id": f"-{number},x"})
    rows.append({"path": "0.wav", "labels": [LABELS[3]], "split": "train", "id": "t"})
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "labels.txt").write_text("\n".join(LABELS), encoding="utf-8")
    params = f"path: {folder}/clips.jsonl, labels: {folder}/labels.txt, multi_label: {str(multi_label).lower()}"
    text = f"model: {{name: small}}\ndata: {{name: manifest, workers: 0, params: {{{params}}}}}\n"
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    return ("evaluate", "--model", folder / "best_model", "-c", folder / "run.yaml", "--split", "test")


@pytest.fixture(params=[False, True], ids=["single", "multi"])
def multi_label(request):
    return request.param


@pytest.fixture
def command(tmp_path, monkeypatch, multi_label):
    monkeypatch.chdir(tmp_path)
    return setup(tmp_path, monkeypatch, multi_label)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def parted(cell):
    return next(csv.reader([cell.removeprefix("'")], delimiter=";"), []) if cell else []


def test_predictions_have_truth_decision_and_probabilities_from_which_the_scores_follow(
    run, command, multi_label, tmp_path
):
    code, out, err = run(*command, "--predictions", "p.csv", "--per-class", "--format", "json")
    assert (code, err) == (0, "")
    said, rows = json.loads(out), rows_of(tmp_path / "p.csv")
    assert list(rows[0]) == ["id", "truth", "decision", *(f"p_{label}" for label in LABELS)]
    assert sorted(row["id"] for row in rows) == sorted(f"'-{number},x" for number in range(1, CLIPS))
    assert said["clips"] == len(rows) == CLIPS - 1
    probabilities = np.array([[float(row[f"p_{label}"]) for label in LABELS] for row in rows])
    truth, decision = (
        np.array(
            [
                [label in (parted(row[name]) if multi_label else [row[name].removeprefix("'")]) for label in LABELS]
                for row in rows
            ]
        )
        for name in ("truth", "decision")
    )
    expected = probabilities >= 0.5 if multi_label else np.eye(4, dtype=bool)[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(decision, expected)
    for column, one in enumerate(said["classes"][:3]):
        assert one["support"] == truth[:, column].sum()
        assert one["predicted"] == decision[:, column].sum()
        expected = sk.average_precision_score(truth[:, column], probabilities[:, column])
        assert one["average_precision"] == pytest.approx(expected)
        assert one["roc_auc"] == pytest.approx(sk.roc_auc_score(truth[:, column], probabilities[:, column]))
        f1 = sk.f1_score(truth[:, column], decision[:, column], zero_division=0)
        assert one["f1"] == pytest.approx(f1)


def test_a_class_without_clips_has_empty_scores_and_is_named(run, command, tmp_path):
    _, out, _ = run(*command, "--per-class", "--format", "json")
    said = json.loads(out)
    absent = said["classes"][3]
    assert absent.pop("label") == "never"
    assert absent.pop("support") == 0
    assert absent.pop("predicted") >= 0
    assert set(absent.values()) == {None}
    assert said["labels_without_clips"] == ["never"]
    assert said["means"]["average_precision"]["classes"] == 3
    assert said["means"]["average_precision"]["value"] == said["scores"]["test/mean_average_precision"]["value"]
    run(*command, "--per-class", "-o", "classes.csv")
    rows = rows_of(tmp_path / "classes.csv")
    for name in ("precision", "recall", "f1", "average_precision", "roc_auc"):
        low, high = (said["classes"][0][f"{name}_{end}"] for end in ("low", "high"))
        assert low <= said["classes"][0][name] <= high
        assert (rows[0][f"{name}_low"], rows[3][f"{name}_low"]) == (repr(low), "")
    assert [row["label"] for row in rows] == ["'=dog", *LABELS[1:]]
    assert (rows[3]["support"], rows[3]["f1"], rows[3]["roc_auc"]) == ("0", "", "")
    assert float(rows[0]["f1"]) == said["classes"][0]["f1"]
    _, out, _ = run(*command, "--per-class")
    assert "test: 11 clips, 4 classes\n" in out
    never = next(line for line in out.splitlines() if line.startswith("never"))
    assert never.split()[3:] == ["-"] * 5
    assert "labels without clips in test, which have no scores and are in no mean: never\n" in out
    assert next(line for line in out.splitlines() if line.startswith("classes in the mean")).split()[-5:] == ["3"] * 5


def test_scores_as_csv_have_their_intervals_and_the_number_of_clips(run, command, multi_label):
    code, out, _ = run(*command, "--format", "csv")
    assert code == 0
    rows = {row["score"]: row for row in csv.DictReader(out.splitlines())}
    assert {row["clips"] for row in rows.values()} == {"11"}
    selected = rows["test/macro_f1"]
    assert float(selected["low"]) <= float(selected["value"]) <= float(selected["high"])
    assert rows["test/calibration_error"]["low"] == ""
    assert ("test/accuracy" in rows) is not multi_label
    assert run(*command, "--format", "csv")[1] == out, "the same clips are drawn again"


@pytest.fixture
def single(tmp_path, monkeypatch):
    """The command for a model of one label."""
    monkeypatch.chdir(tmp_path)
    return setup(tmp_path, monkeypatch, multi_label=False)


def test_the_size_of_batches_and_the_device_change_no_score(run, single, tmp_path):
    for name, options in (
        ("default", ()),
        ("one", ("--batch-size", "1")),
        ("five", ("--device", "cpu", "--batch-size", "5")),
    ):
        assert run(*single, "--predictions", f"{name}.csv", *options)[0] == 0
    first, *others = (rows_of(tmp_path / f"{name}.csv") for name in ("default", "one", "five"))
    for other in others:
        for row, expected in zip(other, first, strict=True):
            assert row["id"] == expected["id"]
            assert [float(row[f"p_{one}"]) for one in LABELS] == pytest.approx(
                [float(expected[f"p_{one}"]) for one in LABELS], abs=1e-6
            )


def test_a_device_that_is_not_there_is_refused_by_every_command(run, single, tmp_path):
    model, sound = ("--model", tmp_path / "best_model"), tmp_path / "1.wav"
    embed = ("embed", *model, sound, "-o", tmp_path / "e.npz")
    for arguments in (("predict", *model, sound), ("detect", *model, sound), ("tag", sound), embed, single):
        code, out, err = run(*arguments, "--device", "gpu:99")
        assert (code, out) == (2, "")
        assert err.startswith("error: there is no device 'gpu:99'\n  there is: cpu")
    assert not (tmp_path / "e.npz").exists()


@pytest.mark.usefixtures("single")
def test_predictions_keep_their_order_and_formats_in_batches_of_every_size(run, tmp_path):
    files = [f"{number}.wav" for number in (3, 1, 8, 6, 2, 5, 4, 0, 10)]
    known = ("predict", "--model", "best_model", *files, "--engine", "dygraph")
    for ending in ("csv", "json", "jsonl", "table"):
        written = []
        for size in ((), ("--batch-size", "8"), ("--batch-size", "64"), ("--batch-size", "1")):
            assert run(*known, "--format", ending, *size, "-o", "scores")[:2] == (0, "")
            written.append((tmp_path / "scores").read_text(encoding="utf-8"))
        assert written[0] == written[1], "the default"
        places = [written[0].index(file) for file in files]
        assert places == sorted(places)
        assert len({re.sub(r"[0-9]\.[0-9]+(e-[0-9]+)?", "score", text) for text in written}) == 1
    with pytest.raises(SystemExit, match="2"):
        run(*known, "--batch-size", "0")


def test_one_clip_has_scores_without_intervals(run, command):
    code, out, _ = run(*command, "--split", "valid", "--format", "json")
    assert code == 0
    scores = json.loads(out)["scores"]
    assert math.isfinite(scores["valid/loss"]["value"])
    assert {(one["low"], one["high"]) for one in scores.values()} == {(None, None)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--predictions", "p.txt"), "--predictions p.txt is not a .csv file"),
        (("--predictions", "no/p.csv"), "cannot write --predictions no/p.csv: there is no folder no"),
        (("-o", "no/scores.json"), "cannot write -o no/scores.json: there is no folder no"),
        (("-o", "a.csv", "--predictions", "./a.csv"), "-o and --predictions are the same file"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(run, options, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("evaluate", "--model", "none", "-c", "none.yaml", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert list(tmp_path.iterdir()) == []
