"""What TensorBoard is given, read back with its own reader; and what stands there after a run went on."""

import io
import wave

import numpy as np
import pytest
from pannsdist_tensorboard import TensorBoard
from pannsdist_tensorboard.events import read_events
from PIL import Image

from pannsdist.devkit import conformance
from pannsdist.devkit.fake_run import reports, send_reports, steps, tracked_run

loading = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard: pip install '.[view]'"
)

test_tensorboard_keeps_the_contract = conformance(TensorBoard)


def told(folder, after_step=0, epochs=2, close=True, **changed):
    tracker = TensorBoard(TensorBoard.Params()).open(tracked_run(folder, after_step, **changed))
    send_reports(tracker, reports(after_step, epochs))
    if close:
        tracker.close()
    return tracker


def reader(folder):
    """TensorBoard's own, with everything in it."""
    events = loading.EventAccumulator(str(folder / "tensorboard"), size_guidance=loading.STORE_EVERYTHING_SIZE_GUIDANCE)
    return events.Reload()


def tags(folder):
    """The steps of everything that stands there by its tag, as the frames of the files say."""
    found = {}
    for path in sorted((folder / "tensorboard").iterdir()):
        for event in read_events(path):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
    return found


def test_curves_are_read_back(tmp_path):
    told(tmp_path)
    events = reader(tmp_path)
    points = [(point.step, pytest.approx(point.value)) for point in events.Scalars("train/loss")]
    assert points == [(2, 1 / 2), (4, 1 / 4), (6, 1 / 6), (8, 1 / 8)]
    assert [(point.step, point.value) for point in events.Scalars("valid/accuracy")] == [(4, 0.125), (8, 0.25)]
    assert {"train/learning_rate", "train/clips_per_s", "train/memory_mib"} <= set(events.Tags()["scalars"])


def test_the_worst_clips_are_heard_and_seen(tmp_path):
    told(tmp_path)
    events = reader(tmp_path)
    (first, _) = events.Audio("valid/worst_1")
    with wave.open(io.BytesIO(first.encoded_audio_string)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8000, 800)
    for tag in ("valid/confusion_matrix", "valid/worst_1_picture"):
        (_, picture) = events.Images(tag)
        assert len(np.unique(np.asarray(Image.open(io.BytesIO(picture.encoded_image_string))))) > 50


def test_histograms_and_curves_of_classes_are_there_under_their_own_names(tmp_path):
    told(tmp_path)
    events = reader(tmp_path)
    (histogram, _) = events.Histograms("weights/fc.weight")
    assert (histogram.histogram_value.num, histogram.histogram_value.max) == (6, 5)
    assert sum(histogram.histogram_value.bucket) == 6
    assert {"valid/precision_recall/dog", "valid/precision_recall/rain"} <= set(events.Tags()["tensors"])
    told(tmp_path / "other", curves=["rain", "dog"], histograms_every_epochs=0, worst_clips=0)
    assert "weights/fc.weight" not in tags(tmp_path / "other")


def test_hyper_parameters_are_there_with_the_names_of_the_scores(tmp_path):
    from tensorboard.plugins.hparams import plugin_data_pb2

    told(tmp_path)
    found = reader(tmp_path).summary_metadata
    start = plugin_data_pb2.HParamsPluginData.FromString(
        found["_hparams_/session_start_info"].plugin_data.content
    ).session_start_info
    assert start.hparams["model"].string_value == "small"
    assert start.hparams["learning_rate"].number_value == 0.5


def test_a_run_that_goes_on_stands_in_one_file_in_which_no_step_is_twice(tmp_path):
    told(tmp_path / "straight", epochs=3)
    tracker = told(tmp_path / "killed", epochs=1, close=False)
    for step in (6, 8):
        tracker.steps(steps(step))
    tracker.flush()  # and no close: killed
    told(tmp_path / "killed", after_step=4, epochs=3)
    assert len(list((tmp_path / "killed" / "tensorboard").iterdir())) == 1
    assert tags(tmp_path / "killed") == tags(tmp_path / "straight")
    assert all(len(set(found)) == len(found) for found in tags(tmp_path / "killed").values())
    assert [point.step for point in reader(tmp_path / "killed").Scalars("train/loss")] == [2, 4, 6, 8, 10, 12]
    tracker.close()


def test_an_evaluation_that_is_made_again_at_the_step_of_the_stop_is_not_written_again(tmp_path):
    told(tmp_path, epochs=1)
    tracker = TensorBoard(TensorBoard.Params()).open(tracked_run(tmp_path, 4))
    send_reports(tracker, list(reports(0, 1))[-1:])
    tracker.close()
    assert tags(tmp_path)["valid/accuracy"] == [4]


def test_an_event_that_was_cut_off_by_a_crash_is_dropped(tmp_path):
    told(tmp_path, epochs=1)
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    told(tmp_path, after_step=4, epochs=2)
    assert [point.step for point in reader(tmp_path).Scalars("train/loss")] == [2, 4, 6, 8]


def test_what_was_flushed_is_there_while_the_file_is_open(tmp_path):
    tracker = told(tmp_path, epochs=1, close=False)
    assert [point.step for point in reader(tmp_path).Scalars("train/loss")] == [2, 4]
    tracker.close()
