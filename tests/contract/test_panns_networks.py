"""Every published network of PANNs: the numbers of the originals, their keys and sizes, their shortest clips.

The reference outputs were made with the original PyTorch networks, most of them under weights that follow a rule (see
shared/golden/README.md). Measured with Paddle 3.3.1 and 2.6.2 on a CPU: they differ by at most 1.8e-6 of the largest
value.
"""

import math
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from panns_by_name import SIZES, feature_of, plugin, sound

from pannsdist.weights.loading import linear_weights, load_into
from pannsdist.weights.weight_file import WeightFile

TOLERANCE = 1e-5
DECIDES_BY_FRAMES = "Cnn14_DecisionLevelAvg"
REFERENCES = (
    *("Cnn14", "Cnn14_16k", "Wavegram_Cnn14", "Cnn6", "ResNet22"),
    *("Res1dNet31", "DaiNet19", "LeeNet11", "LeeNet24"),
)
NETWORKS = (*REFERENCES, *(name for name in SIZES if name not in REFERENCES))
"""Those with reference outputs first: pytest groups tests by the index of a parameter, so each is built once."""
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
    last, is_first_norm = key.rsplit(".", 1)[-1], key.startswith("bn0.")
    if len(shape) > 1:
        return (scaled_normal if math.prod(shape) < 1_000_000 else kept_scaled_normal)(key, tuple(shape))
    n = normal(key, shape)
    if last == "running_mean":
        return 0.1 * n - (30 if is_first_norm else 0)
    if last == "running_var":
        return (200 if is_first_norm else 1) * (1 + 0.1 * abs(n))
    if last == "bias":
        return 0.1 * n
    return 1 + 0.1 * n


def normal(key, shape):
    return np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)


def scaled_normal(key, shape):
    return normal(key, shape) * math.sqrt(2 / math.prod(shape[1:])) * (0.1 if key.startswith("fc_audioset") else 1)


kept_scaled_normal = lru_cache(maxsize=8)(scaled_normal)
"""The widest layers of CNN14 are in several networks in a row: 75 million numbers need not be drawn again."""


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


@pytest.fixture(scope="module", params=NETWORKS)
def built(request):
    """Name, plugin and layer of each network in turn; only one is held at a time."""
    model = plugin(request.param)
    return request.param, model, model.build([str(number) for number in range(527)], model.front_end)


def published(built, shared):
    """The layer with weights by rule in eval mode, the features of the reference's waveform, the reference."""
    name, model, layer = built
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
    """The largest difference as a fraction of the largest value."""
    assert tuple(found.shape) == wanted.shape
    difference = float(np.abs(found.numpy() - wanted).max() / np.abs(wanted).max())
    print(f"differs by {difference:.1e}")
    return difference


@pytest.mark.parametrize("built", REFERENCES, indirect=True)
def test_a_network_gives_the_numbers_of_the_original(built, shared):
    layer, features, reference = published(built, shared)
    with paddle.no_grad():
        assert difference(layer(features), reference["logits"]) < TOLERANCE
        assert difference(layer.embed(features[:1]), reference["embedding"][:1]) < TOLERANCE


@pytest.mark.parametrize("built", [DECIDES_BY_FRAMES], indirect=True)
def test_a_network_that_decides_by_frames_gives_the_numbers_of_the_original(built, shared):
    layer, features, reference = published(built, shared)
    with paddle.no_grad():
        framewise, logits = layer.framewise(features), layer(features)
        assert difference(framewise, reference["framewise_output"]) < TOLERANCE
        assert difference(F.sigmoid(logits), reference["clipwise_output"]) < TOLERANCE
        of_segments = framewise.numpy()[:, ::32][:, :15].astype(np.float64)
        segments = np.log(of_segments) - np.log1p(-of_segments)
        assert np.abs(segments - reference["logits"]).max() < TOLERANCE * np.abs(reference["logits"]).max()


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


def test_the_input_of_a_network_is_what_its_feature_gives(built):
    _, model, _ = built
    assert feature_of(model).front_end == model.front_end
    assert model.accepts(model.front_end)


def test_eval_mode_is_deterministic(built):
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


def test_every_learned_parameter_gets_a_gradient(built):
    name, model, layer = built
    layer.train()
    features = feature_of(model).build()(sound(model.minimum_samples(model.front_end) + 2, clips=2))
    layer(features).sum().backward()
    without_gradient = [key for key, parameter in layer.named_parameters() if parameter.grad is None]
    learned = [key for key, parameter in layer.named_parameters() if not parameter.stop_gradient]
    layer.clear_gradients()
    assert not set(without_gradient) & set(learned)
    silent = [key for key in without_gradient if not key.endswith(("_mean", "_variance"))]
    assert all(key.startswith(SILENT[name]) for key in silent)
    assert bool(silent) == (name in SILENT)
