"""EfficientAT's networks with an answer for each frame: how many, of which sound, and with which weights."""

from pathlib import Path

import numpy as np
import paddle
import pannsdist_efficientat as plugin
import pytest

from pannsdist.contracts import UserError
from pannsdist.contracts.network import Network
from pannsdist.weights import load_into, read_weights

WEIGHTS = Path(__file__).resolve().parents[3].parent / "shared" / "weights" / "mn04_as_mAP_432.pt"
with_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"needs the published weights in {WEIGHTS}")
# Paddle 3.3.1 says so in every forward pass of a batch norm in training.
pytestmark = pytest.mark.filterwarnings("ignore:When training, we now always track global mean:UserWarning")


def built(model=plugin.Mn01, classes=3, pooling="attention", **params):
    made = model(model.Params(**params))
    return made, made.build_frames([f"class {number}" for number in range(classes)], made.front_end, pooling)


def network(model=plugin.Mn01, **params):
    made, layer = built(model, **params)
    feature = plugin.EfficientAtMel(plugin.MelParams()).build()
    found = Network(feature, layer, head=made.head, frame_samples=made.frame_samples(made.front_end))
    found.eval()
    return found


def noise(samples, rows=1):
    return np.random.default_rng(0).normal(0, 0.1, (rows, samples)).astype("float32")


def output(made, waveform):
    with paddle.no_grad():
        return made(paddle.to_tensor(waveform)).numpy()


def with_published_weights(layer, head):
    report = load_into(layer, read_weights(WEIGHTS), head=head)
    layer.eval()
    return report


@pytest.mark.parametrize("model", [plugin.Mn01, plugin.Mn10FcS2211])
@pytest.mark.parametrize("frame_stride", [2, 8])
def test_a_sound_has_a_frame_for_each_that_it_begins_and_a_row_of_the_clip(model, frame_stride):
    made, frame = network(model, frame_stride=frame_stride), frame_stride * 320
    for samples in (402, frame - 1, frame, frame + 1, 3 * frame - 1, 3 * frame, 3 * frame + 1, 3 * frame + 321):
        assert output(made, noise(max(402, samples))).shape == (1, -(-max(402, samples) // frame) + 1, 3), samples


@with_weights
def test_the_features_of_frames_are_those_of_clips_where_these_have_one():
    made = plugin.Mn04(plugin.ModelParams())
    clips = made.build(["class"] * 527, made.front_end)
    with_published_weights(clips, made.head)
    features = paddle.to_tensor(np.random.default_rng(0).normal(0, 1, (1, 1, 1024, 128)).astype("float32"))
    for frame_stride, largest in ((32, 0), (8, 0.05)):  # means over time, of squeeze and excitation, differ a little
        _, frames = built(plugin.Mn04, 527, frame_stride=frame_stride)
        with_published_weights(frames, made.head)
        with paddle.no_grad():
            expected, found = clips.image(features).numpy(), frames.image(features).numpy()
        differences = np.abs(found[..., :: 32 // frame_stride] - expected)[..., 4:-4]
        assert differences.max() <= largest * np.abs(expected).max()


@with_weights
def test_the_head_of_published_weights_is_kept_for_as_many_classes_and_else_new():
    reports = {}
    for classes, pooling in ((527, "attention"), (527, "linear_softmax"), (10, "attention")):
        made, layer = built(plugin.Mn04, classes, pooling)
        reports[classes, pooling] = with_published_weights(layer, made.head).head
    assert reports == {
        (527, "attention"): "kept for frames, attention new",
        (527, "linear_softmax"): "kept for frames",
        (10, "attention"): "new: of 10 classes by frame",
    }


@with_weights
def test_frames_of_one_tone_all_answer_as_the_clip_does():
    made = plugin.Mn04(plugin.ModelParams())
    feature = plugin.EfficientAtMel(plugin.MelParams()).build()
    clips = made.build(["class"] * 527, made.front_end)
    with_published_weights(clips, made.head)
    _, layer = built(plugin.Mn04, 527, "linear_softmax")
    with_published_weights(layer, made.head)
    tone = np.sin(2 * np.pi * 440 * np.arange(320000) / 32000).astype("float32")[None] * 0.3
    frames = output(Network(feature, layer, frame_samples=2560), tone)[0]
    expected = output(Network(feature, clips), tone)[0]
    assert frames[30:-30].mean(axis=0).argmax() == expected.argmax()
    # Measured: 0.974.
    assert np.corrcoef(frames[30:-30].mean(axis=0), expected)[0, 1] > 0.95


@with_weights
def test_a_frame_says_most_about_the_sound_at_its_place():
    made, layer = built(plugin.Mn04, 527, "linear_softmax")
    with_published_weights(layer, made.head)
    feature = plugin.EfficientAtMel(plugin.MelParams()).build()
    heard = Network(feature, layer, frame_samples=made.frame_samples(made.front_end))
    for place in (20, 33):
        waveform = noise(60 * 2560) / 100
        quiet = output(heard, waveform)[0, :-1]
        waveform[0, place * 2560 : (place + 1) * 2560] *= 300
        change = np.abs(output(heard, waveform)[0, :-1] - quiet).sum(axis=1)
        assert abs(int(change.argmax()) - place) <= 1


def test_a_sound_has_the_same_frames_alone_and_beside_others():
    made, waveforms = network(), noise(32000, rows=3)
    together = output(made, waveforms)
    for row in range(3):
        np.testing.assert_allclose(output(made, waveforms[row : row + 1])[0], together[row], rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", [plugin.Mn01, plugin.Mn10Fc])
def test_every_weight_has_a_gradient(model):
    _, layer = built(model)
    layer.train()
    layer(paddle.to_tensor(np.random.default_rng(0).normal(0, 1, (2, 1, 64, 128)).astype("float32"))).sum().backward()
    assert [name for name, weight in layer.named_parameters() if weight.grad is None and not weight.stop_gradient] == []


def test_the_embedding_is_that_of_the_clip():
    _, layer = built()
    layer.eval()
    features = paddle.to_tensor(np.random.default_rng(0).normal(0, 1, (2, 1, 65, 128)).astype("float32"))
    with paddle.no_grad():
        assert layer.embed(features).shape == [2, layer.embedding_size]


@pytest.mark.parametrize(("model", "most"), [(plugin.Mn01, "2, 4, 8, 16, 32"), (plugin.Mn10FcS2211, "2, 4, 8")])
def test_a_stride_that_a_network_has_not_is_refused(model, most):
    for frame_stride in (1, 3, 64):
        with pytest.raises(UserError) as refusal:
            model(model.Params(frame_stride=frame_stride))
        assert refusal.value.right == f"allowed: {most}"
