"""One optimizer step: its gradient is that of the mean over all clips of all processes."""

from functools import partial

import numpy as np
import paddle
import pytest
import small_learner
from plain_losses import binary_cross_entropy, cross_entropy
from small_learner import RATE, assert_equal, batch, everything, small

from pannsdist.contracts.batch import Batch
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.training.optimization.precision import LossScale

learner = small_learner.learner


@pytest.fixture(autouse=True, params=[False, True], ids=["host decides", "device decides"])
def _who_decides(request, monkeypatch):
    """Every guarantee of a step holds for both, also where the device is the CPU."""
    monkeypatch.setitem(globals(), "learner", partial(small_learner.learner, is_asynchronous=request.param))


def moved_by(made, part, step, all_clips):
    before = made.network.arrays()
    loss = made.step(part, step, all_clips, seed=0).loss
    return {name: array - before[name] for name, array in made.network.arrays().items()}, float(loss)


def test_a_step_descends_the_mean_loss_at_its_learning_rate():
    expected = learner()
    logits = expected.network(paddle.to_tensor(batch().waveforms))
    mean = cross_entropy(logits, paddle.to_tensor(batch().targets)).mean()
    mean.backward()
    for step, rate in ((1, RATE / 2), (2, RATE), (3, RATE)):
        moved, loss = moved_by(learner(), batch(), step, all_clips=4)
        gradient = expected.network.model.classifier.weight.grad.numpy()
        np.testing.assert_allclose(moved["classifier.weight"], -rate * gradient, rtol=1e-4, atol=1e-7)
        assert loss == pytest.approx(4 * float(mean), rel=1e-6)


def test_clips_of_other_processes_count_in_the_mean():
    alone, _ = moved_by(learner(), batch(), 3, all_clips=4)
    among, _ = moved_by(learner(), batch(), 3, all_clips=8)
    np.testing.assert_allclose(2 * among["classifier.weight"], alone["classifier.weight"], rtol=1e-4, atol=1e-7)


def test_an_empty_batch_changes_no_weights():
    empty = Batch((), np.zeros((0, 2000), np.float32), np.zeros(0, np.int64))
    moved, loss = moved_by(learner(), empty, 3, all_clips=4)
    assert loss == 0.0
    assert not any(change.any() for change in moved.values())


def test_gradients_are_cleared_after_a_step():
    made = learner()
    first, _ = moved_by(made, batch(), 3, all_clips=4)
    second, _ = moved_by(made, batch(), 3, all_clips=4)
    assert np.abs(second["classifier.bias"]).max() < 1.5 * np.abs(first["classifier.bias"]).max()
    assert (
        made.network.model.classifier.weight.grad is None or not made.network.model.classifier.weight.grad.numpy().any()
    )


def test_the_losses_are_those_of_single_clips():
    logits = paddle.to_tensor(np.array([[0.0, np.log(3.0)], [0.0, 0.0]], np.float32))
    one = cross_entropy(logits, paddle.to_tensor(np.array([0, 1])))
    np.testing.assert_allclose(one.numpy(), np.log([4.0, 2.0]), rtol=1e-6)
    several = binary_cross_entropy(logits, paddle.to_tensor(np.array([[1, 0], [1, 1]], np.float32)))
    np.testing.assert_allclose(several.numpy(), [(np.log(2.0) + np.log(4.0)) / 2, np.log(2.0)], rtol=1e-6)


def test_an_empty_multi_label_batch_changes_no_weights():
    empty = Batch((), np.zeros((0, 2000), np.float32), np.zeros((0, 2), np.float32))
    moved, loss = moved_by(learner(binary_cross_entropy), empty, 3, all_clips=4)
    assert loss == 0.0
    assert not any(change.any() for change in moved.values())


def test_a_step_returns_the_gradient_norm():
    made = learner()
    before = made.network.arrays()
    outcome = made.step(batch(), 3, 4, seed=0)
    moved = [made.network.arrays()[name] - before[name] for name in before]
    assert outcome.gradient_norm == pytest.approx(np.sqrt(sum((change**2).sum() for change in moved)) / RATE, rel=1e-4)
    assert outcome.finite


@pytest.mark.parametrize("share", [0.25, 4.0])
def test_a_gradient_is_clipped_to_the_maximum_norm_only_if_it_is_longer(share):
    free, _ = moved_by(learner(), batch(), 3, all_clips=4)
    norm = learner().step(batch(), 3, 4, seed=0).gradient_norm
    cut, _ = moved_by(learner(clip_norm=share * norm), batch(), 3, all_clips=4)
    for name in free:
        np.testing.assert_allclose(cut[name], min(1.0, share) * free[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("clips", [8, 6, 1], ids=["all read", "two skipped", "one read"])
def test_gradient_accumulation_gives_the_gradient_of_the_whole_batch(clips):
    whole, loss = moved_by(learner(), batch(clips), 3, all_clips=8)
    in_parts, sum_of_parts = moved_by(learner(accumulate_steps=4), batch(clips), 3, all_clips=8)
    assert sum_of_parts == pytest.approx(loss, rel=1e-6)
    for name in whole:
        np.testing.assert_allclose(in_parts[name], whole[name], rtol=1e-5, atol=1e-6 * RATE)


@pytest.mark.parametrize("fault", ["sample", "loss"])
def test_a_step_that_is_not_finite_is_skipped_and_the_next_one_is_not(fault):
    faults = []

    def loss(logits, targets):
        return cross_entropy(logits, targets) + (float("nan") if faults else 0.0)

    made, twin = (learner(loss, small, "AdamW", ema_decay=0.9) for _ in range(2))
    for one in (made, twin):
        one.network.train()
        one.step(batch(), 1, 4, seed=0)
    before, bad = everything(made), batch()
    if fault == "loss":
        faults.append(fault)
    else:
        bad.waveforms[0, 100] = np.nan
    outcome = made.step(bad, 2, 4, seed=0)
    assert (outcome.finite, outcome.gradient_norm) == (False, None if fault == "sample" else outcome.gradient_norm)
    assert_equal(everything(made), before)
    assert all(np.isfinite(array).all() for array in before.values())
    faults.clear()
    for one in (made, twin):
        assert one.step(batch(), 3, 4, seed=0).finite
    assert_equal(everything(made), everything(twin))


@pytest.mark.parametrize("amp", ["fp16", "bf16"])
def test_on_a_cpu_half_precision_changes_nothing(amp):
    plain, made = learner(), learner(amp=amp)
    for one in (plain, made):
        one.step(batch(), 3, 4, seed=0)
    assert_equal(everything(made), everything(plain))


def scaled(value):
    """A learner whose loss is scaled, as on a GPU with fp16."""
    made = learner()
    made._scale = LossScale(enabled=True, value=value)
    return made


def test_a_scaled_loss_gives_the_same_step_and_norm():
    plain = learner()
    expected = plain.step(batch(), 3, 4, seed=0)
    made = scaled(2.0**15)
    outcome = made.step(batch(), 3, 4, seed=0)
    assert outcome.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-5)
    for name, array in plain.network.arrays().items():
        np.testing.assert_allclose(made.network.arrays()[name], array, rtol=1e-5, atol=1e-7)


def test_an_overflow_lowers_the_scale_and_is_no_bad_step_until_the_scale_is_one():
    made = scaled(2.0**127)
    before = made.network.arrays()
    outcome = made.step(batch(), 3, 4, seed=0)
    assert (outcome.finite, outcome.gradient_norm) == (True, None)
    assert made._scale.value == 2.0**126
    assert_equal(made.network.arrays(), before)
    bad = batch()
    bad.waveforms[0, 100] = np.nan
    assert not made.step(bad, 4, 4, seed=0).finite


def test_an_overflow_that_the_scale_of_one_resolves_is_no_bad_step_and_the_next_one_is():
    """The loss is finite and its gradient is not."""

    def steep(logits, targets):
        return cross_entropy(logits, targets) + (0.0 * logits).sqrt().sum(axis=1)

    made = learner(steep)
    made._scale = LossScale(enabled=True, value=2.0)
    assert [made.step(batch(), step, 4, seed=0).finite for step in (3, 4)] == [True, False]
    assert made._scale.value == 1.0


def test_dropout_differs_between_processes_and_steps_and_depends_on_nothing_else():
    def moved(rank, step):
        made = learner(layer=small)
        made.network.train()
        made._world.rank = rank
        return moved_by(made, batch(), step, 4)[0]["classifier.weight"].tobytes()

    assert moved(1, 3) == moved(1, 3)
    assert len({moved(rank, step) for rank in (0, 1) for step in (3, 4)}) == 4


def test_a_restored_learner_goes_on_with_the_loss_scale():
    made, again = scaled(2.0**127), scaled(2.0**10)
    made.step(batch(), 3, 4, seed=0)
    again.restore(made.state())
    assert again._scale.value == 2.0**126


def test_the_moving_average_is_evaluated_and_training_continues_from_the_weights():
    made = learner(ema_decay=0.5)
    weights = [made.network.arrays()["classifier.weight"]]
    for step in (1, 2, 3):
        made.step(batch(), step, 4, seed=0)
        weights.append(made.network.arrays()["classifier.weight"])
    mean = weights[0]
    for step, weight in enumerate(weights[1:], start=1):
        share = min(0.5, (1 + step) / (10 + step))
        mean = share * mean + (1 - share) * weight
    with made.averaged_weights():
        np.testing.assert_allclose(made.network.arrays()["classifier.weight"], mean, rtol=1e-5)
    np.testing.assert_array_equal(made.network.arrays()["classifier.weight"], weights[-1])


def test_the_stochastic_weight_average_includes_running_statistics():
    made = learner(layer=small, swa_first_epoch=2)
    made.network.train()
    ends = []
    for epoch in (1, 2, 3):
        made.start_epoch(epoch)
        made.step(batch(), epoch, 4, seed=0)
        made.end_epoch(epoch)
        ends.append(made.network.arrays())
        with made.averaged_weights():
            answers = made.network.arrays()
        assert_equal(answers, ends[-1]) if epoch < 3 else None
    for name, array in answers.items():
        np.testing.assert_allclose(array, (ends[1][name] + ends[2][name]) / 2, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(answers["norm._mean"], ends[2]["norm._mean"])
    assert_equal(made.network.arrays(), ends[2])


def test_the_weights_are_restored_after_a_failed_evaluation():
    made = learner(ema_decay=0.9)
    made.step(batch(), 1, 4, seed=0)
    before = made.network.arrays()
    with pytest.raises(ZeroDivisionError), made.averaged_weights():
        raise ZeroDivisionError
    assert_equal(made.network.arrays(), before)


@pytest.mark.parametrize(
    "options", [{"ema_decay": 0.9}, {"swa_first_epoch": 1}, {"swa_first_epoch": 9}, {"clip_norm": 0.01}]
)
def test_a_restored_learner_continues_bit_equal(options):
    made = learner(layer=small, optimizer="AdamW", **options)
    made.network.train()
    for epoch in (1, 2):
        made.step(batch(), epoch, 4, seed=0)
        made.end_epoch(epoch)
    again = learner(layer=small, optimizer="AdamW", **options)
    again.network.restore(made.network.arrays())
    again.restore(made.state())
    assert_equal(everything(again), everything(made))
    for one in (made, again):
        one.network.train()
        one.start_epoch(3)
        one.step(batch(), 3, 4, seed=0)
        one.end_epoch(3)
    assert_equal(everything(again), everything(made))
    with made.averaged_weights(), again.averaged_weights():
        assert_equal(again.network.arrays(), made.network.arrays())


def test_the_state_of_another_average_is_refused():
    with pytest.raises(BadRunFolder, match="holds a moving average, but the settings require a mean over epochs"):
        learner(swa_first_epoch=1).restore(learner(ema_decay=0.5).state())
    with pytest.raises(BadRunFolder, match="holds no average, but the settings require a moving average"):
        learner(ema_decay=0.5).restore(learner().state())
    with pytest.raises(BadRunFolder, match="holds a moving average, but the settings require no average"):
        learner().restore(learner(ema_decay=0.5).state())


def test_learning_rates_are_reported_by_group():
    assert learner().learning_rates(1) == {"all": RATE / 2}
    assert learner(lr_factors={"body": 0.5, "head": 2.0}).learning_rates(3) == {"body": RATE / 2, "head": 2 * RATE}


def test_soft_targets_weight_the_losses_of_their_classes():
    logits = paddle.to_tensor(np.array([[0.0, np.log(3.0)]], np.float32))
    soft = cross_entropy(logits, paddle.to_tensor(np.array([[0.25, 0.75]], np.float32)))
    np.testing.assert_allclose(soft.numpy(), [0.25 * np.log(4.0) + 0.75 * np.log(4.0 / 3.0)], rtol=1e-6)


def test_a_step_applies_mixup_and_counts_the_mixed_clips():
    plain = batch()
    mixed = Batch(
        ("0", "1"),
        plain.waveforms,
        np.array([[0.5, 0.5], [0.0, 1.0]], np.float32),
        partners=np.array([2, 3]),
        mix_weights=np.array([0.5, 1.0], np.float32),
        augment_noise=np.zeros((4, 8), np.float32),
    )
    made = learner()
    features = made.network.feature(paddle.to_tensor(plain.waveforms))
    both = paddle.stack([(features[0] + features[2]) / 2, features[1]])
    expected = float(cross_entropy(made.network.model(both), paddle.to_tensor(mixed.targets)).sum())
    _, loss = moved_by(made, mixed, 3, all_clips=2)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_an_empty_mixed_batch_changes_no_weights():
    empty = Batch(
        (),
        np.zeros((0, 2000), np.float32),
        np.zeros((0, 2), np.float32),
        partners=np.zeros(0, np.int64),
        mix_weights=np.zeros(0, np.float32),
        augment_noise=np.zeros((0, 8), np.float32),
    )
    moved, loss = moved_by(learner(), empty, 3, all_clips=4)
    assert loss == 0.0
    assert not any(change.any() for change in moved.values())


@pytest.mark.parametrize("pairs", ["panns", "free"])
def test_gradient_accumulation_with_mixup_gives_the_gradient_of_the_whole_batch(pairs):
    plain, random = batch(8), np.random.default_rng(1)
    clips = 4 if pairs == "panns" else 8
    mixed = Batch(
        plain.ids[:clips],
        plain.waveforms,
        random.dirichlet((1, 1), clips).astype(np.float32),
        partners=np.arange(4, 8) if pairs == "panns" else random.permutation(8),
        mix_weights=random.uniform(size=clips).astype(np.float32),
        augment_noise=random.uniform(size=(8, 8)).astype(np.float32),
        further_ids=plain.ids[clips:],
    )
    whole, loss = moved_by(learner(), mixed, 3, all_clips=clips)
    in_parts, sum_of_parts = moved_by(learner(accumulate_steps=4), mixed, 3, all_clips=clips)
    assert sum_of_parts == pytest.approx(loss, rel=1e-6)
    for name in whole:
        np.testing.assert_allclose(in_parts[name], whole[name], rtol=1e-5, atol=1e-6 * RATE)
