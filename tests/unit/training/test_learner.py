"""One optimizer step: its gradient is that of the mean over all clips of all processes."""

import numpy as np
import paddle
import pytest
from small_parts import FEATURE_PARAMS

from pannsdist.batch import Batch
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.network import Network
from pannsdist.parallel import AloneWorld
from pannsdist.training.learner import Learner
from pannsdist.training.losses import binary_cross_entropy, cross_entropy
from pannsdist.training.optim import Schedule, build_optimizer

RATE = 0.5


class Plain(paddle.nn.Layer):
    """The mean over time, and a linear layer without randomness."""

    def __init__(self):
        super().__init__()
        self.classifier = paddle.nn.Linear(16, 2)

    def forward(self, image):
        return self.classifier(0.01 * image.mean(axis=[1, 2]))


def learner(loss=cross_entropy):
    paddle.seed(0)
    network = Network(LogMel(LogMelParams(**FEATURE_PARAMS)).build(), Plain())
    optimizer = build_optimizer("SGD", {}, RATE, network.model)
    return Learner(AloneWorld(), network, loss, optimizer, Schedule("constant", RATE, total_steps=9, warmup_steps=2))


def batch(clips=4):
    waveforms = np.random.default_rng(0).normal(0, 0.1, (clips, 2000)).astype(np.float32)
    return Batch(tuple(map(str, range(clips))), waveforms, np.arange(clips) % 2)


def moved_by(made, part, step, all_clips):
    before = made.network.arrays()
    loss = made.step(part, step, all_clips, seed=0).loss
    return {name: array - before[name] for name, array in made.network.arrays().items()}, float(loss)


def test_a_step_goes_down_the_mean_loss_at_the_rate_of_its_number():
    expected = learner()
    logits = expected.network(paddle.to_tensor(batch().waveforms))
    mean = cross_entropy(logits, paddle.to_tensor(batch().targets)).mean()
    mean.backward()
    for step, rate in ((1, RATE / 2), (2, RATE), (3, RATE)):
        moved, loss = moved_by(learner(), batch(), step, all_clips=4)
        gradient = expected.network.model.classifier.weight.grad.numpy()
        np.testing.assert_allclose(moved["classifier.weight"], -rate * gradient, rtol=1e-4, atol=1e-7)
        assert loss == pytest.approx(4 * float(mean), rel=1e-6)


def test_clips_that_others_could_read_count_in_the_mean():
    alone, _ = moved_by(learner(), batch(), 3, all_clips=4)
    among, _ = moved_by(learner(), batch(), 3, all_clips=8)
    np.testing.assert_allclose(2 * among["classifier.weight"], alone["classifier.weight"], rtol=1e-4, atol=1e-7)


def test_a_part_without_a_clip_moves_nothing():
    empty = Batch((), np.zeros((0, 2000), np.float32), np.zeros(0, np.int64))
    moved, loss = moved_by(learner(), empty, 3, all_clips=4)
    assert loss == 0.0
    assert not any(change.any() for change in moved.values())


def test_no_gradient_is_left_for_the_next_step():
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


def test_an_empty_part_of_several_labels_moves_nothing():
    empty = Batch((), np.zeros((0, 2000), np.float32), np.zeros((0, 2), np.float32))
    moved, loss = moved_by(learner(binary_cross_entropy), empty, 3, all_clips=4)
    assert loss == 0.0
    assert not any(change.any() for change in moved.values())


def test_soft_targets_weigh_the_losses_of_their_classes():
    logits = paddle.to_tensor(np.array([[0.0, np.log(3.0)]], np.float32))
    soft = cross_entropy(logits, paddle.to_tensor(np.array([[0.25, 0.75]], np.float32)))
    np.testing.assert_allclose(soft.numpy(), [0.25 * np.log(4.0) + 0.75 * np.log(4.0 / 3.0)], rtol=1e-6)


def test_a_step_mixes_the_clips_of_a_batch_and_counts_what_comes_out():
    plain = batch()
    mixed = Batch(
        ("0", "1"),
        plain.waveforms,
        np.array([[0.5, 0.5], [0.0, 1.0]], np.float32),
        partners=np.array([2, 3]),
        shares=np.array([0.5, 1.0], np.float32),
        chances=np.zeros((4, 8), np.float32),
    )
    made = learner()
    features = made.network.feature(paddle.to_tensor(plain.waveforms))
    both = paddle.stack([(features[0] + features[2]) / 2, features[1]])
    expected = float(cross_entropy(made.network.model(both), paddle.to_tensor(mixed.targets)).sum())
    _, loss = moved_by(made, mixed, 3, all_clips=2)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_mixed_part_without_a_clip_moves_nothing():
    empty = Batch(
        (),
        np.zeros((0, 2000), np.float32),
        np.zeros((0, 2), np.float32),
        partners=np.zeros(0, np.int64),
        shares=np.zeros(0, np.float32),
        chances=np.zeros((0, 8), np.float32),
    )
    moved, loss = moved_by(learner(), empty, 3, all_clips=4)
    assert loss == 0.0
    assert not any(change.any() for change in moved.values())
