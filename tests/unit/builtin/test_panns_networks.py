"""Every published network of PANNs: the numbers of the originals, their keys and sizes, their shortest clips.

The reference outputs were made with the original PyTorch networks, most of them under weights that follow a rule (see
shared/golden/README.md). Measured with Paddle 3.3.1 and 2.6.2 on a CPU: they differ by at most 1.8e-6 of the largest
value.
"""

import math
import zlib
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from panns_by_name import SIZES, feature_of, plugin, sound

from pannsdist.weights.loading import linear_weights, load_into
from pannsdist.weights.weight_file import WeightFile, read_weights

TOLERANCE = 1e-5
REFERENCES = (
    *("Cnn6", "Cnn14", "Cnn14_16k", "ResNet22", "Wavegram_Cnn14"),
    *("Res1dNet31", "DaiNet19", "LeeNet11", "LeeNet24"),
)
SOME_KEYS = {
    "ResNet22": {
        "resnet.layer2.0.downsample.1.weight": [128, 64, 1, 1],
        "resnet.layer1.1.conv2.weight": [64] * 2 + [3] * 2,
    },
    "ResNet54": {
        "resnet.layer1.0.downsample.0.weight": [256, 64, 1, 1],
        "resnet.layer4.2.conv3.weight": [2048, 512, 1, 1],
    },
    "MobileNetV1": {"features.0.0.weight": [32, 1, 3, 3], "features.13.4.weight": [1024, 1024, 1, 1]},
    "MobileNetV2": {
        "features.1.conv.4.weight": [16, 32, 1, 1],
        "features.17.conv.8._mean": [320],
        "features.18.1.bias": [1280],
    },
    "Wavegram_Logmel_Cnn14": {"pre_block3.conv2.weight": [128, 128, 3], "conv_block2.conv1.weight": [128, 128, 3, 3]},
    "Wavegram_Logmel128_Cnn14": {"pre_block3.conv2.weight": [256, 256, 3], "bn0._variance": [128]},
    "Res1dNet51": {"resnet.layer7.1.conv1.weight": [2048, 2048, 3], "resnet.layer4.5.bn2.weight": [512]},
    "Cnn14_DecisionLevelAtt": {
        "att_block.att.weight": [527, 2048, 1],
        "att_block.bn_att._mean": [527],
        "fc1.bias": [2048],
    },
}
SILENT = {
    "Wavegram_Cnn14": ("bn0.", "conv_block1."),
    "DaiNet19": ("conv_block1.downsample.", "conv_block1.bn_downsample."),
    "Cnn14_DecisionLevelAtt": ("att_block.bn_att.",),
}


def by_rule(key, shape):
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    last, is_first_norm = key.rsplit(".", 1)[-1], key.startswith("bn0.")
    if last == "running_mean":
        return 0.1 * n - (30 if is_first_norm else 0)
    if last == "running_var":
        return (200 if is_first_norm else 1) * (1 + 0.1 * abs(n))
    if last == "bias":
        return 0.1 * n
    if len(shape) == 1:
        return 1 + 0.1 * n
    return n * math.sqrt(2 / math.prod(shape[1:])) * (0.1 if key.startswith("fc_audioset") else 1)


def as_published(layer):
    """Weights by rule with PyTorch's keys and axes, and what a published file holds beside them."""
    linears, state = linear_weights(layer), {"spectrogram_extractor.stft.conv_real.weight": np.zeros(1, np.float32)}
    for name, tensor in layer.state_dict().items():
        key = name.replace("._mean", ".running_mean").replace("._variance", ".running_var")
        shape = tuple(tensor.shape)[::-1] if name in linears else tuple(tensor.shape)
        state[key] = np.asarray(by_rule(key, shape), np.float32)
        if key.endswith("running_var"):
            state[key.replace("running_var", "num_batches_tracked")] = np.asarray(1)
    return WeightFile(Path("by_rule.pth"), "torch", "original PANNs", state)


def published(name, shared):
    """The layer with weights by rule in eval mode, the features of the reference's waveform, the reference."""
    model = plugin(name)
    layer = model.build([str(number) for number in range(527)], model.front_end)
    report = load_into(layer, as_published(layer), head=model.head)
    assert report.head == "kept"
    layer.eval()
    reference = dict(np.load(shared / "golden" / "by_rule" / f"{name}.npz"))
    if "waveform" not in reference:
        reference["waveform"] = np.load(shared / "golden" / "Cnn6_golden.npz")["waveform"]
    with paddle.no_grad():
        features = feature_of(model).build()(paddle.to_tensor(reference["waveform"]))
    return layer, features, reference


def difference(found, wanted):
    """The largest difference as a share of the largest value."""
    assert tuple(found.shape) == wanted.shape
    difference = float(np.abs(found.numpy() - wanted).max() / np.abs(wanted).max())
    print(f"differs by {difference:.1e}")
    return difference


@pytest.mark.parametrize("name", REFERENCES)
def test_a_network_gives_the_numbers_of_the_original(name, shared):
    layer, features, reference = published(name, shared)
    with paddle.no_grad():
        assert difference(layer(features), reference["logits"]) < TOLERANCE
        assert difference(layer.embed(features[:1]), reference["embedding"][:1]) < TOLERANCE


@pytest.mark.parametrize("name", ["Cnn6", "Cnn10"])
def test_a_network_takes_a_file_as_published(name, shared):
    model = plugin(name)
    layer = model.build([str(number) for number in range(527)], model.front_end)
    load_into(layer, read_weights(shared / "golden" / f"{name}_golden.pth"), head=model.head)
    layer.eval()
    reference = np.load(shared / "golden" / f"{name}_golden.npz")
    with paddle.no_grad():
        features = feature_of(model).build()(paddle.to_tensor(reference["waveform"]))
        assert difference(F.sigmoid(layer(features)), reference["clipwise_output"]) < TOLERANCE
        assert difference(layer.embed(features[:1]), reference["embedding"][:1]) < TOLERANCE


def test_a_network_that_decides_by_frames_gives_the_numbers_of_the_original(shared):
    layer, features, reference = published("Cnn14_DecisionLevelAvg", shared)
    with paddle.no_grad():
        framewise, logits = layer.framewise(features), layer(features)
        assert difference(framewise, reference["framewise_output"]) < TOLERANCE
        assert difference(F.sigmoid(logits), reference["clipwise_output"]) < TOLERANCE
        of_segments = framewise.numpy()[:, ::32][:, :15].astype(np.float64)
        segments = np.log(of_segments) - np.log1p(-of_segments)
        assert np.abs(segments - reference["logits"]).max() < TOLERANCE * np.abs(reference["logits"]).max()


@pytest.fixture(scope="module", params=list(SIZES))
def built(request):
    """Name, plugin and layer of each network in turn; only one is held at a time."""
    model = plugin(request.param)
    return request.param, model, model.build([str(number) for number in range(527)], model.front_end)


def test_a_network_has_the_size_of_the_published_one(built):
    name, _, layer = built
    state = layer.state_dict()
    learned = sum(math.prod(tensor.shape) for key, tensor in state.items() if not key.endswith(("_mean", "_variance")))
    assert (learned, len(state)) == SIZES[name][:2]


def test_keys_stand_where_the_published_ones_do(built):
    name, model, layer = built
    state = layer.state_dict()
    shapes = {key: list(state[key].shape) for key in SOME_KEYS.get(name, {})}
    assert shapes == SOME_KEYS.get(name, {})
    assert any(key.startswith(model.head + ".") for key in state)


def test_what_a_network_hears_is_what_its_feature_gives(built):
    _, model, _ = built
    assert feature_of(model).front_end == model.front_end
    assert model.accepts(model.front_end)


def test_eval_mode_knows_no_chance(built):
    name, model, layer = built
    layer.eval()
    features = feature_of(model).build()(sound(model.minimum_samples(model.front_end), clips=2))
    with paddle.no_grad():
        first, second = layer(features).numpy(), layer(features).numpy()
        embedding = layer.embed(features).numpy()
    assert first.shape == (2, 527)
    assert embedding.shape == (2, SIZES[name][2])
    np.testing.assert_array_equal(first, second)


class TooShort(Exception):
    """What PyTorch says where pooling leaves nothing; Paddle goes on."""


def refusing(pool, axes):
    def checked(image, kernel_size, stride=None, padding=0, *rest, **named):
        kernels = [kernel_size] * axes if isinstance(kernel_size, int) else kernel_size
        if any(size + 2 * padding < kernel for size, kernel in zip(image.shape[2:], kernels, strict=True)):
            raise TooShort
        return pool(image, kernel_size, stride, padding, *rest, **named)

    return checked


def test_the_shortest_clip_is_the_shortest_that_pooling_leaves_something_of(built, monkeypatch):
    _, model, layer = built
    for name, axes in (("avg_pool2d", 2), ("avg_pool1d", 1), ("max_pool1d", 1)):
        monkeypatch.setattr(F, name, refusing(getattr(F, name), axes))
    layer.eval()
    feature, shortest = feature_of(model).build(), model.minimum_samples(model.front_end)
    with paddle.no_grad():
        assert np.isfinite(layer(feature(sound(shortest))).numpy()).all()
        if shortest > 1:
            with pytest.raises(TooShort):
                layer(feature(sound(shortest - 1)))


def test_everything_that_is_learned_is_heard(built):
    name, model, layer = built
    layer.train()
    features = feature_of(model).build()(sound(model.minimum_samples(model.front_end) + 2, clips=2))
    layer(features).sum().backward()
    unheard = [key for key, parameter in layer.named_parameters() if parameter.grad is None]
    learned = [key for key, parameter in layer.named_parameters() if not parameter.stop_gradient]
    layer.clear_gradients()
    assert not set(unheard) & set(learned)
    silent = [key for key in unheard if not key.endswith(("_mean", "_variance"))]
    assert all(key.startswith(SILENT[name]) for key in silent)
    assert bool(silent) == (name in SILENT)
