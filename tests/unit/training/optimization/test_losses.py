"""Per-clip losses, against their formulas in numpy and against Paddle's own."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from plain_losses import binary_cross_entropy, cross_entropy

from pannsdist.training.optimization.losses import TrainingLoss, balanced_class_weights, class_weights

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 2, (5, 3)).astype(np.float32)
INDICES = np.array([0, 1, 2, 0, 1])
ONE_HOT = np.eye(3, dtype=np.float32)[INDICES]
SEVERAL = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]], np.float32)


def softmax(logits):
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def values(loss, targets):
    return loss(paddle.to_tensor(LOGITS), paddle.to_tensor(targets)).numpy()


def test_the_default_loss_is_plain_cross_entropy():
    np.testing.assert_allclose(values(TrainingLoss(False), INDICES), values(cross_entropy, INDICES), rtol=1e-5)
    several = values(binary_cross_entropy, SEVERAL)
    np.testing.assert_allclose(values(TrainingLoss(True), SEVERAL), several, rtol=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, TrainingLoss(False), TrainingLoss(False, 0.1, (1.0, 2.0, 3.0), 2.0)])
def test_one_hot_targets_equal_class_indices(loss):
    np.testing.assert_allclose(values(loss, ONE_HOT), values(loss, INDICES), rtol=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, TrainingLoss(False, 0.2, (1.0, 2.0, 3.0), 1.5)])
def test_soft_targets_weight_the_losses_of_two_classes(loss):
    mixed = 0.3 * ONE_HOT + 0.7 * np.eye(3, dtype=np.float32)[(INDICES + 1) % 3]
    expected = 0.3 * values(loss, INDICES) + 0.7 * values(loss, (INDICES + 1) % 3)
    np.testing.assert_allclose(values(loss, mixed.astype(np.float32)), expected, rtol=1e-5)


def test_label_smoothing_moves_probability_to_all_classes():
    smoothed = 0.9 * ONE_HOT + 0.1 / 3
    expected = -(smoothed * np.log(softmax(LOGITS))).sum(axis=1)
    np.testing.assert_allclose(values(TrainingLoss(False, smoothing=0.1), INDICES), expected, rtol=1e-5)
    towards_half = (0.9 * SEVERAL + 0.05).astype(np.float32)
    expected = values(binary_cross_entropy, towards_half)
    np.testing.assert_allclose(values(TrainingLoss(True, smoothing=0.1), SEVERAL), expected, rtol=1e-5)


def test_weights_multiply_the_terms_of_their_class():
    weights = (0.5, 1.0, 4.0)
    expected = values(cross_entropy, INDICES) * np.array(weights)[INDICES]
    np.testing.assert_allclose(values(TrainingLoss(False, weights=weights), INDICES), expected, rtol=1e-5)
    terms = F.binary_cross_entropy_with_logits(paddle.to_tensor(LOGITS), paddle.to_tensor(SEVERAL), reduction="none")
    expected = (terms.numpy() * weights).mean(axis=1)
    np.testing.assert_allclose(values(TrainingLoss(True, weights=weights), SEVERAL), expected, rtol=1e-5)


def test_focal_loss_down_weights_correct_predictions():
    right = softmax(LOGITS)[np.arange(5), INDICES]
    expected = -((1 - right) ** 2) * np.log(right)
    np.testing.assert_allclose(values(TrainingLoss(False, focal_gamma=2.0), INDICES), expected, rtol=1e-4)
    published = F.sigmoid_focal_loss(
        paddle.to_tensor(LOGITS), paddle.to_tensor(SEVERAL), alpha=-1.0, gamma=2.0, reduction="none"
    )
    alpha_free = np.abs(published.numpy()) / np.where(SEVERAL == 1, 1.0, 2.0)  # alpha -1: it multiplies by -1 and 2
    found = values(TrainingLoss(True, focal_gamma=2.0), SEVERAL)
    np.testing.assert_allclose(found, alpha_free.mean(axis=1), rtol=1e-4)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_finite_for_confident_predictions(multi_label, gamma):
    logits = paddle.to_tensor(np.array([[80.0, -80.0], [-80.0, 80.0]], np.float32), stop_gradient=False)
    targets = np.eye(2, dtype=np.float32)
    TrainingLoss(multi_label, focal_gamma=gamma)(logits, paddle.to_tensor(targets)).sum().backward()
    assert np.isfinite(logits.grad.numpy()).all()


def test_balanced_weights_are_the_inverse_of_the_frequency_with_mean_one_over_the_clips():
    weights = balanced_class_weights(np.array([3, 1, 0]))
    assert weights == pytest.approx((4 / 6, 2.0, 1.0))
    assert (3 * weights[0] + weights[1]) / 4 == pytest.approx(1)
    assert balanced_class_weights(np.array([3, 1], np.float32)) == pytest.approx((4 / 6, 2.0))


def test_unlisted_labels_have_weight_one():
    assert class_weights({"dog": 3.0}, ("cat", "dog")) == (1.0, 3.0)
    assert class_weights({}, ("cat", "dog")) == ()
