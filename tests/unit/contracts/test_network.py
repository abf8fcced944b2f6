"""Feature and model as one layer, and its weights as arrays."""

from contextlib import nullcontext

import numpy as np
import paddle
import pytest
from small_parts import FEATURE_PARAMS, SmallLayer

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.network import Network, evaluation_mode, training_mode


def network(classes=2):
    return Network(LogMel(LogMelParams(**FEATURE_PARAMS)).build(), SmallLayer(16, classes))


def waveform(clips=3):
    return paddle.to_tensor(np.random.default_rng(0).normal(0, 0.1, (clips, 2000)).astype(np.float32))


def test_a_waveform_becomes_logits():
    assert network(classes=5)(waveform()).shape == [3, 5]


def test_no_gradient_goes_through_the_feature():
    made, sound = network(), waveform()
    sound.stop_gradient = False
    made(sound).sum().backward()
    assert sound.grad is None
    assert made.model.classifier.weight.grad is not None


def test_arrays_are_the_models_alone_under_its_own_names():
    assert sorted(network().arrays()) == [
        *("classifier.bias", "classifier.weight"),
        *("norm._mean", "norm._variance", "norm.bias", "norm.weight"),
    ]


def test_arrays_are_copies():
    made = network()
    before = made.arrays()
    kept = {name: array.copy() for name, array in before.items()}
    made(waveform()).sum().backward()
    paddle.optimizer.SGD(1.0, parameters=made.model.parameters()).step()
    for name, array in kept.items():
        np.testing.assert_array_equal(before[name], array)
    assert not np.array_equal(made.arrays()["classifier.weight"], before["classifier.weight"])


def test_restored_arrays_give_the_same_network():
    first, second = network(), network()
    first(waveform())  # running statistics of its own
    second.restore(first.arrays())
    first.eval(), second.eval()
    np.testing.assert_array_equal(first(waveform()).numpy(), second(waveform()).numpy())


@pytest.mark.parametrize("fault", ["missing", "extra", "shape"])
def test_arrays_that_do_not_fit_are_refused_and_change_nothing(fault):
    made = network()
    before = made.arrays()
    other = {name: array + 1 for name, array in before.items()}
    if fault == "missing":
        del other["norm._mean"]
    elif fault == "extra":
        other["norm._mean2"] = np.zeros(3, np.float32)
    else:
        other["norm._mean"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"1 tensors do not fit, such as norm\._mean"):
        made.restore(other)
    for name, array in made.arrays().items():
        np.testing.assert_array_equal(array, before[name])


AUGMENT_NOISE_SIZE = paddle.to_tensor(np.random.default_rng(1).random((3, 8), dtype=np.float32))
PARTNERS = paddle.to_tensor(np.array([2, 0]))
SHARES = paddle.to_tensor(np.array([0.25, 0.75], np.float32))


class Echo(paddle.nn.Layer):
    """Gives the features back, as if they were logits."""

    def forward(self, image):
        return image


class AugmentingEcho(Echo):
    """Notes what it was given to augment with."""

    augments = True

    def forward(self, image, augment_noise=None, partners=None, mix_weights=None):
        self.given = (augment_noise, partners, mix_weights)
        return image


def echo(layer=None, **how):
    return Network(LogMel(LogMelParams(**FEATURE_PARAMS)).build(), layer or Echo(), **how)


def test_features_are_mixed_for_a_network_that_does_not_do_it_itself():
    plain = echo()(waveform()).numpy()
    made = echo()(waveform(), augment_noise=AUGMENT_NOISE_SIZE, partners=PARTNERS, mix_weights=SHARES).numpy()
    expected = [0.25 * plain[0] + 0.75 * plain[2], 0.75 * plain[1] + 0.25 * plain[0]]
    np.testing.assert_allclose(made, expected, rtol=1e-5)


def test_a_network_that_augments_gets_the_draws_and_whole_features():
    layer = AugmentingEcho()
    made = echo(layer)(waveform(), augment_noise=AUGMENT_NOISE_SIZE, partners=PARTNERS, mix_weights=SHARES)
    assert [one is other for one, other in zip(layer.given, (AUGMENT_NOISE_SIZE, PARTNERS, SHARES), strict=True)] == [
        True
    ] * 3
    np.testing.assert_array_equal(made.numpy(), echo()(waveform()).numpy())
    echo(layer)(waveform())
    assert layer.given == (None, None, None)


def test_stripes_of_features_hold_the_mean_of_their_clip_and_come_only_with_chances():
    plain = echo()(waveform()).numpy()
    masking = echo(spec_augment=True)
    np.testing.assert_array_equal(masking(waveform()).numpy(), plain)
    made = masking(waveform(), augment_noise=AUGMENT_NOISE_SIZE).numpy()
    for row in range(3):
        lost = made[row] != plain[row]
        assert 0 < lost.mean() < 1
        np.testing.assert_allclose(made[row][lost], plain[row].mean(), rtol=1e-5)


def test_without_spec_augment_chances_change_nothing():
    np.testing.assert_array_equal(
        echo()(waveform(), augment_noise=AUGMENT_NOISE_SIZE).numpy(), echo()(waveform()).numpy()
    )


def modes(layer):
    return [part.training for part in layer.sublayers(include_self=True)]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("frozen", ["", "norm", "model", "everything"])
def test_modes_are_those_from_before_after_either_block_also_after_an_error(frozen, fails):
    made = network()
    {"": paddle.nn.Identity(), "norm": made.model.norm, "model": made.model, "everything": made}[frozen].eval()
    before = modes(made)
    for mode in (evaluation_mode, training_mode):
        with pytest.raises(ValueError, match="inside") if fails else nullcontext(), mode(made):
            during = modes(made)
            if fails:
                raise ValueError("inside")
        assert modes(made) == before
        if mode is evaluation_mode:
            assert not any(during)
        else:
            assert all(during) if frozen == "everything" else during == before
