"""Epochs and steps in one process, on generated sounds with a tiny layer."""

import math

import numpy as np
import paddle
import pytest
import soundfile
from small_parts import catalog

from pannsdist import assembly, planning, settings
from pannsdist.audio.loader import Loader
from pannsdist.batch import Batch
from pannsdist.errors import BadClip
from pannsdist.parallel import AloneWorld
from pannsdist.training.checkpoint import CheckpointStore
from pannsdist.training.metrics import scores
from pannsdist.training.trainer import Outlets, TrainingData

TEXT = """
model: {name: small}
data: {name: tones, workers: 0, params: {classes: 2, clips_per_class: 9, valid_clips_per_class: 3, duration_s: 0.3,
  sample_rate_hz: 8000}}
train: {epochs: 4, batch_size: 4, crop_s: 0.2}
optimizer: {learning_rate: 0.02}
log: {every_steps: 3}
"""


class Recorder:
    """A tracker that keeps what it was told."""

    def __init__(self):
        self.step_reports, self.epoch_reports = [], []

    def steps(self, report):
        self.step_reports.append(report)

    def epoch(self, report):
        self.epoch_reports.append(report)

    def close(self):
        pass


class Run:
    """A run of the small model; goes on from `snapshot` if there is one."""

    def __init__(self, folder, *overrides, snapshot=None, text=TEXT):
        (folder / "run.yaml").write_text(text, encoding="utf-8")
        chosen, source = settings.load(folder / "run.yaml", overrides)
        self.plan = planning.decide(chosen, source, catalog(), 1)
        self.network = assembly.build_network(self.plan)
        self.start = assembly.load_initial(self.plan, self.network, snapshot)
        self.parts = assembly.build_parts(self.plan, AloneWorld(), self.network, Loader(0))
        self.progress = self.parts.trainer.resume(snapshot)
        self.recorder, self.bad, self.kept = Recorder(), [], []

    def fit(self, data=None):
        outlets = Outlets([self.recorder], lambda *kept: self.kept.append(kept), self.bad.extend)
        self.progress = self.parts.trainer.fit(self.progress, data or self.parts.data, self.parts.split, outlets)
        return self


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of four epochs, uninterrupted."""
    return Run(tmp_path_factory.mktemp("done")).fit()


def test_the_loss_falls(done):
    losses = [report.scores["train/loss"] for report in done.recorder.epoch_reports]
    assert losses[-1] < 0.5 * losses[0]


def test_every_epoch_is_evaluated_reported_and_kept(done):
    reports = done.recorder.epoch_reports
    assert [(report.epoch, report.epochs, report.step) for report in reports] == [(n, 4, 4 * n) for n in (1, 2, 3, 4)]
    assert [snapshot.progress.epoch for snapshot, _ in done.kept] == [1, 2, 3, 4]
    assert done.plan.score_names == list(reports[0].scores)
    assert done.progress.epoch == 4


def test_steps_are_reported_every_so_often_and_at_the_end_of_an_epoch(done):
    reports = done.recorder.step_reports
    assert [(report.epoch, report.epoch_step) for report in reports] == [(n, s) for n in (1, 2, 3, 4) for s in (3, 4)]
    assert [report.step for report in reports[:4]] == [3, 4, 7, 8]
    assert all(report.pace.clips_per_s > 0 and 0 <= report.pace.data_wait_share <= 1 for report in reports)
    assert 0 <= reports[-1].pace.left_s < 60


def test_the_loss_of_an_epoch_is_the_mean_over_its_clips(done):
    first = [report for report in done.recorder.step_reports if report.epoch == 1]
    mean = (3 * first[0].loss + 1 * first[1].loss) / 4
    assert done.recorder.epoch_reports[0].scores["train/loss"] == pytest.approx(mean, rel=1e-6)


def test_the_learning_rate_follows_its_schedule(done):
    rates = [report.learning_rates["all"] for report in done.recorder.step_reports]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.02 * 0.01)


def test_the_best_epoch_is_the_one_with_the_best_score(done):
    metric = "valid/accuracy"
    values = [report.scores[metric] for report in done.recorder.epoch_reports]
    best = values.index(max(values)) + 1
    assert done.progress.best == {"metric": metric, "value": max(values), "epoch": best}
    assert max(snapshot.progress.epoch for snapshot, is_best in done.kept if is_best) == best


def test_the_same_settings_give_the_same_run_bit_by_bit(done, tmp_path):
    again = Run(tmp_path).fit()
    assert_equal(again.kept[-1][0].model, done.kept[-1][0].model)


def test_another_seed_gives_another_run(done, tmp_path):
    other = Run(tmp_path, "seed=1", "train.epochs=1").fit()
    assert not np.array_equal(other.kept[0][0].model["classifier.weight"], done.kept[0][0].model["classifier.weight"])


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD", "Momentum"])
def test_a_run_that_goes_on_equals_the_uninterrupted_one_bit_by_bit(tmp_path, optimizer):
    whole = Run(tmp_path, f"optimizer.name={optimizer}").fit()
    store = CheckpointStore(tmp_path, keep=9)
    for snapshot, is_best in whole.kept[:2]:
        store.write(snapshot, is_best)
    strangers = [paddle.nn.Linear(3, 3), paddle.nn.BatchNorm2D(2)]
    paddle.seed(99)
    resumed = Run(tmp_path, f"optimizer.name={optimizer}", snapshot=store.read("last"))
    assert resumed.start == "goes on after epoch 2"
    resumed.fit()
    assert [report.epoch for report in resumed.recorder.epoch_reports] == [3, 4]
    last, expected = resumed.kept[-1][0], whole.kept[-1][0]
    assert_equal(last.model, expected.model)
    assert_equal(last.optimizer, expected.optimizer)
    assert last.progress == expected.progress
    del strangers


def test_a_finished_run_trains_no_more(done, tmp_path):
    again = Run(tmp_path, snapshot=done.kept[-1][0]).fit()
    assert again.kept == []
    assert again.progress.epoch == 4


def test_skipped_clips_are_noted_and_training_goes_on(tmp_path):
    run = Run(tmp_path, "train.epochs=1")
    error = BadClip("clip 'a' is bad")

    def batches(epoch):
        for number, batch in enumerate(run.parts.data.batches(epoch)):
            if number == 0:  # a part of the batch could be read
                yield Batch(batch.ids[1:], batch.waveforms[1:], batch.targets[1:], (error,))
            elif number == 1:  # nothing of it
                yield Batch((), batch.waveforms[:0], batch.targets[:0], (error,) * 4)
            else:
                yield batch

    run.fit(TrainingData(batches, run.parts.data.steps))
    assert len(run.bad) == 5
    assert math.isfinite(run.recorder.epoch_reports[0].scores["train/loss"])


def test_an_error_of_the_data_stops_the_run(tmp_path):
    run = Run(tmp_path)

    def batches(epoch):
        yield next(iter(run.parts.data.batches(epoch)))
        raise BadClip("clip 'a' is bad")

    with pytest.raises(BadClip, match="clip 'a' is bad"):
        run.fit(TrainingData(batches, run.parts.data.steps))
    assert run.kept == []


def test_rank_0_hands_on_the_predictions_that_were_scored(done):
    for report in done.recorder.epoch_reports:
        found = scores(report.predictions, "valid")
        assert {name: report.scores[name] for name in found} == found


def test_a_full_disk_stops_the_run(tmp_path):
    run = Run(tmp_path)

    def keep(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run.parts.trainer.fit(run.progress, run.parts.data, run.parts.split, Outlets([], keep, run.bad.extend))


def test_several_labels_are_trained_too(tmp_path):
    rows = ["path,labels,split"]
    for number in range(8):
        samples = 0.1 * np.random.default_rng(number).normal(size=3000)
        soundfile.write(tmp_path / f"{number}.wav", samples, 8000)
        labels = ("a", "b", "a;b", "")[number % 4]
        rows.append(f"{number}.wav,{labels},{'train' if number < 4 else 'valid'}")
    (tmp_path / "clips.csv").write_text("\n".join(rows), encoding="utf-8")
    text = f"""
model: {{name: small}}
data: {{name: manifest, workers: 0, params: {{path: {tmp_path}/clips.csv, multi_label: true}}}}
train: {{epochs: 2, batch_size: 2, crop_s: 0.2}}
"""
    run = Run(tmp_path, text=text).fit()
    assert [snapshot.progress.epoch for snapshot, _ in run.kept] == [1, 2]
    assert "valid/mean_average_precision" in run.progress.scores
