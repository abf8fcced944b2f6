"""Networks of PANNs that answer by frame: how many frames, of which sound, and what trained weights give."""

import numpy as np
import paddle
import pytest

from pannsdist.builtin import panns
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns.spec_augment import AugmentInputs
from pannsdist.builtin.waveform import Waveform, WaveformParams
from pannsdist.contracts import UserError
from pannsdist.contracts.feature_augmentation import AUGMENT_NOISE_SIZE
from pannsdist.contracts.network import Network
from pannsdist.training.optimization.static_graph import enable_static_graph

# Paddle 3.3.1 says so in every forward pass of a batch norm in training.
pytestmark = pytest.mark.filterwarnings("ignore:When training, we now always track global mean:UserWarning")

SMALL = (panns.Cnn6, panns.MobileNetV2)
LARGE = (panns.Cnn10, panns.Cnn14, panns.Cnn14DecisionLevelAtt, panns.ResNet22, panns.ResNet54, panns.MobileNetV1)
MODELS = [*SMALL, *(pytest.param(model, marks=pytest.mark.slow) for model in LARGE)]
LABELS = ("dog", "rain", "clock")


def layer_by_frame(model, frame_stride, pooling="attention", **params):
    made = model(panns.LogMelNetworkParams(frame_stride=frame_stride, **params))
    return made.build_frames(LABELS, made.front_end, pooling)


def network(model, frame_stride, feature=None):
    made = model(panns.LogMelNetworkParams(frame_stride=frame_stride))
    feature = feature or LogMel(LogMelParams())
    layer = made.build_frames(LABELS, feature.front_end, "attention")
    found = Network(feature.build(), layer, head=made.head, frame_samples=made.frame_samples(feature.front_end))
    found.eval()
    return found


def noise(samples, rows=1, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (rows, samples)).astype("float32")


def output(made, waveform):
    with paddle.no_grad():
        return made(paddle.to_tensor(waveform)).numpy()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("frame_stride", [2, 8])
def test_a_sound_has_a_frame_for_each_that_it_begins_and_a_row_of_the_clip(model, frame_stride):
    made = network(model, frame_stride)
    frame, shortest = frame_stride * 320, 31 * 320
    around = [shortest // frame * frame + more for more in (frame, frame - 1, frame + 1, frame + 319, frame + 320)]
    for samples in (shortest, *around):
        assert output(made, noise(samples)).shape == (1, -(-samples // frame) + 1, 3), samples


@pytest.mark.parametrize("model", MODELS)
def test_a_frame_is_what_the_network_of_clips_computes_at_another_shift(model):
    clip = model(panns.LogMelNetworkParams())
    pooled, kept = clip.build(LABELS, clip.front_end), layer_by_frame(model, 8)
    pooled.eval()
    kept.eval()
    weights = pooled.state_dict()
    for name, tensor in kept.state_dict().items():
        if not name.startswith(clip.head):
            tensor.set_value(weights[name])
    features = paddle.to_tensor(np.random.default_rng(0).normal(-20, 10, (1, 1, 513, 64)).astype("float32"))
    with paddle.no_grad():
        expected = pooled._frames(features, AugmentInputs()).numpy()
        found = kept._frames(features, AugmentInputs()).numpy()
    every = model.shrinks // 8
    shifts = [found[..., shift::every][..., : expected.shape[-1]] for shift in range(every)]
    inner = slice(3, -3)
    differences = [np.abs(shifted - expected)[..., inner].max() / np.abs(expected).max() for shifted in shifts]
    assert min(differences) < 1e-5


@pytest.mark.parametrize("model", [panns.Cnn6, panns.Cnn10])
def test_the_frames_around_a_sound_hear_it_and_no_others(model):
    made = network(model, 8)
    for place in (20, 33):
        waveform = noise(60 * 2560)
        quiet = output(made, waveform)[0, :-1]
        waveform[0, place * 2560 : (place + 1) * 2560] *= 8
        change = np.abs(output(made, waveform)[0, :-1] - quiet).sum(axis=1)
        heard = np.flatnonzero(change)
        assert (heard[0] + heard[-1]) / 2 == pytest.approx(place, abs=1)
        assert len(heard) <= 12


@pytest.mark.parametrize("model", SMALL)
def test_a_sound_has_the_same_frames_alone_and_beside_others(model):
    made, waveforms = network(model, 8), noise(32000, rows=3)
    together = output(made, waveforms)
    for row in range(3):
        np.testing.assert_allclose(output(made, waveforms[row : row + 1])[0], together[row], rtol=0, atol=1e-5)


def test_mixup_and_masks_reach_the_frames_and_every_weight_has_a_gradient():
    layer = layer_by_frame(panns.Cnn6, 4, spec_augment=True)
    layer.train()
    features = paddle.to_tensor(np.random.default_rng(0).normal(-20, 10, (4, 1, 129, 64)).astype("float32"))
    named = {
        "augment_noise": paddle.rand([4, AUGMENT_NOISE_SIZE]),
        "partners": paddle.to_tensor([2, 3]),
        "mix_weights": paddle.to_tensor([0.3, 0.6]),
    }
    logits = layer(features, **named)
    assert logits.shape == [2, 33, 3]
    logits.square().mean().backward()
    assert [name for name, weight in layer.named_parameters() if weight.grad is None and not weight.stop_gradient] == []
    assert layer.embed(features).shape == [4, 512]


def test_a_network_by_frame_trains_in_a_static_graph_as_without():
    features = paddle.to_tensor(np.random.default_rng(0).normal(-20, 10, (2, 1, 129, 64)).astype("float32"))
    found = []
    for is_static in (False, True):
        paddle.seed(0)
        layer = layer_by_frame(panns.Cnn6, 4, "linear_softmax")
        if is_static:
            enable_static_graph(layer)
        layer.train()
        paddle.seed(1)
        loss = layer(features).square().mean()
        loss.backward()
        found.append(
            [loss.numpy(), *(weight.grad.numpy() for weight in layer.parameters() if not weight.stop_gradient)]
        )
    for expected, got in zip(*found, strict=True):  # Paddle 3.3 gives the same bits, 2.6 does not
        np.testing.assert_allclose(got, expected, rtol=0, atol=0 if paddle.__version__ >= "3" else 1e-6)


@pytest.mark.parametrize(("model", "most"), [(panns.Cnn6, "2, 4, 8, 16"), (panns.Cnn14, "2, 4, 8, 16, 32")])
def test_a_stride_that_a_network_has_not_is_refused(model, most):
    for frame_stride in (1, 3, 64):
        with pytest.raises(UserError) as refusal:
            model(panns.LogMelNetworkParams(frame_stride=frame_stride))
        assert refusal.value.right == f"allowed: {most}"


LINES = {
    "LeeNet11": 19683,
    "LeeNet24": 6561,
    "DaiNet19": 256,
    "Res1dNet31": 20480,
    "Res1dNet51": 20480,
    "WavegramCnn14": 2560,
    "WavegramLogmelCnn14": 2560,
    "WavegramLogmel128Cnn14": 2560,
}
"""Samples of a frame of the networks on waveforms, by default."""
QUICK = ("LeeNet11", "DaiNet19", "WavegramLogmelCnn14")


def on_waveforms(name, **params):
    plugin = getattr(panns, name)
    made = plugin(plugin.Params(**params))
    layer = made.build_frames(LABELS, made.front_end, "attention")
    feature = Waveform(WaveformParams())
    found = Network(feature.build(), layer, head=made.head, frame_samples=made.frame_samples(made.front_end))
    found.eval()
    return found


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LINES]
)
def test_a_network_on_waveforms_has_frames_that_hear_the_sound_at_their_place(name):
    frame, made = LINES[name], on_waveforms(name)
    assert made.frame_samples == frame
    count = max(16, -(-20480 // frame) + 1)
    for samples in (count * frame, count * frame + 1, count * frame - 1):
        assert output(made, noise(samples)).shape == (1, -(-samples // frame) + 1, 3), samples
    place, waveform = count // 2, noise(count * frame)
    before = output(made, waveform)[0, :-1]
    waveform[0, place * frame : (place + 1) * frame] *= -8
    change = np.abs(output(made, waveform)[0, :-1] - before).sum(axis=1)
    assert change[place] > 0
    heard = np.flatnonzero(change)
    assert (heard[0] + heard[-1]) / 2 == pytest.approx(place, abs=max(1.0, 0.3 * len(heard)))


@pytest.mark.parametrize("frame_stride", [2, 32])
def test_windows_of_a_wavegram_give_what_one_pass_gives(frame_stride):
    made = on_waveforms("WavegramLogmelCnn14", frame_stride=frame_stride)
    frame = frame_stride * 320
    reach = -(-(made.model.reach_features + 1) // frame)
    frames = 2 * reach + 12
    whole = noise(frames * frame)
    expected = output(made, whole)[0, :-1]
    part = output(made, whole[:, 4 * frame : (frames - 4) * frame])[0, :-1]
    inner = slice(reach, len(part) - reach)
    np.testing.assert_allclose(part[inner], expected[4 : frames - 4][inner], rtol=0, atol=1e-4)


def test_a_stride_that_a_wavegram_has_not_is_refused():
    with pytest.raises(UserError) as refusal:
        panns.WavegramCnn14(panns.WavegramCnn14.Params(frame_stride=64))
    assert refusal.value.right == "allowed: 2, 4, 8, 16, 32"
