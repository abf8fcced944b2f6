"""What VisualDL is given, read back with its own reader; and what stands there after a run went on."""

import io
import math
import warnings
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from pannsdist.builtin.visualdl.log import VisualDLTracker
from pannsdist.builtin.visualdl.records import read_records
from pannsdist.contracts import ClipFeatures, EpochReport, Pace, StepReport, TrackedRun
from pannsdist.contracts.predictions import Predictions, confusion, most_mistaken
from pannsdist.contracts.reporting import ClassCurve, Picture, description, epoch_points, epoch_summaries, worst
from pannsdist.runtime.errors import BadClip
from pannsdist.training.metrics import class_scores

LABELS = ("狗", "50%", "<b>")
RATE_HZ = 8000


def read_clip(name):
    if name == "gone":
        raise BadClip("clip 'gone' is gone")
    tone = 2.0 * np.sin(np.arange(800) * 0.3).astype(np.float32)
    return ClipFeatures(tone, RATE_HZ, np.random.default_rng(0).normal(size=(20, 16)))


def tracked_run(folder, from_step=0, **changed):
    given = {
        "name": "mine",
        "folder": folder.parent,
        "from_step": from_step,
        "hyper_parameters": {"model": "small", "epochs": 3, "weights": None, "learning_rate": 0.5},
        "score_names": ["train/loss", "valid/accuracy", "valid/d_prime"],
        "read_clip": read_clip,
        "weights": lambda: {"fc.weight": np.arange(6.0).reshape(2, 3), "fc.odd": np.array([np.nan, np.inf])},
    }
    return TrackedRun(**{**given, **changed})


def predictions(ids=("u", "v", "w", "x"), logits=None, targets=(0, 1, 1, 0)):
    logits = np.random.default_rng(0).normal(size=(4, 3)) if logits is None else np.asarray(logits)
    return Predictions(ids, logits.astype(np.float32), np.array(targets, np.int64), LABELS, False)


def steps(step, **changed):
    given = {"learning_rates": {"all": 1e-3}, "loss": 0.5 + step}
    pace = Pace(12.5, 0.25, 9.0, 3.0)
    return StepReport(**{"epoch": 1, "step": step, "epoch_step": 1, "epoch_steps": 4, "pace": pace, **given, **changed})


def epoch(number, accuracy=0.5, is_best=True, given=None, epochs=9):
    scores = {"train/loss": 0.75, "valid/accuracy": accuracy}
    return EpochReport(number, epochs, 4 * number, scores, "valid/accuracy", is_best, 61.0, given)


def reader(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VisualDL 2.5.3, at import
        from visualdl import LogReader
    (path,) = folder.glob("*vdlrecords*")
    return LogReader(file_path=str(path))


def points(folder, tag):
    return [(point.id, point.value) for point in reader(folder).get_data("scalar", tag)]


def run(folder, *reports, from_step=0, **changed):
    tracker = VisualDLTracker(folder, tracked_run(folder, from_step, **changed))
    for report in reports:
        (tracker.steps if isinstance(report, StepReport) else tracker.epoch)(report)
    tracker.close()
    return folder


def test_curves_are_read_back(tmp_path):
    run(tmp_path, steps(5), steps(6, gradient_norm=2.5), epoch(2))
    assert points(tmp_path, "train/loss") == [(5, 5.5), (6, 6.5)]
    assert points(tmp_path, "train/learning_rate") == [(5, pytest.approx(1e-3)), (6, pytest.approx(1e-3))]
    assert points(tmp_path, "train/clips_per_s") == [(5, 12.5), (6, 12.5)]
    assert points(tmp_path, "train/data_wait_fraction") == [(5, 0.25), (6, 0.25)]
    assert points(tmp_path, "train/gradient_norm") == [(6, 2.5)]
    assert points(tmp_path, "valid/accuracy") == [(8, 0.5)]
    assert all(20 < value < 1e6 for _, value in points(tmp_path, "train/memory_mib"))


def test_every_group_of_parameters_has_its_learning_rate(tmp_path):
    run(tmp_path, steps(5, learning_rates={"stem": 0.25, "head": 0.5}))
    assert points(tmp_path, "train/learning_rate/stem") == [(5, 0.25)]
    assert points(tmp_path, "train/learning_rate/head") == [(5, 0.5)]
    assert "train/learning_rate" not in reader(tmp_path).get_tags()["scalar"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_no_point(tmp_path, value):
    run(tmp_path, epoch(1, 0.25), epoch(2, value))
    assert points(tmp_path, "valid/accuracy") == [(4, 0.25)]


def test_hyper_parameters_stand_beside_the_last_scores(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VisualDL 2.5.3, at import
        from visualdl import LogReader
        from visualdl.server import lib
    folder = run(tmp_path / "mine" / "vdl", steps(4), epoch(1, 0.25), steps(8), epoch(2, 0.75))
    (row,) = [row for row in lib.get_hparam_list(LogReader(logdir=str(folder))) if row["name"] == str(folder)]
    assert row["hparams"] == {"model": "small", "epochs": 3, "weights": "None", "learning_rate": 0.5}
    assert row["metrics"] == {"train/loss": 8.5, "valid/accuracy": 0.75}


def test_histograms_of_the_weights_are_shown_when_asked_for(tmp_path):
    run(tmp_path, epoch(1), epoch(2), epoch(3), epoch(4), histograms_every_epochs=2)
    assert reader(tmp_path).get_tags()["histogram"] == ["weights/fc.weight"]
    shown = reader(tmp_path).get_data("histogram", "weights/fc.weight")
    assert [(record.id, sum(record.histogram.hist)) for record in shown] == [(8, 6.0), (16, 6.0)]
    run(tmp_path / "other", epoch(1))
    assert "histogram" not in reader(tmp_path / "other").get_tags()


def picture(record):
    return np.asarray(Image.open(io.BytesIO(record.image.encoded_image_string)))


def test_pictures_are_shown_at_the_best_epochs_and_the_last(tmp_path):
    given = predictions()
    reports = [epoch(1, given=given), epoch(2, is_best=False, given=given), epoch(3, is_best=False, given=given)]
    run(tmp_path, *reports[:2], epoch(3, is_best=False, given=given, epochs=3))
    shown = reader(tmp_path).get_data("image", "valid/confusion_matrix")
    assert [record.id for record in shown] == [4, 12]
    pixels = picture(shown[0])
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert len(np.unique(pixels)) > 50


def test_a_broken_network_has_no_pictures(tmp_path):
    run(tmp_path, epoch(1, given=predictions(logits=np.full((4, 3), np.nan))), worst_clips=2)
    assert "image" not in reader(tmp_path).get_tags()


def test_the_worst_clips_are_heard_and_seen(tmp_path):
    run(tmp_path, epoch(1, given=predictions()), worst_clips=2)
    tags = reader(tmp_path).get_tags()
    assert tags["audio"] == ["valid/worst_1", "valid/worst_2"]
    assert {f"{tag}_picture" for tag in tags["audio"]} <= set(tags["image"])
    (record,) = reader(tmp_path).get_data("audio", "valid/worst_1")
    with wave.open(io.BytesIO(record.audio.encoded_audio_string)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (RATE_HZ, 1, 800)
        assert np.abs(np.frombuffer(sound.readframes(800), np.int16)).max() == 32767  # cut at full scale
    (record,) = reader(tmp_path).get_data("image", "valid/worst_1_picture")
    assert len(np.unique(picture(record))) > 50


def test_a_worst_clip_that_is_gone_is_named_and_the_run_goes_on(tmp_path, capsys):
    run(tmp_path, epoch(1, given=predictions(ids=("gone", "v", "w", "x"))), worst_clips=4)
    assert "not shown among the worst clips: clip 'gone' is gone" in capsys.readouterr().out
    assert len(reader(tmp_path).get_tags()["audio"]) == 3


def test_the_worst_clips_are_those_with_the_largest_loss_and_equal_ones_stand_by_their_id():
    given = predictions(logits=[[9, 0, 0], [9, 0, 0], [9, 0, 0], [0, 1, 0]], ids=("u", "w", "v", "x"))
    assert worst(given, 3) == [2, 1, 3]
    assert worst(given, 0) == []
    assert description(given, 1) == "w\ntrue: 50%, predicted: 狗 1.00"


def test_a_clip_without_a_label_is_described_too():
    given = Predictions(("u",), np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), LABELS, True)
    assert description(given, 0) == "u\ntrue: no label, predicted: 狗 0.50"


def test_the_curves_of_chosen_classes_are_shown(tmp_path):
    given = predictions()
    run(tmp_path, epoch(1, given=given), curves=["狗", "50%", "<b>"])
    tags = reader(tmp_path).get_tags()
    labels = ("狗", "50％")  # no clip bears <b>
    assert tags["pr_curve"] == [f"valid/precision_recall/{label}" for label in labels]
    assert tags["roc_curve"] == [f"valid/roc/{label}" for label in labels]
    (record,) = reader(tmp_path).get_data("roc_curve", "valid/roc/狗")
    curve = record.roc_curve
    assert (curve.TP[0], curve.FP[0], curve.TN[0], curve.FN[0]) == (2, 2, 0, 0)
    assert (curve.tpr[0], curve.fpr[0]) == (1.0, 1.0)
    assert max(curve.tpr) <= 1.0


def curve_of(truth, logits):
    """The curve of the only class."""
    ids = tuple(f"{row:03d}" for row in range(len(truth)))
    given = Predictions(ids, logits[:, None], truth[:, None].astype(np.float32), ("a",), True)
    run = tracked_run(Path("nowhere"), curves=["a"])
    (curve,) = (item for item in epoch_summaries(run, epoch(1, given=given)) if isinstance(item, ClassCurve))
    return curve


def test_the_points_of_a_curve_agree_with_scikit_learn():
    rng = np.random.default_rng(4)
    truth = rng.random(400) < 0.2
    probabilities = np.round(np.clip(0.5 * rng.random(400) + 0.4 * truth, 0, 1) * 126) / 126
    logits = np.log(np.maximum(1e-30, probabilities)) - np.log(np.maximum(1e-30, 1 - probabilities))
    curve = curve_of(truth, logits)
    counts, precision, recall = curve.counts, curve.precision, curve.recall
    false_positive_rate = curve.false_positive_rate
    area = sum(
        (false_positive_rate[i] - false_positive_rate[i + 1]) * (recall[i] + recall[i + 1]) / 2 for i in range(126)
    )
    assert area == pytest.approx(sk.roc_auc_score(truth, probabilities), abs=1e-9)
    for place in (0, 30, 60, 90):
        answer = probabilities >= place / 126
        assert precision[place] == pytest.approx(sk.precision_score(truth, answer))
        assert recall[place] == pytest.approx(sk.recall_score(truth, answer))
        assert [count[place] for count in counts] == [
            (truth & answer).sum(),
            (~truth & answer).sum(),
            (~truth & ~answer).sum(),
            (truth & ~answer).sum(),
        ]


def test_a_tag_belongs_to_one_kind_of_record(tmp_path):
    run(tmp_path, steps(2), epoch(1, given=predictions()), worst_clips=2, curves=["狗"], histograms_every_epochs=1)
    found = everything(tmp_path)
    assert len({tag for _, tag, _ in found}) == len({(kind, tag) for kind, tag, _ in found})
    assert {kind for kind, _, _ in found} >= {"value", "image", "audio", "histogram", "pr_curve", "roc_curve", "hparam"}


def everything(folder):
    """(kind, tag, step) of every record of the only file."""
    (path,) = folder.glob("*vdlrecords*")
    values = [record.values[0] for record in read_records(path)]
    return [(value.WhichOneof("one_value"), value.tag, value.id) for value in values]


def test_a_run_that_goes_on_stands_in_one_file_in_which_no_step_is_twice(tmp_path):
    given = predictions()
    run(tmp_path, steps(2), steps(4), epoch(1, given=given), steps(6), steps(8), epoch(2, given=given), worst_clips=1)
    run(tmp_path, steps(6), steps(8), epoch(2, given=given), from_step=4, worst_clips=1)
    straight = run(
        tmp_path / "straight",
        *(steps(2), steps(4), epoch(1, given=given), steps(6), steps(8), epoch(2, given=given)),
        worst_clips=1,
    )
    found = everything(tmp_path)
    assert sorted(found) == sorted(everything(straight))
    assert len(set(found)) == len(found)
    assert points(tmp_path, "train/loss") == [(2, 2.5), (4, 4.5), (6, 6.5), (8, 8.5)]
    assert [r.id for r in reader(tmp_path).get_data("image", "valid/confusion_matrix")] == [4, 8]


def test_an_evaluation_that_is_made_again_at_the_step_of_the_stop_is_not_logged_again(tmp_path):
    run(tmp_path, steps(4), epoch(1, 0.25))
    run(tmp_path, epoch(1, 0.25), steps(8), from_step=4)
    assert points(tmp_path, "valid/accuracy") == [(4, 0.25)]
    assert points(tmp_path, "train/loss") == [(4, 4.5), (8, 8.5)]


def test_a_run_from_the_start_empties_the_log(tmp_path):
    run(tmp_path, steps(4), epoch(1))
    run(tmp_path, steps(2))
    assert points(tmp_path, "train/loss") == [(2, 2.5)]
    assert "valid/accuracy" not in reader(tmp_path).get_tags()["scalar"]


def test_a_record_that_was_cut_off_by_a_crash_is_dropped(tmp_path):
    run(tmp_path, steps(2), steps(4))
    (path,) = tmp_path.glob("*vdlrecords*")
    path.write_bytes(path.read_bytes()[:-5])
    run(tmp_path, steps(6), from_step=4)
    assert [step for step, _ in points(tmp_path, "train/loss")] == [2, 4, 6]


def test_files_that_earlier_runs_left_side_by_side_become_one_curve(tmp_path):
    run(tmp_path / "one", steps(2), steps(4))
    run(tmp_path / "two", steps(4), steps(6))
    folder = tmp_path / "both"
    folder.mkdir()
    for number, name in enumerate(("one", "two"), start=1):
        (path,) = (tmp_path / name).glob("*vdlrecords*")
        path.rename(folder / f"vdlrecords.{number:010d}.log")
    run(folder, steps(8), from_step=6)
    assert [step for step, _ in points(folder, "train/loss")] == [2, 4, 6, 8]


def test_the_server_reads_a_run_that_went_on_as_one_curve(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VisualDL 2.5.3, at import
        from visualdl import LogReader
        from visualdl.server import lib
    folder = tmp_path / "server" / "vdl"
    run(folder, steps(2), steps(4), epoch(1, 0.25), steps(6))
    run(folder, steps(6), steps(8), epoch(2, 0.75), from_step=4)
    log = LogReader(logdir=str(folder))
    assert [point[1] for point in lib.get_scalar(log, str(folder), "train/loss")] == [2, 4, 6, 8]
    (row,) = [row for row in lib.get_hparam_list(log) if row["name"] == str(folder)]
    assert float(row["metrics"]["valid/accuracy"]) == 0.75


def test_each_class_has_curves_of_its_scores_unless_there_are_too_many():
    logits = np.eye(4, dtype=np.float32)[:, :3]
    given = Predictions(tuple("wxyz"), logits, np.array([0, 1, 2, 2]), ("a", "b/c", "狗"), False)
    found = epoch_points(replace(epoch(1, given=given), classes=class_scores(given)))
    assert found["valid/class_support/狗"] == 2
    assert found["valid/class_recall/狗"] == 0.5
    assert {tag for tag in found if tag.endswith("/b/c")} == {
        f"valid/class_{name}/b/c" for name in ("support", "precision", "recall", "f1", "average_precision", "roc_auc")
    }
    absent = replace(given, targets=np.array([0, 1, 1, 1]))
    found = epoch_points(replace(epoch(1, given=absent), classes=class_scores(absent)))
    assert {tag: value for tag, value in found.items() if tag.endswith("/狗")} == {"valid/class_support/狗": 0}
    many = replace(epoch(1), classes=class_scores(given) * 21)
    assert not any("class_" in tag for tag in epoch_points(many))


def test_several_trackers_receive_pictures_that_are_made_once(tmp_path):
    names = []
    run = tracked_run(tmp_path, worst_clips=2, read_clip=lambda name: names.append(name) or read_clip(name))
    report = epoch(1, given=predictions())
    made = epoch_summaries(run, report)
    assert len(names) == 2
    assert epoch_summaries(run, report) is made
    assert len(names) == 2
    with pytest.raises(ValueError, match="read-only"):
        next(item for item in made if isinstance(item, Picture)).pixels[0, 0] = 0
    epoch_summaries(run, epoch(2, given=predictions()))
    assert len(names) == 4


def test_many_classes_have_a_second_matrix_of_those_that_are_confused(tmp_path):
    labels = tuple(f"label {n}" for n in range(20))
    targets = np.arange(20)
    logits = np.eye(20, dtype=np.float32)[[*targets[:18], 0, 1]]
    given = Predictions(labels, logits, targets, labels, False)
    made = {item.tag: item.pixels for item in epoch_summaries(tracked_run(tmp_path), epoch(1, given=given))}
    assert made.keys() == {"valid/confusion_matrix", "valid/most_confused", "valid/reliability"}
    assert made["valid/most_confused"].shape[0] < made["valid/confusion_matrix"].shape[0]
    assert most_mistaken(confusion(given), 4) == [0, 1, 18, 19]
