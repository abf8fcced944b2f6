"""The EfficientAT networks and their front end, held against the outputs of the original PyTorch network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pannsdist_efficientat as plugin
import pytest

from pannsdist.contracts import UserError

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
GOLDEN = SHARED / "golden" / "mn04_golden.npz"
WEIGHTS = SHARED / "weights" / "mn04_as_mAP_432.pt"
RATE_HZ = 32000

with_golden = pytest.mark.skipif(not GOLDEN.is_file(), reason=f"needs the reference outputs in {GOLDEN}")
with_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"needs the published weights in {WEIGHTS}")

# Paddle 3.3.1 says so in every forward pass of a batch norm in training.
pytestmark = pytest.mark.filterwarnings("ignore:When training, we now always track global mean:UserWarning")


def build_feature(**params):
    return plugin.EfficientAtMel(plugin.MelParams(**params)).build()


def build_network(model=plugin.Mn04, classes=3):
    made = model(model.Params())
    return made.build([f"class {index}" for index in range(classes)], made.front_end)


def noise(clips, samples):
    return paddle.to_tensor(np.random.default_rng(0).uniform(-0.5, 0.5, (clips, samples)).astype("float32"))


def relative_error(found, expected):
    return np.abs(found.numpy() - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def pretrained():
    from pannsdist.weights import load_into, read_weights

    network = build_network(classes=527)
    load_into(network, read_weights(WEIGHTS), head=plugin.Mn04.head)
    network.eval()
    return network


@with_golden
def test_the_feature_agrees_with_the_original(golden):
    found = build_feature()(paddle.to_tensor(golden["waveform"])).numpy()
    # Measured: 2.3e-5 at worst, 3.3e-7 on average; the original is itself 2.0e-5 off the same sum in float64.
    np.testing.assert_allclose(found[:, 0].transpose(0, 2, 1), golden["feature"], rtol=0, atol=5e-5)


@with_golden
@with_weights
def test_logits_and_embedding_agree_with_the_original(golden, pretrained):
    features = build_feature()(paddle.to_tensor(golden["waveform"]))
    with paddle.no_grad():
        # Measured: 2.2e-6 and 4.5e-6 of the largest value.
        assert relative_error(pretrained(features), golden["logits"]) < 1e-5
        assert relative_error(pretrained.embed(features), golden["embedding"]) < 1e-5


def test_importing_the_plugin_does_not_import_paddle():
    code = "import sys, pannsdist_efficientat as p; p.Mn04(p.ModelParams()); sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_feature_has_one_frame_for_each_hop_and_nothing_to_save():
    layer = build_feature()
    features = layer(noise(2, RATE_HZ))
    assert tuple(features.shape) == (2, 1, 100, 128)
    assert features.stop_gradient
    assert not layer.parameters()
    assert not layer.state_dict()


def test_the_feature_of_a_clip_does_not_depend_on_its_batch():
    layer, waveform = build_feature(), noise(3, RATE_HZ)
    together, alone = layer(waveform)[1].numpy(), layer(waveform[1:2])[0].numpy()
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)  # rounding, with more than one thread


def test_a_waveform_of_higher_precision_gives_float32():
    assert build_feature()(noise(1, RATE_HZ).astype("float64")).dtype == paddle.float32


@pytest.mark.skipif(not paddle.device.is_compiled_with_cuda(), reason="Paddle has mixed precision on a GPU only")
def test_mixed_precision_does_not_change_the_feature():
    layer, waveform = build_feature(), noise(2, RATE_HZ)
    with paddle.amp.auto_cast(level="O1", dtype="float16"):
        mixed = layer(waveform)
    assert mixed.dtype == paddle.float32
    np.testing.assert_array_equal(mixed.numpy(), layer(waveform).numpy())


def test_silence_is_finite():
    features = build_feature()(paddle.zeros([1, RATE_HZ])).numpy()
    np.testing.assert_allclose(features, (np.log(1e-5) + 4.5) / 5, rtol=1e-6)


def test_a_louder_tone_is_loudest_in_the_bin_of_its_pitch():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ).astype("float32")
    loudest = build_feature()(paddle.to_tensor(tone[None])).numpy()[0, 0, 50].argmax()
    mel = 1127 * np.log1p(np.array([1000, 15000]) / 700)
    assert abs(loudest - (mel[0] / mel[1] * 129 - 1)) <= 1


# Paddle 2.6.2 says so at every auto_cast that it traces.
@pytest.mark.filterwarnings("ignore:paddle.amp.auto_cast is an experimental:UserWarning")
def test_the_shortest_waveform_is_enough_and_one_sample_less_is_not():
    model = plugin.Mn04(plugin.ModelParams())
    shortest = model.minimum_samples(model.front_end)
    feature, network = build_feature(), build_network()
    assert shortest == 402
    logits = network(feature(noise(2, shortest)))
    logits.sum().backward()
    assert np.isfinite(logits.numpy()).all()
    with pytest.raises(ValueError, match="reflection"):
        feature(noise(2, shortest - 1))


def test_the_front_end_record_follows_the_params():
    narrow = plugin.EfficientAtMel(plugin.MelParams(mel_bins=64, preemphasis=0.9)).front_end
    assert narrow.bins == 64
    assert dict(narrow.details)["preemphasis"] == 0.9
    assert narrow != plugin.Mn04.front_end
    assert list(narrow.details) == sorted(narrow.details)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"high_hz": 17000.0},
            "feature.params.high_hz is 17000.0\n  allowed: above 0 up to half the sample rate (16000)",
        ),
        ({"low_hz": 15000.0}, "feature.params.low_hz is 15000.0"),
        ({"window_samples": 2048}, "feature.params.window_samples is 2048"),
        ({"hop_samples": 0}, "feature.params.hop_samples is 0"),
        ({"scale": 0.0}, "feature.params.scale is 0.0"),
    ],
)
def test_params_that_make_no_feature_are_refused(params, said):
    with pytest.raises(UserError) as caught:
        plugin.EfficientAtMel(plugin.MelParams(**params))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_that_leaves_nothing_is_refused(dropout):
    with pytest.raises(UserError) as caught:
        plugin.Mn10(plugin.ModelParams(dropout))
    assert str(caught.value) == (
        f"model.params.dropout is {dropout}\n  allowed: from 0 up to, not including, 1"
        "\n  next: the same command with model.params.dropout=0.2"
    )


def test_another_front_end_is_accepted_for_training_from_scratch():
    model = plugin.Mn04(plugin.ModelParams())
    other = plugin.EfficientAtMel(plugin.MelParams(mel_bins=40)).front_end
    assert model.accepts(other)
    network = model.build(["one", "two"], other)
    assert tuple(network(build_feature(mel_bins=40)(noise(2, 8000))).shape) == (2, 2)
