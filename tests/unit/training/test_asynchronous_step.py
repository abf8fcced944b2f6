"""Steps as on a GPU, where the host does not wait: with the device decides what the host would, to the last bit."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from device_reads import counted_reads
from plain_losses import cross_entropy
from small_learner import assert_equal, batch, everything, learner, small
from small_run import Run

from pannsdist.runtime.errors import NotFinite, Stopped
from pannsdist.training.fit_context import TrainingData
from pannsdist.training.optimization.optimizers import paddle_optimizers
from pannsdist.training.step_outcome import read

READING = {"ASGD"}
"""Optimizers of Paddle whose own step reads from the device."""


def stepped(made, bad_steps, count=5):
    """Steps on the same clips, of which a sample is NaN in the bad ones; the outcomes, not read."""
    made.network.train()
    outcomes = []
    for step in range(1, count + 1):
        part = batch()
        if step in bad_steps:
            part.waveforms[0, 100] = np.nan
        outcomes.append(made.step(part, step, 4, seed=0))
    return outcomes


@pytest.mark.filterwarnings("ignore:Op .* is executed through `append_op`:DeprecationWarning")  # Adagrad, Paddle 2.6.2
@pytest.mark.parametrize("optimizer", sorted(paddle_optimizers()))
def test_with_every_optimizer_the_device_decides_as_the_host_without_a_read(optimizer):
    """Its whole state is unchanged by a bad step, the first one included: the powers of beta as well."""
    options = {"layer": small, "optimizer": optimizer, "ema_decay": 0.9, "clip_norm": 0.05}
    host, device = (learner(is_asynchronous=is_asynchronous, **options) for is_asynchronous in (False, True))
    expected = stepped(host, {1, 3, 4})
    with counted_reads() as reads:
        outcomes = stepped(device, {1, 3, 4})
        own, reads[:] = list(reads), []
        results = read(outcomes)
    assert reads == ["tolist"]
    assert bool(own) == (optimizer in READING), own
    assert repr(results) == repr([outcome.result for outcome in expected])
    assert [result.finite for result in results] == [False, True, False, False, True]
    assert_equal(everything(device), everything(host))
    omitted = learner(**options)
    omitted.network.train()
    for step in (2, 5):
        omitted.step(batch(), step, 4, seed=0)
    assert_equal(everything(device), everything(omitted))


@pytest.mark.parametrize(("optimizer", "tolerance"), [("Momentum", 0.0), ("Adam", 1e-6)])
def test_the_fused_update_of_paddle_keeps_its_state_in_a_bad_step(optimizer, tolerance):
    """Its bits are those of single updates with Momentum; with Adam they agree to rounding."""
    fused = learner(layer=small, optimizer=optimizer, params={"use_multi_tensor": True}, is_asynchronous=True)
    single = learner(layer=small, optimizer=optimizer)
    for made in (fused, single):
        stepped(made, {1, 3})
    arrays = everything(single)
    for name, array in everything(fused).items():
        np.testing.assert_allclose(array, arrays[name], rtol=tolerance, atol=tolerance, err_msg=name)


def test_the_count_of_reads_sees_a_read():
    with counted_reads() as reads:
        float(paddle.ones([]) + 1)
    assert reads
    with counted_reads() as reads:
        stepped(learner(layer=small), {1}, count=1)
    assert len(reads) >= 2, "the host decides"


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_an_overflow_of_a_loss_scale_is_decided_by_the_device(accumulate_steps):
    """As with fp16 on a GPU; the scale of a loss that a CPU computes is one."""
    from pannsdist.training.optimization.precision import LossScale

    made = learner(is_asynchronous=True, accumulate_steps=accumulate_steps)
    made._scale = LossScale(enabled=True, value=2.0**127)
    before = everything(made)
    with counted_reads() as reads:
        outcome = made.step(batch(), 1, 4, seed=0)
    assert reads == []
    assert (outcome.finite, outcome.gradient_norm, made._scale.value) == (True, None, 2.0**126)
    assert_equal(made.network.arrays(), {name: before[name] for name in made.network.arrays()})


def spoilt(run, bad_steps):
    """The data of a run in which every sample of some steps is NaN."""

    def batches(epoch, first):
        for step, part in enumerate(run.parts.data.batches(epoch, first), start=(epoch - 1) * 4 + first + 1):
            yield replace(part, waveforms=part.waveforms * np.nan) if step in bad_steps else part

    return TrainingData(batches, run.parts.data.steps)


def without_times(reports):
    return [
        repr(replace(report, **{name: None for name in ("pace", "seconds") if hasattr(report, name)}))
        for report in reports
    ]


SETTINGS = ("train.epochs=2", "train.ema_decay=0.9", "train.clip_norm=0.5", "mixup.alpha=0.5", "mixup.pairs=free")


def test_a_run_reads_from_the_device_at_its_log_lines_only(tmp_path):
    """Log lines come after steps 3 and 4 of an epoch; one read each, whatever the number of steps."""
    run = Run(tmp_path, *SETTINGS, is_asynchronous=True)
    before_steps = []

    def batches(epoch, first):
        for part in run.parts.data.batches(epoch, first):
            before_steps.append(len(reads))
            yield part

    with counted_reads() as reads:
        run.fit(TrainingData(batches, run.parts.data.steps))
    assert len(before_steps) == 8
    for epoch in (before_steps[:4], before_steps[4:]):
        assert [count - epoch[0] for count in epoch] == [0, 0, 0, 1]


def test_a_run_with_bad_steps_is_the_same_whoever_decides(tmp_path):
    runs = []
    for is_asynchronous in (False, True):
        run = Run(tmp_path, *SETTINGS, "save.every_steps=2", is_asynchronous=is_asynchronous)
        runs.append(run.fit(spoilt(run, {2, 3, 7})))
    host, device = runs
    assert device.bad_steps == host.bad_steps
    assert [line.split(" was")[0] for line in device.bad_steps] == ["step 2", "step 3", "step 7"]
    assert_equal(device.last.model, host.last.model)
    assert_equal(device.last.optimizer, host.last.optimizer)
    assert repr(device.progress) == repr(host.progress)
    for kind in ("step_reports", "epoch_reports"):
        assert without_times(getattr(device.recorder, kind)) == without_times(getattr(host.recorder, kind))


@pytest.mark.parametrize("saved", [False, True])
def test_too_many_bad_steps_end_a_run_at_the_next_log_line_with_the_same_words(tmp_path, saved):
    """Steps 2 and 3 are too many; the host learns it after step 4, or where a save is due after step 1."""
    settings = ("train.max_bad_steps=2", "log.every_steps=4", *(["save.every_steps=1"] if saved else []))
    said = []
    for is_asynchronous in (False, True):
        run = Run(tmp_path, *settings, is_asynchronous=is_asynchronous)
        with pytest.raises(NotFinite) as caught:
            run.fit(spoilt(run, {2, 3}))
        said.append(str(caught.value))
        assert [snapshot.progress.step for snapshot, _ in run.kept] == ([1] if saved else [])
        assert len(run.bad_steps) == 2
    assert said[0] == said[1]
    assert said[0].startswith("the loss or the gradient was not finite in steps 2 to 3; all of them were skipped\n")


@pytest.mark.parametrize("bad", [{3}, {2, 3}])
def test_a_stop_saves_what_the_device_has_computed(tmp_path, bad):
    """A run that is stopped before a log line, within bad steps, goes on as one that was not."""
    looks = []
    run = Run(tmp_path, *SETTINGS, "log.every_steps=10", is_asynchronous=True)
    with pytest.raises(Stopped):
        run.fit(spoilt(run, bad), lambda: looks.append(1) or len(looks) > 3)
    assert (run.last.progress.step, run.last.progress.consecutive_bad_steps) == (3, len(bad))
    resumed = Run(tmp_path, *SETTINGS, "log.every_steps=10", snapshot=run.last, is_asynchronous=True)
    resumed.fit(spoilt(resumed, bad))
    whole = Run(tmp_path, *SETTINGS, "log.every_steps=10")
    whole.fit(spoilt(whole, bad))
    assert_equal(resumed.last.model, whole.last.model)
    assert_equal(resumed.last.optimizer, whole.last.optimizer)
    assert repr(resumed.progress) == repr(whole.progress)


def test_a_loss_that_is_not_finite_alone_is_seen_by_the_device():
    """Its gradient is finite, and the norm of it is reported."""
    made = learner(lambda logits, targets: cross_entropy(logits, targets) + float("inf"), is_asynchronous=True)
    before = everything(made)
    outcome = made.step(batch(), 1, 4, seed=0)
    assert not outcome.finite
    assert outcome.gradient_norm is not None
    assert_equal(everything(made), before)
