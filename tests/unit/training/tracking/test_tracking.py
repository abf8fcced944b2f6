"""Terminal output, `scores.jsonl`, and saved predictions."""

import csv
import errno
import io
import json
import math
from dataclasses import replace

import disk_calls
import faulty_disk
import numpy as np
import pytest

from pannsdist.contracts import EpochReport, Pace, StepReport
from pannsdist.runtime.errors import BadRunFolder, CannotRead
from pannsdist.training.metrics import Predictions, class_scores
from pannsdist.training.tracking import (
    ClassScoresFile,
    ConsoleTracker,
    PredictionsTracker,
    ScoresFile,
    read_predictions,
)

SCORES = {"train/loss": 0.75, "valid/accuracy": 0.5}


def steps(step=5, left_s=3723.0, epoch_step=1):
    rates = {"stem": 1e-4, "head": 1e-3}
    return StepReport(2, step, epoch_step, 4, 0.51234, rates, Pace(12.34, 0.256, left_s, 62.0))


def epoch(number=2, scores=SCORES, is_best=True, predictions=None):
    return EpochReport(number, 3, 4 * number, scores, "valid/accuracy", is_best, 61.0, predictions)


def predictions(labels=("a", "b", "c"), targets=(0, 1)):
    logits = np.arange(2 * len(labels), dtype=np.float32).reshape(2, -1)
    return Predictions(("x", "y"), logits, np.array(targets, np.int64), labels, False)


def test_steps_are_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    ConsoleTracker(stream).steps(steps())
    assert stream.getvalue() == (
        "epoch 2  step 1/4  loss 0.5123  lr 1.00e-03  12.3 clips/s  waiting 26%  elapsed 1:02  left 1:02:03\n"
    )


@pytest.mark.parametrize(("is_best", "end"), [(True, "  best valid/accuracy"), (False, "")])
def test_an_epoch_is_a_line(is_best, end):
    stream = io.StringIO()
    ConsoleTracker(stream).epoch(epoch(is_best=is_best))
    assert stream.getvalue() == f"epoch 2/3  train/loss 0.7500  valid/accuracy 0.5000  (1:01){end}\n"


def test_an_epoch_prints_the_main_scores_and_the_selecting_one():
    stream = io.StringIO()
    scores = {**SCORES, "valid/loss": 1.0, "valid/macro_f1": 0.25, "valid/cohen_kappa": 0.1}
    ConsoleTracker(stream).epoch(epoch(scores=scores))
    said = stream.getvalue()
    assert "train/loss 0.7500  valid/accuracy 0.5000  valid/loss 1.0000  valid/macro_f1 0.2500  (" in said
    assert "cohen_kappa" not in said
    report = EpochReport(1, 3, 4, scores, "valid/cohen_kappa", True, 1.0)
    ConsoleTracker(stream).epoch(report)
    assert "valid/cohen_kappa 0.1000  (0:01)  best valid/cohen_kappa" in stream.getvalue()


def test_an_epoch_prints_the_metrics_of_the_settings():
    stream = io.StringIO()
    scores = {**SCORES, "valid/f_beta": 0.25, "valid/f_beta_of_train": 0.3}
    ConsoleTracker(stream, metrics=["f_beta"]).epoch(epoch(scores=scores))
    assert stream.getvalue().startswith(
        "epoch 2/3  train/loss 0.7500  valid/accuracy 0.5000  valid/f_beta 0.2500  (1:01)"
    )


def test_labels_without_clips_are_listed_once():
    stream = io.StringIO()
    tracker = ConsoleTracker(stream)
    for number in (1, 2):
        tracker.epoch(epoch(number, predictions=predictions()))
    assert stream.getvalue().count("labels without clips in valid: c; excluded from macro averages\n") == 1


def test_many_absent_labels_are_cut_short_and_none_print_nothing():
    stream = io.StringIO()
    labels = tuple(f"label{number:02d}" for number in range(15))
    ConsoleTracker(stream).epoch(epoch(predictions=predictions(labels)))
    assert "in valid: label02, label03," in stream.getvalue()
    assert "label11 and 3 more; excluded" in stream.getvalue()
    stream = io.StringIO()
    ConsoleTracker(stream).epoch(epoch(predictions=predictions(("a", "b"))))
    assert "labels without clips" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal_gives_way_to_the_line_of_the_epoch():
    stream = Terminal()
    tracker = ConsoleTracker(stream)
    tracker.steps(steps())
    tracker.steps(steps(step=6, epoch_step=2))
    bar = stream.getvalue().split("\r")[-1]
    assert bar.startswith("epoch 2  step 2/4  |")
    assert "|  loss 0.5123  lr 1.00e-03  12.3 clips/s  waiting 26%  elapsed 1:02  left 1:02:03" in bar
    assert "," not in stream.getvalue()
    tracker.epoch(epoch())
    tracker.close()
    assert stream.getvalue().endswith("(1:01)  best valid/accuracy\n")


def test_a_notebook_shows_a_bar_too():
    class OutStream(io.StringIO):
        """As ipykernel's, which is no terminal, but goes back to the start of a line."""

    OutStream.__module__ = "ipykernel.iostream"
    stream = OutStream()
    ConsoleTracker(stream).steps(steps())
    assert "\repoch 2  step 1/4  |" in stream.getvalue()


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_epoch_is_a_line_of_json_with_non_finite_scores_as_null(tmp_path):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(scores={**SCORES, "valid/loss": math.nan, "valid/auc": math.inf}))
    assert lines(path) == [
        {
            **{"epoch": 2, "step": 8, "train/loss": 0.75, "valid/accuracy": 0.5},
            **{"valid/loss": None, "valid/auc": None, "seconds": 61.0},
        }
    ]


def test_a_resumed_run_writes_no_epoch_twice(tmp_path):
    path = tmp_path / "scores.jsonl"
    first = ScoresFile(path, 0)
    for number in (1, 2, 3):
        first.epoch(epoch(number))
    again = ScoresFile(path, 2)
    again.epoch(epoch(3))
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3]


def test_an_epoch_that_is_evaluated_again_replaces_its_line(tmp_path):
    """Within a session, after a resume, and in a file that an older version left."""
    path = tmp_path / "scores.jsonl"
    file = ScoresFile(path, 0)
    for number, step in ((1, 4), (2, 5), (2, 8)):
        file.epoch(replace(epoch(number), step=step))
    assert [(line["epoch"], line["step"]) for line in lines(path)] == [(1, 4), (2, 8)]
    file = ScoresFile(path, 2)
    for number, step in ((2, 9), (3, 12)):
        file.epoch(replace(epoch(number), step=step))
    assert [(line["epoch"], line["step"]) for line in lines(path)] == [(1, 4), (2, 9), (3, 12)]
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    ScoresFile(path, 3)
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES], ids=errno.errorcode.get)
def test_lines_that_cannot_be_read_now_are_not_lost(tmp_path, number):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(1))
    with faulty_disk.failing(path, number), pytest.raises(CannotRead, match=r"scores.jsonl cannot be read"):
        ScoresFile(path, 1)
    with faulty_disk.failing(path, errno.ESTALE, times=1):
        ScoresFile(path, 1)
    assert [line["epoch"] for line in lines(path)] == [1]


def test_a_checkpoint_can_count_on_the_lines(tmp_path):
    file = ScoresFile(tmp_path / "scores.jsonl", 0)
    file.epoch(epoch(1))
    with disk_calls.recorded() as calls:
        file.flush()
    assert calls == [("sync", "scores.jsonl")]


def test_predictions_that_cannot_be_read_now_are_not_called_damaged(tmp_path):
    PredictionsTracker(tmp_path / "kept").epoch(epoch(predictions=predictions()))
    with faulty_disk.failing("record.json", errno.EIO), pytest.raises(CannotRead):
        read_predictions(tmp_path / "kept")


def test_a_run_from_the_start_empties_the_file(tmp_path):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(1))
    ScoresFile(path, 0)
    assert lines(path) == []


def test_a_run_resumes_after_an_incomplete_line(tmp_path):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(1))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "st')
    ScoresFile(path, 1).epoch(epoch(2))
    assert [line["epoch"] for line in lines(path)] == [1, 2]


def test_the_predictions_of_the_best_epoch_are_saved_and_read_back(tmp_path):
    tracker = PredictionsTracker(tmp_path / "kept")
    assert read_predictions(tmp_path / "kept") is None
    given = predictions(("a", "狗", "c"))
    tracker.epoch(epoch(1, predictions=given))
    tracker.epoch(epoch(2, is_best=False, predictions=predictions(("a", "b", "c"), (1, 1))))
    kept = read_predictions(tmp_path / "kept")
    assert (kept.epoch, kept.split) == (1, "valid")
    assert (kept.predictions.ids, kept.predictions.labels) == (("x", "y"), ("a", "狗", "c"))
    np.testing.assert_array_equal(kept.predictions.logits, given.logits)
    np.testing.assert_array_equal(kept.predictions.targets, given.targets)
    tracker.epoch(epoch(3, predictions=given))
    assert read_predictions(tmp_path / "kept").epoch == 3


def test_predictions_that_hold_objects_or_are_cut_off_are_refused(tmp_path):
    folder = tmp_path / "kept"
    PredictionsTracker(folder).epoch(epoch(predictions=predictions()))
    whole = (folder / "logits.npy").read_bytes()
    (folder / "logits.npy").write_bytes(whole[:-3])
    with pytest.raises(BadRunFolder, match=r"are damaged: logits\.npy is not as long as its header says"):
        read_predictions(folder)
    shape = f"({', '.join(map(str, predictions().logits.shape))})".encode()
    for lie in (b"(9999999999, 9999999999)", b"(" + b"1, " * 40 + b")", b"(" * 60 + b")" * 60):
        header = whole[10 : 10 + int.from_bytes(whole[8:10], "little")].replace(shape, lie)
        (folder / "logits.npy").write_bytes(whole[:8] + len(header).to_bytes(2, "little") + header + bytes(24))
        with pytest.raises(BadRunFolder, match=r"are damaged: (logits\.npy|.*header)"):
            read_predictions(folder)
    np.save(folder / "logits.npy", np.array([[{}, {}, {}]] * 2), allow_pickle=True)
    with pytest.raises(BadRunFolder, match=r"are damaged: logits\.npy holds Python objects"):
        read_predictions(folder)


def test_the_scores_of_each_class_are_lines_of_a_table_and_a_resumed_run_repeats_none(tmp_path):
    path = tmp_path / "class_scores.csv"
    classes = class_scores(predictions(labels=("=a", "b,\n", "c"), targets=(0, 1)))

    def report(number):
        return replace(epoch(number), classes=classes)

    def rows():
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))

    tracker = ClassScoresFile(path, 0)
    for number in (1, 2, 3):
        tracker.epoch(report(number))
    tracker.epoch(report(3))  # evaluated within the epoch, then again at its end
    assert [(row["epoch"], row["label"]) for row in rows()] == [
        (number, label) for number in "123" for label in ("'=a", "b,\\x0a", "c")
    ]
    assert (rows()[2]["support"], rows()[2]["f1"], rows()[2]["predicted"]) == ("0", "", "2")
    assert float(rows()[1]["recall"]) == classes[1].recall
    with path.open("a", encoding="utf-8") as file:
        file.write("4,tru")  # the process was killed while it wrote
    again = ClassScoresFile(path, 2)
    again.flush()
    again.epoch(report(3))
    assert [row["epoch"] for row in rows()] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3


def test_predictions_keep_their_groups(tmp_path):
    given = replace(predictions(), groups=("site 1", "s2"))
    PredictionsTracker(tmp_path / "best").epoch(epoch(predictions=given))
    assert read_predictions(tmp_path / "best").predictions.groups == ("site 1", "s2")
