"""What is told of a run: on the terminal, in VisualDL, in lines of JSON."""

import io
import json
import math

import pytest

from pannsdist.training.clock import Pace
from pannsdist.training.tracking import (
    ConsoleTracker,
    EpochReport,
    ScoresFile,
    StepReport,
    VisualDLTracker,
    duration,
)

SCORES = {"train/loss": 0.75, "valid/accuracy": 0.5}


def steps(step=5, left_s=3723.0):
    return StepReport(2, step, 1, 4, 0.51234, 1e-3, Pace(12.34, 0.256, left_s))


def epoch(number=2, scores=SCORES, is_best=True):
    return EpochReport(number, 3, 4 * number, scores, "valid/accuracy", is_best, 61.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (123, "2:03"), (3600, "1:00:00"), (3723, "1:02:03"), (math.inf, "?")],
)
def test_a_duration_is_said_in_hours_minutes_and_seconds(seconds, text):
    assert duration(seconds) == text


def test_steps_are_plain_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    ConsoleTracker(stream).steps(steps())
    assert stream.getvalue() == (
        "epoch 2  step 1/4  loss 0.5123  lr 1.00e-03  12.3 clips/s  waiting 26%  left 1:02:03\n"
    )


@pytest.mark.parametrize(("is_best", "end"), [(True, "  best valid/accuracy"), (False, "")])
def test_an_epoch_is_a_line_with_every_score(is_best, end):
    stream = io.StringIO()
    ConsoleTracker(stream).epoch(epoch(is_best=is_best))
    assert stream.getvalue() == f"epoch 2/3  train/loss 0.7500  valid/accuracy 0.5000  (1:01){end}\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal_gives_way_to_the_line_of_the_epoch():
    stream = Terminal()
    tracker = ConsoleTracker(stream)
    tracker.steps(steps())
    assert "loss 0.5123" in stream.getvalue()
    tracker.epoch(epoch())
    tracker.close()
    assert stream.getvalue().endswith("(1:01)  best valid/accuracy\n")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_epoch_is_a_line_of_json_with_scores_that_are_no_numbers_as_null(tmp_path):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(scores={**SCORES, "valid/loss": math.nan, "valid/auc": math.inf}))
    assert lines(path) == [
        {
            **{"epoch": 2, "step": 8, "train/loss": 0.75, "valid/accuracy": 0.5},
            **{"valid/loss": None, "valid/auc": None, "seconds": 61.0},
        }
    ]


def test_no_epoch_stands_twice_when_a_run_goes_on(tmp_path):
    path = tmp_path / "scores.jsonl"
    first = ScoresFile(path, 0)
    for number in (1, 2, 3):
        first.epoch(epoch(number))
    again = ScoresFile(path, 2)
    again.epoch(epoch(3))
    assert [line["epoch"] for line in lines(path)] == [1, 2, 3]


def test_a_run_from_the_start_empties_the_file(tmp_path):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(1))
    ScoresFile(path, 0)
    assert lines(path) == []


def test_a_line_that_was_cut_off_by_a_crash_does_not_stop_the_run_from_going_on(tmp_path):
    path = tmp_path / "scores.jsonl"
    ScoresFile(path, 0).epoch(epoch(1))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "st')
    ScoresFile(path, 1).epoch(epoch(2))
    assert [line["epoch"] for line in lines(path)] == [1, 2]


def test_curves_are_read_back_by_visualdl(tmp_path):
    from visualdl import LogReader

    tracker = VisualDLTracker(tmp_path, {"model": "small", "epochs": 3, "weights": None}, ["valid/accuracy"])
    for step in (5, 6):
        tracker.steps(steps(step))
    tracker.epoch(epoch())
    tracker.close()
    (path,) = tmp_path.glob("vdlrecords.*")
    reader = LogReader(file_path=str(path))
    tags = reader.get_tags()["scalar"]
    assert {"train/loss", "train/learning_rate", "train/clips_per_s", "train/data_wait_share"} <= set(tags)
    loss = reader.get_data("scalar", "train/loss")
    assert [(point.id, round(point.value, 4)) for point in loss] == [(5, 0.5123), (6, 0.5123)]
    assert [(point.id, point.value) for point in reader.get_data("scalar", "valid/accuracy")] == [(8, 0.5)]


def test_a_score_that_is_no_number_does_not_stop_visualdl(tmp_path):
    tracker = VisualDLTracker(tmp_path, {"model": "small"}, ["valid/accuracy"])
    tracker.epoch(epoch(scores={"valid/accuracy": math.nan}))
    tracker.close()
