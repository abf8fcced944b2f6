"""The best and the last epoch of a run, and mean and deviation over several, worked out by hand."""

import json
import math

import pytest

from pannsdist.run.series.scores import read_result, spreads, table
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.training.tracking.scores_file import read_scores


@pytest.fixture
def written(tmp_path):
    def run(name, *epochs):
        (tmp_path / name).mkdir()
        lines = [
            {"epoch": number, "step": 3 * number, **scores, "seconds": 1.5}
            for number, scores in enumerate(epochs, start=1)
        ]
        (tmp_path / name / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return tmp_path / name

    return run


def accuracies(*values):
    return [{"valid/accuracy": value, "valid/loss": 1 - (value or 0)} for value in values]


def result(folder, metric="valid/accuracy", higher_is_better=True):
    return read_result(folder.name, folder, metric, higher_is_better)


def with_test_scores(folder, epoch, value):
    scores = {"test/accuracy": value}
    record = {"format": 1, "epoch": epoch, "step": 3, "selected": "valid/accuracy", "clips": 8, "scores": scores}
    (folder / "test.json").write_text(json.dumps({**record, "data": "x"}))
    return folder


def test_the_test_scores_are_those_of_the_best_epoch_and_have_a_spread_of_their_own(written):
    runs = [
        result(with_test_scores(written(name, *accuracies(0.5, 0.9)), 2, value))
        for name, value in (("a", 0.6), ("b", 0.8))
    ]
    assert spreads(runs, "test")["test/accuracy"].mean == pytest.approx(0.7)
    assert runs[0].record()["test"] == {"epoch": 2, "scores": {"test/accuracy": 0.6}}
    assert "test" not in result(written("c", *accuracies(0.5))).record()
    assert (
        result(with_test_scores(written("d", *accuracies(0.5, 0.9)), 1, 0.6)).test is None
    )  # of an earlier best epoch


def test_the_best_epoch_and_the_last_stand_side_by_side(written):
    found = result(written("a", *accuracies(0.5, 0.9, 0.7)))
    assert (found.best.epoch, found.best.scores["valid/accuracy"]) == (2, 0.9)
    assert (found.last.epoch, found.last.scores) == (3, {"valid/accuracy": 0.7, "valid/loss": pytest.approx(0.3)})
    assert found.seconds == 4.5


def test_a_score_of_which_less_is_better_is_selected_by_the_least(written):
    assert result(written("a", *accuracies(0.5, 0.9, 0.7)), "valid/loss", higher_is_better=False).best.epoch == 2


def test_of_two_equal_epochs_the_older_is_best_as_in_the_run_itself(written):
    assert result(written("a", *accuracies(0.5, 0.9, 0.9))).best.epoch == 2


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_score_that_is_no_finite_number_is_never_best(written, value):
    found = result(written("a", *accuracies(0.5), {"valid/accuracy": value}))
    assert found.best.epoch == 1
    assert found.last.scores == {"valid/accuracy": None}


def test_a_run_without_any_number_has_no_best_epoch(written):
    assert result(written("a", {"valid/accuracy": None})).best is None


def test_a_run_without_an_epoch_is_refused(tmp_path):
    with pytest.raises(BadRunFolder, match=r"has no epochs"):
        result(tmp_path)


def test_the_deviation_is_that_of_the_sample(written):
    results = [result(written(name, *accuracies(value))) for name, value in (("a", 0.5), ("b", 0.6), ("c", 1.0))]
    spread = spreads(results, "best")["valid/accuracy"]
    assert spread.mean == pytest.approx(0.7)
    assert spread.deviation == pytest.approx(math.sqrt((0.2**2 + 0.1**2 + 0.3**2) / 2))
    assert str(spread) == "0.7000 +- 0.2646"


def test_one_run_has_a_mean_and_no_deviation(written):
    spread = spreads([result(written("a", *accuracies(0.5)))], "last")["valid/accuracy"]
    assert (spread.mean, spread.deviation, str(spread)) == (0.5, None, "0.5000")


def test_a_run_without_a_number_is_named_and_no_mean_is_taken_over_the_others(written):
    results = [result(written("a", *accuracies(0.5))), result(written("b", *accuracies(None)))]
    for kind in ("best", "last"):
        spread = spreads(results, kind)["valid/accuracy"]
        assert (spread.mean, spread.deviation, spread.missing) == (None, None, ("b",))
        assert str(spread) == "undefined in b"


def test_a_score_that_one_run_does_not_have_is_missing_there(written):
    results = [result(written("a", {"valid/accuracy": 1.0})), result(written("b", *accuracies(0.5)))]
    assert spreads(results, "last")["valid/loss"].missing == ("a",)


def test_a_line_that_is_being_written_is_left_out(written):
    path = written("a", *accuracies(0.5, 0.9)) / "scores.jsonl"
    path.write_text(path.read_text()[:-5])
    assert [line["epoch"] for line in read_scores(path)] == [1]


def test_a_damaged_line_is_refused_with_its_file(written):
    path = written("a", *accuracies(0.5)) / "scores.jsonl"
    path.write_text("{\n" + path.read_text())
    with pytest.raises(BadRunFolder, match=r"a/scores.jsonl is damaged"):
        read_scores(path)


def test_columns_stand_under_each_other():
    assert table([("a", "1", "x"), ("long", "22", "")]) == "a      1  x\nlong  22"
