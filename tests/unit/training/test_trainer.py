"""The training loop in one process, on generated sounds with a tiny layer."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import paddle
import pytest
import small_parts
import soundfile
from small_run import Run

from pannsdist.contracts.batch import Batch
from pannsdist.run import building
from pannsdist.run.series.scores import read_result
from pannsdist.runtime.errors import BadClip, BadRunFolder, CannotWrite, NotFinite, Stopped
from pannsdist.training.background import BackgroundWriter
from pannsdist.training.checkpoint import CheckpointStore
from pannsdist.training.fit_context import ResultSinks, TrainingData
from pannsdist.training.metrics import scores
from pannsdist.training.tracking import ScoresFile


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


def test_every_epoch_is_evaluated_reported_and_saved(done):
    reports = done.recorder.epoch_reports
    assert [(report.epoch, report.epochs, report.step) for report in reports] == [(n, 4, 4 * n) for n in (1, 2, 3, 4)]
    assert [snapshot.progress.epoch for snapshot, _ in done.kept] == [1, 2, 3, 4]
    assert done.plan.score_names == list(reports[0].scores)
    assert done.progress.epoch == 4


def test_steps_are_reported_at_intervals_and_at_the_end_of_an_epoch(done):
    reports = done.recorder.step_reports
    assert [(report.epoch, report.epoch_step) for report in reports] == [(n, s) for n in (1, 2, 3, 4) for s in (3, 4)]
    assert [report.step for report in reports[:4]] == [3, 4, 7, 8]
    assert all(report.pace.clips_per_s > 0 and 0 <= report.pace.data_wait_fraction <= 1 for report in reports)
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
    assert (done.progress.best["metric"], done.progress.best["value"]) == (metric, max(values))
    assert done.progress.best["epoch"] == best
    best_weights = [(snapshot, weights) for snapshot, weights in done.kept if weights is not None]
    assert best_weights[-1][0].progress.epoch == best
    assert_equal(best_weights[-1][1], best_weights[-1][0].model)


def test_the_same_settings_give_the_same_run_bit_by_bit(done, tmp_path):
    again = Run(tmp_path).fit()
    assert_equal(again.kept[-1][0].model, done.kept[-1][0].model)


def test_another_seed_gives_another_run(done, tmp_path):
    other = Run(tmp_path, "seed=1", "train.epochs=1").fit()
    assert not np.array_equal(other.kept[0][0].model["classifier.weight"], done.kept[0][0].model["classifier.weight"])


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD", "Momentum"])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_by_bit(tmp_path, optimizer):
    whole = Run(tmp_path, f"optimizer.name={optimizer}").fit()
    store = CheckpointStore(tmp_path, keep=9)
    for snapshot, _ in whole.kept[:2]:
        store.write(snapshot)
    strangers = [paddle.nn.Linear(3, 3), paddle.nn.BatchNorm2D(2)]
    paddle.seed(99)
    resumed = Run(tmp_path, f"optimizer.name={optimizer}", snapshot=store.load_latest().snapshot)
    assert resumed.start == "resumes after epoch 2"
    resumed.fit()
    assert [report.epoch for report in resumed.recorder.epoch_reports] == [3, 4]
    last, expected = resumed.kept[-1][0], whole.kept[-1][0]
    assert_equal(last.model, expected.model)
    assert_equal(last.optimizer, expected.optimizer)
    assert last.progress == expected.progress
    del strangers


def test_a_snapshot_of_another_model_is_refused(done, tmp_path):
    model = {**done.last.model, "classifier.bias": np.zeros(7, np.float32)}
    with pytest.raises(BadRunFolder, match="the checkpoint does not fit the model: 1 tensors do not fit") as caught:
        Run(tmp_path, snapshot=replace(done.last, model=model))
    assert "start a run under another name" in str(caught.value)


def test_pretrained_weights_are_not_read_where_a_run_resumes(done, tmp_path):
    plan = replace(done.plan, weights=tmp_path / "removed.pdparams")
    assert building.load_pretrained(plan, done.network, done.last) == "is finished"


def test_a_finished_run_trains_no_more(done, tmp_path):
    again = Run(tmp_path, snapshot=done.kept[-1][0]).fit()
    assert again.kept == []
    assert again.progress.epoch == 4


def test_skipped_clips_are_logged_and_training_continues(tmp_path):
    run = Run(tmp_path, "train.epochs=1")
    error = BadClip("clip 'a' is bad")

    def batches(epoch, first):
        for number, batch in enumerate(run.parts.data.batches(epoch, first)):
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

    def batches(epoch, first):
        yield next(iter(run.parts.data.batches(epoch, first)))
        raise BadClip("clip 'a' is bad")

    with pytest.raises(BadClip, match="clip 'a' is bad"):
        run.fit(TrainingData(batches, run.parts.data.steps))
    assert run.kept == []


def test_rank_0_reports_the_predictions_that_were_scored(done):
    for report in done.recorder.epoch_reports:
        found = scores(report.predictions, "valid")
        assert {name: report.scores[name] for name in found} == found


def test_a_full_disk_stops_the_run(tmp_path):
    run = Run(tmp_path)

    def keep(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run.parts.trainer.fit(run.progress, run.parts.data, run.parts.split, ResultSinks([], keep))


def test_multi_label_data_are_trained(tmp_path):
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


STEPS = 16
"""Four epochs of four steps."""


def after(count):
    """Request a stop after `count` calls."""
    looks = []
    return lambda: looks.append(1) or len(looks) > count


def stopped(folder, is_stop_requested, *overrides, snapshot=None):
    """A stopped run, its message, and the latest snapshot on disk."""
    run = Run(folder, *overrides, snapshot=snapshot)
    with pytest.raises(Stopped) as caught:
        run.fit(is_stop_requested=is_stop_requested)
    store = CheckpointStore(folder / "checkpoints", keep=9)
    for kept, _ in run.kept:
        store.write(kept)
    return run, str(caught.value), store.load_latest().snapshot


def comparable(reports):
    """The reports without measured times."""
    return [
        repr(replace(report, **{name: None for name in ("pace", "seconds") if hasattr(report, name)}))
        for report in reports
    ]


def assert_resumes_as(whole, first, snapshot, folder, *overrides):
    """Assert that a second start ends like an uninterrupted run, with the same reports."""
    second = Run(folder, *overrides, snapshot=snapshot).fit()
    assert_equal(second.last.model, whole.last.model)
    assert_equal(second.last.optimizer, whole.last.optimizer)
    assert repr(second.last.progress) == repr(whole.last.progress)
    for kind in ("step_reports", "epoch_reports"):
        both = comparable(getattr(first.recorder, kind)) + comparable(getattr(second.recorder, kind))
        assert both == comparable(getattr(whole.recorder, kind))


@pytest.mark.parametrize("looks", range(1, 20))
def test_a_run_stopped_anywhere_resumes_bit_equal(done, tmp_path, looks):
    """A stop is checked before each step and once per evaluation, so that every fifth check is in an evaluation."""
    first, said, snapshot = stopped(tmp_path, after(looks))
    at = looks - looks // 5
    assert f", as requested: saved in checkpoints/step_{at:08d}\n" in said
    inside = f"stopped in epoch {(at - 1) // 4 + 1}, after step {(at - 1) % 4 + 1} of 4"
    assert said.startswith(inside if looks % 5 else f"stopped after epoch {at // 4}, "), said
    assert snapshot.progress.step == at
    assert (snapshot.progress.step > snapshot.progress.evaluated_step) is (looks % 5 != 0)
    assert_resumes_as(done, first, snapshot, tmp_path)


@pytest.mark.parametrize("average", ["train.ema_decay=0.9", "train.swa_epochs=3"])
def test_a_weight_average_resumes_bit_equal_and_becomes_the_best_model(tmp_path, average):
    whole = Run(tmp_path, average).fit()
    for looks in (7, 10, 14, 15):  # the second and the last stop an evaluation
        folder = tmp_path / str(looks)
        folder.mkdir()
        first, _, snapshot = stopped(folder, after(looks - 1), average)
        assert_resumes_as(whole, first, snapshot, folder, average)
    best_weights = next(weights for snapshot, weights in reversed(whole.kept) if weights is not None)
    same = next(snapshot for snapshot, weights in whole.kept if weights is best_weights)
    assert any(not np.array_equal(best_weights[name], same.model[name]) for name in best_weights)


def test_a_run_stopped_twice_resumes_bit_equal(done, tmp_path):
    first, _, snapshot = stopped(tmp_path, after(2))
    second, _, snapshot = stopped(tmp_path, after(5), snapshot=snapshot)
    first.recorder.step_reports += second.recorder.step_reports
    first.recorder.epoch_reports += second.recorder.epoch_reports
    assert snapshot.progress.step == 6
    assert_resumes_as(done, first, snapshot, tmp_path)


def test_a_run_stopped_before_its_first_step_leaves_nothing(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(Stopped, match="stopped before the first step, as requested: nothing to save yet"):
        run.fit(is_stop_requested=lambda: True)
    assert run.kept == []


def test_a_resumed_run_stopped_at_once_writes_no_second_checkpoint(tmp_path):
    _, _, snapshot = stopped(tmp_path, after(2))
    again = Run(tmp_path, snapshot=snapshot)
    with pytest.raises(Stopped, match="saved in checkpoints/step_00000002"):
        again.fit(is_stop_requested=lambda: True)
    assert again.kept == []


def test_checkpoints_every_n_steps_do_not_change_the_result(done, tmp_path):
    run = Run(tmp_path, "save.every_steps=3").fit()
    steps = [snapshot.progress.step for snapshot, _ in run.kept]
    assert steps == [3, 4, 6, 8, 9, 12, 15, 16]  # the end of an epoch is saved after its evaluation
    assert_equal(run.last.model, done.last.model)
    for snapshot, best_weights in run.kept[:-1]:
        assert best_weights is None or snapshot.progress.step % 4 == 0
    middle = run.kept[0][0]
    again = Run(tmp_path, "save.every_steps=3", snapshot=middle).fit()
    assert_equal(again.last.model, done.last.model)


def test_checkpoints_are_written_at_intervals_of_minutes(tmp_path):
    run = Run(tmp_path, "save.every_minutes=1e-9", "train.epochs=1").fit()
    assert [snapshot.progress.step for snapshot, _ in run.kept][-4:] == [1, 2, 3, 4]


def test_max_steps_ends_with_an_evaluation_and_a_model(tmp_path):
    run = Run(tmp_path, "train.max_steps=6").fit()
    assert [(report.epoch, report.step) for report in run.recorder.epoch_reports] == [(1, 4), (2, 6)]
    assert [report.epoch_step for report in run.recorder.step_reports] == [3, 4, 2]
    assert run.recorder.step_reports[-1].learning_rates["all"] == pytest.approx(
        0.02 * 0.01
    )  # the schedule ends there too
    assert any(best_weights is not None for _, best_weights in run.kept)
    assert Run(tmp_path, "train.max_steps=6", snapshot=run.last).start == "is finished"


def test_a_run_resumes_beyond_its_max_steps_within_the_epoch(tmp_path):
    constant = ("schedule.name=constant", "schedule.warmup_epochs=0")
    whole = Run(tmp_path, *constant).fit()
    cut = Run(tmp_path, *constant, "train.max_steps=6").fit()
    longer = Run(tmp_path, *constant, snapshot=cut.last)
    assert longer.start == "resumes in epoch 2, after step 2 of 4"
    longer.fit()
    assert [(report.epoch, report.step) for report in longer.recorder.epoch_reports] == [(2, 8), (3, 12), (4, 16)]
    assert_equal(longer.last.model, whole.last.model)
    assert longer.recorder.epoch_reports[-1].scores == whole.recorder.epoch_reports[-1].scores


def test_the_best_of_an_epoch_that_was_cut_and_completed_is_the_best_of_the_scores_too(tmp_path):
    constant = ("schedule.name=constant", "schedule.warmup_epochs=0")
    diverging = (*constant, "optimizer.learning_rate=1", "select.metric=valid/loss", "train.epochs=1")
    cut = Run(tmp_path, *diverging, "train.max_steps=2").fit()
    whole = Run(tmp_path, *diverging, snapshot=cut.last).fit()
    file = ScoresFile(tmp_path / "scores.jsonl", 0)
    for report in (*cut.recorder.epoch_reports, *whole.recorder.epoch_reports):
        file.epoch(report)
    best = whole.progress.best
    assert best["best_epochs"][0]["step"] == 2, "the loss rose"
    found = read_result("a", tmp_path, "valid/loss", higher_is_better=False)
    assert (found.best.epoch, found.best.scores["valid/loss"]) == (1, best["value"])
    assert found.last.scores["valid/loss"] == whole.progress.scores["valid/loss"] > best["value"]
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 1
    file.epoch(whole.recorder.epoch_reports[-1])  # a run that was killed before its checkpoint repeats it
    assert read_result("a", tmp_path, "valid/loss", higher_is_better=False) == found


def test_max_minutes_end_with_an_evaluation_and_the_next_start_resumes(tmp_path):
    first = Run(tmp_path, "train.max_minutes=1e-9").fit()
    assert first.kept == []  # it was up before the first step
    run = Run(tmp_path, "train.max_minutes=1000").fit()
    assert run.progress.step == STEPS


def test_patience_ends_a_run_that_does_not_improve(tmp_path):
    run = Run(tmp_path, "train.patience_epochs=2", "train.epochs=9", "optimizer.learning_rate=1e-12").fit()
    assert run.progress.best["epoch"] == 1
    assert run.progress.epoch == 3
    again = Run(tmp_path, "train.patience_epochs=2", "train.epochs=9", snapshot=run.last)
    assert again.start == "is finished"
    assert again.fit().kept == []


def test_steps_that_are_not_finite_are_skipped_and_counted_and_their_clips_logged(tmp_path):
    run = Run(tmp_path, "train.epochs=1")
    spoilt = []

    def batches(epoch, first):
        for number, batch in enumerate(run.parts.data.batches(epoch, first)):
            if number not in (1, 3):
                yield batch
                continue
            spoilt.append(batch.ids)
            yield replace(batch, waveforms=batch.waveforms * np.nan)

    run.fit(TrainingData(batches, run.parts.data.steps))
    assert (run.progress.step, run.progress.bad_steps, run.progress.consecutive_bad_steps) == (4, 2, 1)
    assert run.bad_steps == [
        f"step {step} was skipped, its loss or gradient is not finite; its clips: {', '.join(ids)}"
        for step, ids in zip((2, 4), spoilt, strict=True)
    ]
    weights = [array for name, array in run.last.model.items() if not name.endswith(("_mean", "_variance"))]
    assert all(np.isfinite(array).all() for array in weights)
    assert math.isfinite(run.recorder.step_reports[0].loss)


@pytest.mark.parametrize("saved", [False, True])
def test_too_many_consecutive_steps_that_are_not_finite_stop_the_run(tmp_path, saved):
    run = Run(tmp_path, "train.max_bad_steps=2", f"save.every_steps={1 if saved else 'null'}")

    def batches(epoch, first):
        for number, batch in enumerate(run.parts.data.batches(epoch, first)):
            yield batch if number == 0 else replace(batch, waveforms=batch.waveforms * np.nan)

    with pytest.raises(NotFinite) as caught:
        run.fit(TrainingData(batches, run.parts.data.steps))
    said = str(caught.value)
    assert said.startswith("the loss or the gradient was not finite in steps 2 to 3; all of them were skipped\n")
    assert (
        "the last good weights are in checkpoints/step_00000001/model.pdparams of the run's folder" in said
    ) is saved
    assert ("no checkpoint was written before" in said) is not saved
    assert "the clips of each step are listed in bad_steps.txt" in said
    assert [snapshot.progress.step for snapshot, _ in run.kept] == ([1] if saved else [])


def test_consecutive_steps_that_are_not_finite_are_counted_across_a_stop(tmp_path):
    settings = "train.max_bad_steps=2"

    def data(run, bad_steps):
        def batches(epoch, first):
            for step, batch in enumerate(run.parts.data.batches(epoch, first), start=(epoch - 1) * 4 + first + 1):
                yield replace(batch, waveforms=batch.waveforms * np.nan) if step in bad_steps else batch

        return TrainingData(batches, run.parts.data.steps)

    stopped = Run(tmp_path, settings, "train.epochs=1")
    stopped.fit(data(stopped, {4}))
    resumed = Run(tmp_path, settings, snapshot=stopped.last)
    with pytest.raises(NotFinite, match="in steps 4 to 5;"):
        resumed.fit(data(resumed, {5}))
    assert Run(tmp_path, settings, "train.epochs=2", snapshot=stopped.last).fit().progress.bad_steps == 1


def test_a_write_error_stops_the_run_at_the_next_step(tmp_path):
    run = Run(tmp_path, "save.every_steps=1")
    writer = BackgroundWriter()

    def fail():
        raise CannotWrite("cannot write runs/run/checkpoints/step_00000001: No space left on device")

    sinks = ResultSinks([run.recorder], lambda *_: writer.submit(fail), writer=writer)
    with pytest.raises(CannotWrite, match="No space left"):
        run.parts.trainer.fit(run.progress, run.parts.data, run.parts.split, sinks)
    assert run.recorder.epoch_reports == []


def test_data_that_end_before_the_epoch_does_stop_the_run(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(RuntimeError, match="the data ended before the epoch did"):
        run.fit(TrainingData(lambda epoch, first: islice(run.parts.data.batches(epoch, first), 2), 4))


def test_limits_shorten_epochs_and_evaluations(tmp_path):
    run = Run(tmp_path, "train.limit_steps=3", "valid.limit_batches=2", "valid.batch_size=2", "train.epochs=2").fit()
    assert [report.step for report in run.recorder.epoch_reports] == [3, 6]
    assert [len(batch.ids) for batch in run.parts.split.batches()] == [2, 2]
    assert len(run.parts.split.ids) == 4


def test_overfit_batches_train_and_evaluate_on_the_same_clips(tmp_path):
    run = Run(tmp_path, "train.overfit_batches=2", "train.epochs=20").fit()
    epochs = [[(batch.ids, batch.waveforms) for batch in run.parts.data.batches(epoch, 0)] for epoch in (1, 2)]
    for left, right in zip(*epochs, strict=True):
        assert left[0] == right[0]
        np.testing.assert_array_equal(left[1], right[1])
    trained = [name for ids, _ in epochs[0] for name in ids]
    assert trained == list(run.parts.split.ids)
    assert all(len({name.split("/")[1] for name in ids}) == 2 for ids, _ in epochs[0])
    assert [batch.ids for batch in run.parts.data.batches(1, 1)] == [epochs[0][1][0]]
    assert run.recorder.epoch_reports[-1].scores["valid/accuracy"] == 1.0


@pytest.mark.parametrize("frozen", [False, True])
def test_a_batch_norm_that_its_owner_froze_stays_so_through_training_and_evaluation(tmp_path, frozen):
    run = Run(tmp_path, "train.epochs=2")
    run.network.model.norm.training = not frozen
    before = run.network.statistics()
    run.fit()
    assert run.network.training and run.network.model.training
    assert run.network.model.norm.training is not frozen
    moved = [not np.array_equal(before[name], array) for name, array in run.network.statistics().items()]
    assert all(moved) if not frozen else not any(moved)


def test_a_network_in_evaluation_mode_is_trained_as_a_whole_and_is_in_evaluation_mode_again(tmp_path, done):
    run = Run(tmp_path)
    run.network.eval()
    run.fit()
    assert not any(part.training for part in run.network.sublayers(include_self=True))
    assert_equal(run.network.arrays(), done.network.arrays())


def test_a_plugin_whose_layer_is_in_evaluation_mode_is_trained_all_the_same(tmp_path, done, monkeypatch):
    build = small_parts.SmallModel.build

    def evaluated(plugin, *arguments):
        layer = build(plugin, *arguments)
        layer.eval()
        return layer

    monkeypatch.setattr(small_parts.SmallModel, "build", evaluated)
    assert_equal(Run(tmp_path).fit().network.arrays(), done.network.arrays())
