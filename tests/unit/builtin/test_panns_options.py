"""What can be chosen of the networks of PANNs: names, front ends, decisions by segments, stripes left out."""

import inspect
import math

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn
from panns_by_name import SIZES, entry_points, feature_of, plugin, sound

from pannsdist.builtin import panns
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns.spec_augment import AugmentInputs, SpecAugment
from pannsdist.builtin.panns.tagger import Attention, Description, MaxTagger, MeanTagger
from pannsdist.builtin.waveform import Waveform, WaveformParams
from pannsdist.contracts import AUGMENT_NOISE_SIZE, UserError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("Cnn14", (32000, 1024, 320, 1024, 64, 50.0, 14000.0)),
        ("Cnn14_16k", (16000, 512, 160, 512, 64, 50.0, 8000.0)),
        ("Cnn14_8k", (8000, 256, 80, 256, 64, 50.0, 4000.0)),
        ("Cnn14_mel32", (32000, 1024, 320, 1024, 32, 50.0, 14000.0)),
        ("Cnn14_mel128", (32000, 1024, 320, 1024, 128, 50.0, 14000.0)),
        ("Wavegram_Logmel_Cnn14", (32000, 1, 1, 1, 1, 0.0, 16000.0)),
    ],
)
def test_a_front_end_is_the_published_one(name, numbers):
    names = ("sample_rate_hz", "window_samples", "hop_samples", "fft_samples", "bins", "low_hz", "high_hz")
    assert tuple(getattr(plugin(name).front_end, field) for field in names) == numbers


def test_every_network_answers_to_its_published_name_and_to_its_plugin_name():
    points = entry_points()
    assert {name for name in points if not name.startswith("panns_")} == set(SIZES)
    for name in SIZES:
        assert points[name] == points["panns_" + name.lower()]
    offered = {f"{panns.__name__}:{name}" for name, made in vars(panns).items() if is_network(name, made)}
    assert set(points.values()) == offered
    assert len(points) == 2 * len(SIZES) == 52


def is_network(name, made):
    return inspect.isclass(made) and hasattr(made, "network") and not name.startswith("_")


def test_an_image_that_pooling_leaves_nothing_of_is_not_accepted():
    narrow = LogMel(LogMelParams(mel_bins=16)).front_end
    assert plugin("Cnn6").accepts(narrow)
    assert not plugin("Cnn14").accepts(narrow)
    assert not plugin("LeeNet11").accepts(narrow)


def test_a_network_with_a_log_mel_of_its_own_takes_no_other_rate():
    slow = Waveform(WaveformParams(sample_rate_hz=16000)).front_end
    assert plugin("Res1dNet31").accepts(slow)
    assert not plugin("Wavegram_Logmel_Cnn14").accepts(slow)


def test_the_log_mel_inside_a_network_is_no_weight():
    model = plugin("Wavegram_Logmel_Cnn14")
    keys = model.build(["a", "b"], model.front_end).state_dict()
    assert not [key for key in keys if "logmel" in key]


def test_branches_of_unequal_length_are_joined_where_both_last():
    model = plugin("Wavegram_Logmel_Cnn14")
    layer, feature = model.build(["a", "b"], model.front_end), feature_of(model).build()
    layer.eval()
    for samples in (320 * 50, 320 * 51, 320 * 52 - 1):
        with paddle.no_grad():
            assert layer(feature(sound(samples))).shape == [1, 2], samples


def test_a_waveform_stays_as_it_is_one_bin_wide():
    heard = sound(100, clips=2)
    features = Waveform(WaveformParams()).build()(heard)
    assert features.shape == [2, 1, 100, 1]
    np.testing.assert_array_equal(features.numpy()[:, 0, :, 0], heard.numpy())


def test_a_rate_below_one_is_refused():
    with pytest.raises(UserError, match=r"feature\.params\.sample_rate_hz is 0"):
        WaveformParams(sample_rate_hz=0)


class Loud(nn.Layer):
    """Gives the same logits, whatever it hears."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, _):
        return self.logits


def deciding(kind, logits):
    """A network that decides by segments, whose segments' logits (B, T', C) are given, whatever it hears."""
    layer = kind(Description([], 8, 8), logits.shape[2])
    layer.fc_audioset = Loud(paddle.to_tensor(logits.astype(np.float32)))
    layer.eval()
    return layer


@pytest.mark.parametrize("strength", [1.0, 40.0])
def test_a_clip_is_as_likely_as_its_segments_say_together(strength):
    logits = strength * np.random.default_rng(0).standard_normal((3, 5, 2))
    likely, unlikely = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(logits))
    heard = paddle.zeros([3, 8, 5, 1])
    strongest, mean = deciding(MaxTagger, logits)(heard), deciding(MeanTagger, logits)(heard)
    np.testing.assert_allclose(strongest.numpy(), logits.max(axis=1), rtol=1e-6)
    wanted = np.log(likely.mean(axis=1) / unlikely.mean(axis=1))
    np.testing.assert_allclose(mean.numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_attention_weighs_the_segments_of_a_clip():
    attention = Attention(2048, 2)
    line = np.random.default_rng(0).standard_normal((3, 5, 2048)).astype(np.float32)
    scores, logits = (
        line @ convolution.weight.numpy()[:, :, 0].T + convolution.bias.numpy()
        for convolution in (attention.att, attention.cla)
    )
    weights = np.exp(np.clip(scores, -10, 10))
    weights /= weights.sum(axis=1, keepdims=True)
    likely = (weights / (1 + np.exp(-logits))).sum(axis=1)
    found = F.sigmoid(attention(paddle.to_tensor(line))).numpy()
    np.testing.assert_allclose(found, likely, rtol=1e-5)


def test_frames_carry_the_probability_of_their_segment_and_the_last_one_lasts():
    layer = deciding(MaxTagger, np.array([[[0.0], [5.0]]]))
    framewise = layer.framewise(paddle.zeros([1, 8, 75, 1])).numpy()[0, :, 0]
    assert framewise.shape == (75,)
    np.testing.assert_allclose(framewise, np.repeat([0.5, 1 / (1 + math.exp(-5.0))], [32, 43]), rtol=1e-6)


def test_stripes_are_left_out_only_in_training_and_only_where_wanted():
    labels = ["a", "b"]
    plain, augmented = (plugin("Cnn6", spec_augment=wanted) for wanted in (False, True))
    parts = [type(part) for part in plain.build(labels, plain.front_end).sublayers()]
    assert SpecAugment not in parts
    layer = augmented.build(labels, augmented.front_end)
    assert sum(isinstance(part, SpecAugment) for part in layer.sublayers()) == 1
    layer.eval()
    image = paddle.ones([2, 1, 100, 64])
    np.testing.assert_array_equal(layer.spec_augment(image).numpy(), image.numpy())
    layer.train()
    assert (layer.spec_augment(image).numpy() == 0).any()


def test_a_network_without_a_log_mel_has_no_stripes_to_leave_out():
    for name in ("LeeNet11", "Res1dNet31", "Wavegram_Cnn14"):
        assert not hasattr(plugin(name).params, "spec_augment")
    assert plugin("Wavegram_Logmel_Cnn14", spec_augment=True).params.spec_augment


def test_weights_fit_with_stripes_and_without():
    plain, augmented = (plugin("Cnn6", spec_augment=wanted) for wanted in (False, True))
    one, other = (model.build(["a"], model.front_end).state_dict() for model in (plain, augmented))
    assert one.keys() == other.keys()


def test_stripes_are_drawn_for_each_sample_and_follow_the_seed():
    augment = SpecAugment()
    image = paddle.ones([16, 1, 400, 64])
    paddle.seed(1)
    first, second = augment(image).numpy(), augment(image).numpy()
    paddle.seed(1)
    np.testing.assert_array_equal(augment(image).numpy(), first)
    assert (first != second).any()
    assert len({sample.tobytes() for sample in first}) == 16


def test_stripes_keep_the_type_of_the_image():
    image = paddle.ones([2, 1, 100, 64]).astype("bfloat16")
    assert SpecAugment()(image).dtype == paddle.bfloat16


PARTNERS = paddle.to_tensor(np.array([2, 3]))
SHARES = paddle.to_tensor(np.array([0.3, 0.9], np.float32))


def seen_after(layer, name, run):
    """What a part of a network gives on while `run` is under way."""
    seen = []
    hook = getattr(layer, name).register_forward_post_hook(lambda _layer, _given, made: seen.append(made))
    run()
    hook.remove()
    return seen[0].numpy()


def test_stripes_follow_the_chances_of_the_batch_not_the_seed():
    augment, image = SpecAugment(), paddle.ones([2, 1, 400, 64])
    augment_inputs = AugmentInputs(
        augment_noise=paddle.to_tensor(np.random.default_rng(0).random((2, AUGMENT_NOISE_SIZE), dtype=np.float32))
    )
    one, other = augment(image, augment_inputs).numpy(), augment(image, augment_inputs).numpy()
    np.testing.assert_array_equal(one, other)
    assert (one == 0).any()


def test_clips_are_mixed_after_the_first_batch_norm_and_the_stripes():
    model = plugin("Cnn6", spec_augment=True)
    layer = model.build(["a", "b", "c"], model.front_end)
    image = paddle.to_tensor(np.random.default_rng(0).normal(-40, 10, (4, 1, 100, 64)).astype(np.float32))
    augment_noise = paddle.to_tensor(np.random.default_rng(1).random((4, AUGMENT_NOISE_SIZE), dtype=np.float32))
    logits = layer(image, augment_noise=augment_noise, partners=PARTNERS, mix_weights=SHARES)
    assert logits.shape == [2, 3]

    def run():
        layer(image, augment_noise=augment_noise, partners=PARTNERS, mix_weights=SHARES)

    striped, mixed = seen_after(layer, "spec_augment", run), seen_after(layer, "mixup", run)
    assert (striped == 0).any()
    mix_weights = SHARES.numpy()[:, None, None, None]
    np.testing.assert_allclose(mixed, striped[:2] * mix_weights + striped[2:] * (1 - mix_weights), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["LeeNet11", "DaiNet19", "Res1dNet31", "Wavegram_Cnn14", "Wavegram_Logmel_Cnn14"])
def test_networks_on_the_waveform_mix_every_branch(name):
    model = plugin(name)
    layer = model.build(["a", "b"], model.front_end)
    layer.eval()
    samples = max(model.minimum_samples(model.front_end), 32000)
    sound = np.random.default_rng(0).normal(0, 0.1, (4, 1, samples, 1)).astype(np.float32)
    alone = paddle.to_tensor(np.array([1.0, 1.0], np.float32))
    with paddle.no_grad():
        expected = layer(paddle.to_tensor(sound)).numpy()[:2]
        whole = layer(paddle.to_tensor(sound), partners=PARTNERS, mix_weights=alone).numpy()
        halved = layer(paddle.to_tensor(sound), partners=PARTNERS, mix_weights=alone * 0.5).numpy()
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(halved, expected, rtol=1e-4)


@pytest.mark.parametrize("decision", ["DecisionLevelMax", "DecisionLevelAtt"])
def test_networks_that_decide_by_segments_mix_too(decision):
    model = plugin(f"Cnn14_{decision}")
    layer = model.build(["a", "b"], model.front_end)
    layer.eval()
    with paddle.no_grad():
        made = layer(paddle.zeros([4, 1, 64, 64]), partners=PARTNERS, mix_weights=SHARES)
    assert made.shape == [2, 2]


def test_what_augments_in_training_is_exported_as_it_evaluates(tmp_path):
    model = plugin("Cnn6", spec_augment=True)
    layer = model.build(["a", "b"], model.front_end)
    layer.eval()
    paddle.jit.save(layer, str(tmp_path / "layer"), [paddle.static.InputSpec([None, 1, None, 64], "float32")])
    image = 10 * paddle.randn([2, 1, 40, 64]) - 40
    exported = paddle.jit.load(str(tmp_path / "layer"))(image)
    np.testing.assert_allclose(exported.numpy(), layer(image).numpy(), rtol=1e-4, atol=1e-5)
